// Routes of mixtures of experts in two runs: did tokens go to other experts (a flip), or to the same ones
// with other weights (drift)? Over the tokens that both runs were fed after the same ones.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "analysis/measure/alignment.hpp"
#include "analysis/measure/measurement.hpp"
#include "record/record.hpp"

namespace shardrift::analysis {

// Fills the prompt's routes, and its steps' numbers of them. Nothing where one of the records has none, or
// they are of other layers or another number of experts.
void measure_routes(const record::PromptRecord& reference, const record::PromptRecord& candidate,
                    const Alignment& alignment, PromptMeasurement& prompt);

// Of all prompts.
struct RouteTotals {
  std::int64_t k = 0;  // experts that a token goes to
  std::int64_t tokens = 0;
  std::int64_t tokens_flipped = 0;  // in any layer
  std::vector<LayerRoutes> layers;
  struct Place {
    std::string prompt;
    std::int64_t position = 0;
    std::int64_t layer = 0;
  };
  std::optional<Place> first_flip;  // the earliest position, and there the lowest layer

  std::int64_t pairs() const { return tokens * static_cast<std::int64_t>(layers.size()); }  // token, layer
  std::int64_t pairs_flipped() const;
  double max_drift() const;
  double mean_drift() const;  // over the weights of all pairs that did not flip; NaN where there are none
};
// nullopt: no prompt has routes in both records.
std::optional<RouteTotals> routes_of(const Measurement& measurement);

}  // namespace shardrift::analysis
