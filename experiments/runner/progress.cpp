#include "experiments/runner/progress.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace shardrift::runner {

double correction(const std::vector<RunTime>& runs) {
  double took = 0;
  double estimated = 0;
  for (const auto& run : runs) {
    if (!run.done || run.estimated <= 0 || run.begun_with > 0) continue;
    took += run.elapsed;
    estimated += run.estimated;
  }
  return estimated > 0 ? took / estimated : 1;
}

namespace {

constexpr double kTells = 0.02;  // a smaller share of the prompts says nothing yet

double progressed(const RunTime& run) {
  return run.fraction - run.begun_with;
}

// Seconds for all of its prompts, by those that it finished; 0: none yet.
double own_pace(const RunTime& run) {
  return progressed(run) > kTells ? (run.elapsed - run.since) / progressed(run) : 0;
}

// Seconds taken over those estimated, of every run that tells.
struct Paces {
  double low = 1;
  double high = 1;
  bool measured = false;
  bool overdue = false;
};

Paces paces_of(const std::vector<RunTime>& runs) {
  constexpr double kFew = 1.25;  // one pace says nothing about how paces differ
  constexpr double kSome = 1.1;
  Paces paces;
  int seen = 0;
  for (const auto& run : runs) {
    const double pace = own_pace(run);
    if (!(run.done || run.running) || pace <= 0 || run.estimated <= 0) continue;
    const double ratio = pace / run.estimated;
    paces.low = seen == 0 ? ratio : std::min(paces.low, ratio);
    paces.high = seen == 0 ? ratio : std::max(paces.high, ratio);
    ++seen;
  }
  paces.measured = seen > 0;
  if (!paces.measured) {
    for (const auto& run : runs)
      if (run.running && run.estimated > 0)
        paces.low = paces.high = std::max(paces.high, run.elapsed / run.estimated);
    paces.overdue = paces.high > 1;
    return paces;
  }
  const double width = seen == 1 ? kFew : kSome;
  paces.low /= width;
  paces.high *= width;
  return paces;
}

// Of one run, were its pace `pace` times the stated one.
double left_of(const RunTime& run, double pace, bool slow) {
  constexpr double kAlmost = 0.1;  // one that is overdue is not over
  double whole = run.estimated * pace;
  if (!run.running) return whole * (1 - run.fraction);
  const double own = own_pace(run);
  if (own <= 0) return std::max(whole * (1 - run.fraction) - run.elapsed, kAlmost * whole);
  const double left = own * (1 - run.fraction);
  if (slow)
    return std::max(left, run.elapsed / progressed(run) * (1 - run.fraction));  // as if it stood since
  return std::max(left - run.since, kAlmost * left);
}

double left_at(const std::vector<RunTime>& runs, int jobs, double pace, bool slow) {
  double shared = 0;   // of runs beside others
  double longest = 0;  // of these
  double alone = 0;
  for (const auto& run : runs) {
    if (run.done) continue;
    const double left = left_of(run, pace, slow);
    if (run.alone) {
      alone += left;
    } else {
      shared += left;
      longest = std::max(longest, left);
    }
  }
  return alone + std::max(longest, shared / std::max(1, jobs));
}

}  // namespace

TimeLeft time_left(const std::vector<RunTime>& runs, int jobs) {
  const auto paces = paces_of(runs);
  return {left_at(runs, jobs, paces.low, false), left_at(runs, jobs, paces.high, paces.measured),
          paces.measured, paces.overdue};
}

std::string left_text(const TimeLeft& left) {
  const auto low = duration_text(left.low);
  const auto high = duration_text(left.high);
  if (left.overdue) return fmt::format("at least {} left, slower than at stated rates", high);
  if (!left.measured) return fmt::format("about {} left at stated rates, nothing measured yet", high);
  if (low == high) return fmt::format("about {} left", high);
  return fmt::format("{} to {} left", low, high);
}

std::string duration_text(double seconds) {
  if (seconds < 100) return fmt::format("{:.0f} s", std::max(1.0, std::ceil(seconds)));
  const auto minutes = static_cast<long long>(std::ceil(seconds / 60));
  if (minutes < 100) return fmt::format("{} min", minutes);
  return fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

}  // namespace shardrift::runner
