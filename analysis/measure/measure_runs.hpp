// From two records to one Measurement, prompt by prompt. Bounded memory: rows are read in blocks, one pass
// over both files.
#pragma once
#include <functional>

#include "analysis/measure/measurement.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {

// Rows are paired by the token fed and its position (alignment.hpp). Throws bad_data where the files do not
// belong together: other vocabulary size, prompts or prompt tokens; and where a file turns out damaged.
struct MeasureRuns {
  unsigned threads = 0;  // 0: as many as there are cores; the numbers do not depend on it
  std::function<void(double share)> progress;  // called now and then with the share done, in [0, 1]
};
Measurement measure_runs(const record::Reader& reference, const record::Reader& candidate,
                         const MeasureRuns& how = {});

// What a report says about the run.
RunSummary summary_of(const record::Reader& run);

}  // namespace shardrift::analysis
