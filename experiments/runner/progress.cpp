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

double seconds_left(const std::vector<RunTime>& runs, int jobs) {
  constexpr double kTells = 0.02;  // a smaller share of the prompts says nothing yet
  const double factor = correction(runs);
  double shared = 0;   // of runs beside others
  double longest = 0;  // of these
  double alone = 0;
  for (const auto& run : runs) {
    if (run.done) continue;
    double left = run.estimated * factor * (1 - run.fraction);
    const double progressed = run.fraction - run.begun_with;
    if (run.running && progressed > kTells) {
      left = run.elapsed * (1 - run.fraction) / progressed;
    } else if (run.running) {
      left = std::max(left - run.elapsed, 0.1 * left);
    }
    if (run.alone) {
      alone += left;
    } else {
      shared += left;
      longest = std::max(longest, left);
    }
  }
  return alone + std::max(longest, shared / std::max(1, jobs));
}

std::string duration_text(double seconds) {
  if (seconds < 100) return fmt::format("{:.0f} s", std::max(1.0, std::ceil(seconds)));
  const auto minutes = static_cast<long long>(std::ceil(seconds / 60));
  if (minutes < 100) return fmt::format("{} min", minutes);
  return fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

std::string bytes_text(double bytes) {
  if (bytes < 1e6) return fmt::format("{:.0f} kB", std::ceil(bytes / 1e3));
  if (bytes < 1e9) return fmt::format("{:.0f} MB", std::ceil(bytes / 1e6));
  return fmt::format("{:.1f} GB", bytes / 1e9);
}

}  // namespace shardrift::runner
