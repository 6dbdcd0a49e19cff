// A diagnosis in sentences.
#pragma once
#include <string>
#include <vector>

#include "analysis/diagnose/diagnosis.hpp"

namespace shardrift::analysis {

// "gate_up of layer 2"; of what only hidden states or logits show: "layer 2", "somewhere before the logits".
std::string place_text(const record::Point& point, Seen seen);
// "shard 1 of 3 (rank 1)", "all 3 shards"; empty: not known, or no shard's.
std::string shards_text(const Departure& departure, const std::vector<int>& ranks);
// What stands between the inputs of an operation, which agree, and its output: where to look.
std::string_view look_at(record::Operation operation);

// Where a side departs, and by how much.
std::string departure_text(const Diagnosis& diagnosis, const SideComparison& side,
                           const Departure& departure);
// That a side does not.
std::string within_text(const Diagnosis& diagnosis, const SideComparison& side);

// That of the candidate, whose size is given, and its repeats one is within rounding and another is not;
// empty: all or none are.
std::string repeats_apart_text(const Diagnosis& diagnosis, Size candidate);
// That all repeats are within rounding, as the candidate is.
std::string repeats_within_text(const Diagnosis& diagnosis);

// Of a record that is_cut_off.
std::string_view cut_off_text();

// What a record does not hold and would tell more: of our worker as its flags, of another engine in words.
std::vector<std::string> wanted_of(Seen seen, bool of_engine);

}  // namespace shardrift::analysis
