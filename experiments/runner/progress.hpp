// How far a study is and how long it will take.
#pragma once
#include <string>
#include <vector>

namespace shardrift::runner {

// What is known about the time of one run.
struct RunTime {
  double estimated = 0;   // seconds, by stated rates
  double elapsed = 0;     // of this attempt
  double fraction = 0;    // of its prompts that are finished, 0 to 1
  double begun_with = 0;  // fraction that an earlier attempt had left
  bool running = false;
  bool done = false;   // here and now: elapsed is a measurement
  bool alone = false;  // takes the whole machine, not one of `jobs` places
  double since = 0;    // seconds since `fraction` was reached; prompts of one pass end together
};

// Seconds left, from the fastest pace that was seen here to the slowest.
struct TimeLeft {
  double low = 0;
  double high = 0;
  bool measured = false;  // false: stated rates alone, and low = high
  bool overdue = false;   // not measured, and one takes longer than stated: it is at least so much
};
// What was measured here corrects the stated rates: a run that has finished prompts tells its own pace, and
// that and finished runs tell how far the estimates of the others are off. Paces differ, because the
// machine's other load does and estimates are not equally good: what is left is a range.
TimeLeft time_left(const std::vector<RunTime>& runs, int jobs);
std::string left_text(const TimeLeft& left);  // "3 to 5 min left"
// Seconds that runs took over those that were estimated; 1 where nothing was measured.
double correction(const std::vector<RunTime>& runs);

std::string duration_text(double seconds);  // "40 s", "12 min", "3 h 20 min"

}  // namespace shardrift::runner
