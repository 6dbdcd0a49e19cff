// What shardrift explain knows of a run, as the page draws it.
#pragma once
#include <filesystem>
#include <vector>

#include "analysis/explain/ladder.hpp"
#include "analysis/report/report.hpp"
#include "record/reader.hpp"

namespace shardrift::report {

// Growth through the layers; empty where one of the records has no hidden states.
std::vector<CurvePoint> growth_through_layers(const record::Reader& reference,
                                              const record::Reader& candidate);

// A measured ladder, of runs[run].
Ladder drawn(const analysis::Ladder& ladder, std::size_t run);

// The JSON that `shardrift explain --ladder`, --rung or --run wrote; of the run whose record is its last
// rung. Throws bad_data where it is another file, usage_error where its last rung is none of these runs.
Ladder read_ladder(const std::filesystem::path& json, const std::vector<Run>& runs);

}  // namespace shardrift::report
