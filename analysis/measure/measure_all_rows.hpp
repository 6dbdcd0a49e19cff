// From two records to one Measurement, by reading every row of both, prompt by prompt. Bounded memory: rows
// are read in blocks, one pass over both files. measure() (measure.hpp) does so only where it has to.
#pragma once
#include <functional>

#include "analysis/measure/measurement.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {

// Rows are paired by the token fed and its position (alignment.hpp). Throws bad_data where the files do not
// belong together: other vocabulary size, prompts or prompt tokens; and where a file turns out damaged.
struct RowReading {
  unsigned threads = 0;  // 0: as many as there are cores; the numbers do not depend on it
  std::function<void(double share)> progress;  // called now and then with the share done, in [0, 1]
};
// Throws bad_data where the token ids of two records cannot mean the same: vocabularies of other sizes.
void require_same_vocabulary(const record::Reader& reference, const record::Reader& candidate);
Measurement measure_all_rows(const record::Reader& reference, const record::Reader& candidate,
                             const RowReading& how = {});

}  // namespace shardrift::analysis
