// Where the difference comes from: its growth through the layers and the explanation ladder.
#include "analysis/report/payload.hpp"

namespace shardrift::report {

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
  return {{"growth", growth}, {"ladders", ladders}};
}

}  // namespace shardrift::report
