// The Measurement of two records, from the metrics kept beside them where they are still theirs, else
// measured and kept. What report, gate and study call.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include "analysis/measure/measurement.hpp"

namespace shardrift::analysis {

struct MeasureOptions {
  bool use_kept = true;  // read metrics kept beside the candidate
  bool keep = true;      // write them there
  // One sentence that a user should see: metrics that are damaged, or a folder where none can be kept.
  // Neither is an error.
  std::function<void(const std::string&)> say;
  unsigned threads = 0;                        // of measuring, as in MeasureRuns
  std::function<void(double share)> progress;  // likewise
};

// Paths are records: OUT.h5, or the OUT.h5.parts of a run that has not finished (whose metrics are not kept).
// Throws bad_data as record::Reader and measure_runs do.
Measurement measurement_of(const std::filesystem::path& reference, const std::filesystem::path& candidate,
                           const MeasureOptions& options = {});

}  // namespace shardrift::analysis
