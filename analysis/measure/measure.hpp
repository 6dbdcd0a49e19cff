// The Measurement of two records: from the metrics kept beside the candidate where they are still these
// records', else of all rows, and then kept. What every command calls that compares.
#pragma once
#include <functional>
#include <string>

#include "analysis/measure/measurement.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {

struct MeasureOptions {
  bool use_kept = true;  // read metrics kept beside the candidate
  bool keep = true;      // write them there
  // One sentence that a user should see: metrics that are damaged, or a folder where none can be kept.
  // Neither is an error.
  std::function<void(const std::string&)> say;
  unsigned threads = 0;                        // of reading rows, as in RowReading
  std::function<void(double share)> progress;  // likewise
};

// Metrics of a run that has not finished are not kept. Throws bad_data as measure_all_rows does.
Measurement measure(const record::Reader& reference, const record::Reader& candidate,
                    const MeasureOptions& options = {});

}  // namespace shardrift::analysis
