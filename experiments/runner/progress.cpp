#include "experiments/runner/progress.hpp"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "common/error.hpp"

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

Line::Line() : terminal_(isatty(STDERR_FILENO) != 0) {}

Line::~Line() {
  clear();
}

void Line::clear() {
  if (!open_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  open_ = false;
}

void Line::show(const std::string& text) {
  if (!terminal_) return;
  winsize size{};
  const std::size_t columns =
      ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1U : 79U;
  std::fprintf(stderr, "\r\033[K%s", text.substr(0, columns).c_str());
  std::fflush(stderr);
  open_ = true;
}

void Line::say(const std::string& text) {
  clear();
  if (std::fputs((text + "\n").c_str(), stdout) == EOF || std::fflush(stdout) != 0)
    throw failure("standard output cannot be written");
}

}  // namespace shardrift::runner
