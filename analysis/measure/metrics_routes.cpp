// /routes of the metrics file.
#include "analysis/measure/metrics_columns.hpp"
#include "analysis/measure/metrics_hdf5.hpp"

namespace shardrift::analysis {
namespace {

void check_routes(const PromptRoutes& routes, const std::string& path) {
  const auto within = [&](std::int64_t value, std::int64_t least, std::int64_t most, const char* what) {
    if (value < least || value > most) throw h5::Hdf5Error(fmt::format("{}: {} {}", path, value, what));
  };
  within(routes.tokens, 0, std::int64_t{1} << 32U, "tokens");
  within(routes.tokens_flipped, 0, routes.tokens, "of them flipped");
  within(routes.k, 1, 1 << 16, "experts a token");
  for (const auto& layer : routes.layers) {
    within(layer.flips, 0, routes.tokens, "flips");
    within(layer.first_flip, layer.flips > 0 ? 0 : -1, layer.flips > 0 ? routes.tokens - 1 : -1,
           "as the first flip");
  }
}

}  // namespace

void write_routes(hid_t root, const std::vector<PromptMeasurement>& prompts) {
  std::vector<LayerRoutes> all;
  std::vector<std::int64_t> k, tokens, flipped, layers;
  for (const auto& prompt : prompts) {
    k.push_back(prompt.routes.k);
    tokens.push_back(prompt.routes.tokens);
    flipped.push_back(prompt.routes.tokens_flipped);
    layers.push_back(static_cast<std::int64_t>(prompt.routes.layers.size()));
    all.insert(all.end(), prompt.routes.layers.begin(), prompt.routes.layers.end());
  }
  if (all.empty()) return;
  const auto group = h5::create_group(root, "routes", "of mixtures of experts");
  const auto of_prompts = h5::create_group(group, "prompts", "one row a prompt, in every dataset");
  write_column<std::int64_t>(of_prompts, "k", k, "experts that a token goes to");
  write_column<std::int64_t>(of_prompts, "tokens", tokens, "fed alike in both runs");
  write_column<std::int64_t>(of_prompts, "tokens_flipped", flipped,
                             "of these sent to other experts anywhere");
  write_column<std::int64_t>(of_prompts, "layers", layers, "rows of ../layers that are this prompt's");
  const auto of_layers = h5::create_group(group, "layers", "one row a prompt and layer with experts");
  each_routes_column([&]<typename Field>(const char* name, Field LayerRoutes::*field, const char* about) {
    std::vector<Field> values;
    for (const auto& one : all) values.push_back(one.*field);
    write_column<Field>(of_layers, name, values, about);
  });
}

void read_routes(const h5::Group& group, std::vector<PromptMeasurement>& prompts) {
  const auto of_prompts = group.group("prompts");
  const auto of_layers = group.group("layers");
  const auto k = read_column<std::int64_t>(of_prompts, "k", prompts.size());
  const auto tokens = read_column<std::int64_t>(of_prompts, "tokens", prompts.size());
  const auto flipped = read_column<std::int64_t>(of_prompts, "tokens_flipped", prompts.size());
  const auto layers = read_column<std::int64_t>(of_prompts, "layers", prompts.size());
  const auto first = of_layers.dataset("layer");
  first.require_uncompressed();
  if (first.dims().size() != 1) throw h5::Hdf5Error(first.path() + ": is no list");
  std::vector<LayerRoutes> all(first.dims()[0]);
  each_routes_column([&]<typename Field>(const char* name, Field LayerRoutes::*field, const char*) {
    const auto values = read_column<Field>(of_layers, name, all.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i].*field = values[i];
  });
  std::size_t from = 0;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    if (layers[i] < 0 || static_cast<std::size_t>(layers[i]) > all.size() - from)
      throw h5::Hdf5Error(fmt::format("{}/layers: {} at row {}", of_prompts.path(), layers[i], i));
    if (layers[i] == 0) continue;
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(from);
    prompts[i].routes = {k[i], tokens[i], flipped[i], {begin, begin + layers[i]}};
    check_routes(prompts[i].routes, group.path());
    from += static_cast<std::size_t>(layers[i]);
  }
  if (from != all.size()) throw h5::Hdf5Error(of_layers.path() + ": has more rows than its prompts");
}

}  // namespace shardrift::analysis
