#include <nlohmann/json.hpp>

#include "analysis/envelope/envelope_presenters.hpp"

namespace shardrift::analysis {

std::string envelope_json(const std::vector<PromptEnvelope>& prompts, const std::vector<std::string>& files) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& prompt : prompts) {
    nlohmann::json rows = nlohmann::json::array();
    for (const auto& row : prompt.rows)
      rows.push_back({{"position", row.position},
                      {"input_id", row.input_id},
                      {"max_spread", row.max_spread},
                      {"max_spread_token", row.max_at},
                      {"mean_spread", row.mean_spread},
                      {"margin", row.margin},
                      {"chosen", row.chosen}});
    list.push_back({{"id", prompt.id}, {"recorded_rows", prompt.recorded}, {"rows", rows}});
  }
  const nlohmann::json json = {{"schema", "shardrift envelope 1"}, {"files", files}, {"prompts", list}};
  return json.dump(1) + "\n";
}

}  // namespace shardrift::analysis
