// From two records to an Explanation.
#pragma once
#include <optional>

#include "analysis/explain/explanation.hpp"
#include "analysis/measure/measurement.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {

// measurement: of these two. Bounded memory: hidden states are read row by row, checksums prompt by prompt.
Explanation explain_runs(const record::Reader& reference, const record::Reader& candidate,
                         const Measurement& measurement);

// The residual streams alone, over the prompts of both; empty where none has hidden states in both files.
std::vector<StreamGrowth> stream_growth(const record::Reader& reference, const record::Reader& candidate);

// What two runs' checksums may say of each other.
struct Comparability {
  std::string reason;     // why nothing is comparable; empty: something is
  bool partials = false;  // the shards' own products too
  bool logits = false;    // of one dtype
  bool has(record::Operation operation) const {
    if (!reason.empty()) return false;
    return record::per_shard(operation) ? partials : operation != record::Operation::logits || logits;
  }
  // Comparable, and recorded on both sides.
  bool has(record::Operation operation, const record::Checksums& one, const record::Checksums& other) const {
    return has(operation) && one.has(operation) && other.has(operation);
  }
};
Comparability comparability(const record::RunInfo& reference, const record::RunInfo& candidate);

// Index of the first point at which row r of the reference and row c of the candidate differ; nullopt where
// none that is comparable does. Both have the same number of layers.
std::optional<std::int64_t> first_point(const record::Checksums& reference, std::int64_t r,
                                        const record::Checksums& candidate, std::int64_t c,
                                        const Comparability& comparable);

// One run against itself: prompts in order of their lengths, where one is the beginning of the next. Empty
// for other modes than score, and without checksums.
std::vector<LengthChange> length_changes(const record::Reader& run);

}  // namespace shardrift::analysis
