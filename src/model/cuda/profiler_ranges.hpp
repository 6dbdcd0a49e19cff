// Phases as NVTX ranges, for nsys and ncu (docs/performance.md).
#pragma once

namespace shardrift {

// From now on what this process tells of its progress is a range each, in the domain "shardrift"; nothing
// where no profiler listens.
void tell_profiler();

}  // namespace shardrift
