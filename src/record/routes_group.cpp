// /prompts/<id>/routes: the experts that each token went to.
#include <array>
#include <cmath>

#include "common/error.hpp"
#include "record/hdf5_types.hpp"
#include "record/hdf5_write.hpp"
#include "record/schema.hpp"

namespace shardrift::record {
namespace {

constexpr std::uint64_t kMaxLayers = 1 << 16;
constexpr std::uint64_t kMaxExperts = 1 << 16;  // of a layer

std::vector<hsize_t> dims_of(const Routes& routes) {
  return {routes.layers.size(), static_cast<hsize_t>(routes.positions), static_cast<hsize_t>(routes.k)};
}

}  // namespace

std::int64_t fed_tokens(const PromptRecord& record) {
  if (record.rows.empty()) return static_cast<std::int64_t>(record.prompt.tokens.size());
  return std::int64_t{record.rows.back().position} + 1;
}

std::string fault_in(const Routes& routes) {
  for (std::size_t i = 0; i < routes.layers.size(); ++i)
    if (routes.layers[i] < 0 || (i > 0 && routes.layers[i] <= routes.layers[i - 1]))
      return fmt::format("layers: {} at {} does not ascend", routes.layers[i], i);
  const auto k = static_cast<std::size_t>(routes.k);
  for (std::size_t i = 0; i < routes.experts.size(); ++i) {
    const std::int32_t expert = routes.experts[i];
    if (expert < 0 || expert >= static_cast<std::int32_t>(kMaxExperts))
      return fmt::format("experts: {} is no expert's number", expert);
    if (i % k > 0 && expert <= routes.experts[i - 1])
      return fmt::format("experts: {} after {} does not ascend", expert, routes.experts[i - 1]);
  }
  for (std::size_t i = 0; i < routes.weights.size(); ++i)
    if (!std::isfinite(routes.weights[i]))
      return fmt::format("weights: {} at {} is no weight of an expert", routes.weights[i], i);
  return {};
}

void write_routes(hid_t prompt, const Routes& routes, int compression) {
  const auto group = h5::create_group(prompt, "routes", "the experts that each token went to");
  h5::write_dataset(group, "layers", h5::int32_type(), std::array<hsize_t, 1>{routes.layers.size()},
                    routes.layers.data(), "numbers of the layers that have experts, [layers with experts]");
  const h5::Layout a_layer{.chunk_rows = 1, .deflate = compression};
  h5::write_dataset(group, "experts", h5::int32_type(), dims_of(routes), routes.experts.data(),
                    "ascending within a token, [layers with experts, positions, k]", a_layer);
  h5::write_dataset(group, "weights", h5::float_type(DType::float32), dims_of(routes), routes.weights.data(),
                    "of the experts' outputs, [layers with experts, positions, k]", a_layer);
}

Routes read_routes(const h5::Group& group, std::int64_t positions) {
  const auto experts = group.dataset("experts");
  const auto weights = group.dataset("weights");
  const auto int32 = h5::int32_type();
  const auto float32 = h5::float_type(DType::float32);
  experts.require_type(int32, "int32");
  weights.require_type(float32, "float32");
  const auto& dims = experts.dims();
  if (dims.size() != 3 || dims[0] < 1 || dims[0] > kMaxLayers || dims[2] < 1 || dims[2] > kMaxExperts ||
      dims[1] != static_cast<hsize_t>(positions))
    throw h5::Hdf5Error(
        fmt::format("{}: is not [layers with experts, {} positions, k]", experts.path(), positions));
  weights.require_dims(dims);
  experts.require_readable();
  weights.require_readable();
  Routes routes;
  routes.layers = group.read_int32("layers", dims[0]);
  routes.positions = positions;
  routes.k = static_cast<std::int64_t>(dims[2]);
  routes.experts.resize(dims[0] * dims[1] * dims[2]);
  routes.weights.resize(routes.experts.size());
  experts.read(int32, routes.experts.data());
  weights.read(float32, routes.weights.data());
  if (const auto fault = fault_in(routes); !fault.empty())
    throw h5::Hdf5Error(fmt::format("{}/{}", group.path(), fault));
  return routes;
}

}  // namespace shardrift::record
