// Where the difference comes from: its growth through the layers and the explanation ladder.
#include "analysis/measure/routes.hpp"
#include "analysis/report/payload.hpp"

namespace shardrift::report {
namespace {

// The share of tokens that each layer sent to other experts, of the runs whose routes were compared.
Json routes_json(const Report& report) {
  Json runs = Json::array();
  for (std::size_t i = 0; i < report.runs.size(); ++i) {
    const auto totals = analysis::routes_of(report.runs[i].measurement);
    if (!totals || totals->tokens == 0) continue;
    const auto tokens = static_cast<double>(totals->tokens);
    std::vector<CurvePoint> layers;
    for (const auto& layer : totals->layers)
      layers.push_back({static_cast<double>(layer.layer), static_cast<double>(layer.flips) / tokens});
    runs.push_back({{"run", i},
                    {"tokens", number(static_cast<double>(totals->tokens_flipped) / tokens)},
                    {"drift", number(totals->max_drift())},
                    {"layers", points_json(layers)}});
  }
  return runs;
}

}  // namespace

Json layers_json(const Report& report) {
  Json growth = Json::array();
  for (const auto& one : report.growth)
    growth.push_back({{"run", one.run}, {"layers", points_json(one.layers)}});
  Json ladders = Json::array();
  for (const auto& ladder : report.ladders) {
    Json rungs = Json::array();
    for (const auto& rung : ladder.rungs)
      rungs.push_back({{"name", rung.name}, {"meaning", rung.meaning}, {"share", number(rung.share)}});
    ladders.push_back({{"run", ladder.run}, {"rungs", rungs}, {"residue", ladder.residue}});
  }
  return {{"growth", growth}, {"routes", routes_json(report)}, {"ladders", ladders}};
}

}  // namespace shardrift::report
