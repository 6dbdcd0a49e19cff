// NearTies and OrderRun for people and for scripts.
#pragma once
#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "analysis/near_ties/near_ties.hpp"

namespace shardrift::analysis {

// What can flip, and with `run` what does, in a line each. run: null where nothing was run.
std::string near_ties_answer(const NearTies& ties, const OrderRun* run);
// On what that rests. rows: tokens and flips printed. Tokens are counted from 1, as elsewhere in texts.
std::string near_ties_text(const NearTies& ties, const OrderRun* run, std::size_t rows);
nlohmann::ordered_json near_ties_json(const NearTies& ties);
nlohmann::ordered_json order_run_json(const OrderRun& run);

}  // namespace shardrift::analysis
