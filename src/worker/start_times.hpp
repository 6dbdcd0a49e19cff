// How long this process took to come to each point of its start, counted from when it was started: loading of
// libraries included.
#pragma once
#include <string>
#include <vector>

namespace shardrift {

struct StartTime {
  std::string what;
  double seconds = 0;  // since the point before
};

// The main thread is done with this; the text is a literal. The first of each counts.
void started(const char* what);
const std::vector<StartTime>& start_times();
double seconds_since_start();  // of the process

}  // namespace shardrift
