#include "record/check_record.hpp"

#include "common/error.hpp"
#include "record/schema.hpp"

namespace shardrift::record {

void check_id(const std::string& id) {
  if (!valid_id(id))
    throw usage_error("prompt id '{}': use 1 to 64 of A-Z a-z 0-9 _ - . and no leading dot", id);
}

void check_record(const PromptRecord& record) {
  const std::size_t steps = record.rows.size();
  const std::size_t top = steps * static_cast<std::size_t>(record.top.k);
  check_id(record.prompt.id);
  if (!record.hidden.words.empty() && record.hidden.rows() != static_cast<std::int64_t>(steps))
    throw failure("prompt {}: hidden states of {} rows, not {}", record.prompt.id, record.hidden.rows(),
                  steps);
  if (!record.checksums.empty() && record.checksums.rows != static_cast<std::int64_t>(steps))
    throw failure("prompt {}: checksums of {} rows, not {}", record.prompt.id, record.checksums.rows, steps);
  if (const Sketches& sketches = record.sketches;
      !sketches.empty() &&
      (sketches.rows != static_cast<std::int64_t>(steps) || sketches.shards < 1 ||
       sketches.values.size() != static_cast<std::size_t>(point_count(sketches.layers) * sketches.shards *
                                                          sketches.rows * kSketches)))
    throw failure("prompt {}: {} sketches of {} rows, not {}", record.prompt.id, sketches.values.size(),
                  sketches.rows, steps);
  if (const Routes& routes = record.routes; !routes.empty()) {
    const auto tokens = static_cast<std::size_t>(fed_tokens(record));
    const std::size_t chosen = routes.layers.size() * tokens * static_cast<std::size_t>(routes.k);
    if (static_cast<std::size_t>(routes.positions) != tokens || routes.experts.size() != chosen ||
        routes.weights.size() != chosen)
      throw failure("prompt {}: routes of {} tokens hold {} experts and {} weights, expected {} of {}",
                    record.prompt.id, routes.positions, routes.experts.size(), routes.weights.size(), chosen,
                    tokens);
    if (const auto fault = fault_in(routes); !fault.empty())
      throw failure("prompt {}: routes: {}", record.prompt.id, fault);
  }
  if (record.top.ids.size() != top || record.top.log_probabilities.size() != top)
    throw failure("prompt {}: top holds {} ids and {} log-probabilities, expected {}", record.prompt.id,
                  record.top.ids.size(), record.top.log_probabilities.size(), top);
}

}  // namespace shardrift::record
