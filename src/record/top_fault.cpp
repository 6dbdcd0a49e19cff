#include "record/top_fault.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <span>

namespace shardrift::record {

std::optional<std::string> fault_in_top(const PromptRecord& record) {
  const auto k = static_cast<std::size_t>(record.top.k);
  if (k == 0) return std::nullopt;
  for (std::size_t i = 0; i < record.rows.size(); ++i) {
    const std::span ids(record.top.ids.data() + i * k, k);
    const std::span values(record.top.log_probabilities.data() + i * k, k);
    const auto chosen = record.rows[i].chosen;
    const auto found = std::find(ids.begin(), ids.end(), chosen);
    if (found == ids.end())
      return fmt::format("row {} chose token {}, which is not in its list of the most likely tokens ({}{})",
                         i, chosen, ids[0], k > 1 ? ", …" : "");
    const auto own = values[static_cast<std::size_t>(found - ids.begin())];
    const auto most = std::max_element(values.begin(), values.end());
    if (own < *most)
      return fmt::format(
          "row {} chose token {} of log-probability {}, but its list of the most likely tokens has {} of {}",
          i, chosen, own, ids[static_cast<std::size_t>(most - values.begin())], *most);
  }
  return std::nullopt;
}

}  // namespace shardrift::record
