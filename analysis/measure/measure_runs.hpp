// From two records to one Measurement, prompt by prompt. Bounded memory: rows are read in blocks, one pass
// over both files.
#pragma once
#include <functional>

#include "analysis/measure/measurement.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {

// Rows are paired by the token fed and its position (alignment.hpp). Throws bad_data where the files do not
// belong together: other vocabulary size, prompts or prompt tokens; and where a file turns out damaged.
// progress: called now and then with the share done, in [0, 1].
using MeasureProgress = std::function<void(double share)>;
Measurement measure_runs(const record::Reader& reference, const record::Reader& candidate,
                         const MeasureProgress& progress = {});

// What a report says about the run.
RunSummary summary_of(const record::Reader& run);

}  // namespace shardrift::analysis
