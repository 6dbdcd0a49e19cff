// A Measurement as a small HDF5 file kept beside the candidate's record (docs/file-format.md), so that dumps
// are read once: report, gate and study draw from it in milliseconds. It names the two records it was
// measured from and is never used for others.
#pragma once
#include <filesystem>

#include "analysis/measure/measurement.hpp"
#include "record/identity.hpp"

namespace shardrift::analysis {

// CAND.vs.REF.metrics, beside the candidate.
std::filesystem::path metrics_path(const std::filesystem::path& reference,
                                   const std::filesystem::path& candidate);

// Which records the numbers are of.
struct MeasuredFrom {
  record::Identity reference;
  record::Identity candidate;
  bool operator==(const MeasuredFrom&) const = default;
};

// Durably: a temporary name of its own, flushed, renamed. Throws failure where it cannot be written.
void write_metrics(const std::filesystem::path& path, const Measurement& measurement,
                   const MeasuredFrom& from);

struct KeptMetrics {
  MeasuredFrom from;
  Measurement measurement;
};
// The file may be anything: everything is checked before it is believed. Throws bad_data naming file and
// object: missing, damaged, no metrics file, or one of another version of shardrift's metrics.
KeptMetrics read_metrics(const std::filesystem::path& path);

}  // namespace shardrift::analysis
