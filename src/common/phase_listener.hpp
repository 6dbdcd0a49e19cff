// Who is told where this process is (progress.hpp), as it comes there: a profiler's ranges.
#pragma once
#include <cstdint>

namespace shardrift::progress {

// Called on the thread that is there; ranges nest on each thread. number: -1, none.
struct PhaseListener {
  void (*begin)(const char* what, std::int64_t number);  // a range within the one that is open
  void (*end)();                                         // of the newest range
};

// From now on; once, before other threads tell their progress. Where nobody listens, telling costs a load.
void listen(const PhaseListener& listener);

}  // namespace shardrift::progress
