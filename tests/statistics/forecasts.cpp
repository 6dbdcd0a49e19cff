// The forecast put to the test on real runs that are cut short: what it says of lengths that were measured.
//
//   forecasts FILE.metrics…     as compare, gate and report keep them beside records
//
// One line a run, a cut and a length: predicted share of prompts changed, its interval, what was measured on
// the same prompts; at the end how often the interval held it. docs/results/coverage.md has the table.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "analysis/measure/metrics_file.hpp"
#include "analysis/statistics/flip_forecast.hpp"
#include "analysis/statistics/survival.hpp"
#include "common/error.hpp"

namespace shardrift::statistics {
namespace {

constexpr std::int64_t kCuts[] = {8, 16, 32, 64, 128, 256};

analysis::Measurement cut(analysis::Measurement measurement, std::int64_t tokens) {
  for (auto& prompt : measurement.prompts) {
    if (static_cast<std::int64_t>(prompt.steps.size()) <= tokens) continue;
    prompt.steps.resize(static_cast<std::size_t>(tokens));
    if (prompt.first_flip && *prompt.first_flip >= prompt.steps.size()) prompt.first_flip.reset();
    prompt.reference_stop = "length";
  }
  return measurement;
}

struct Held {
  int points = 0;
  int within = 0;
  double error = 0;  // predicted - measured, summed
};

void check(const std::filesystem::path& path, std::map<std::int64_t, Held>& by_factor) {
  const auto whole = analysis::read_metrics(path).measurement;
  const auto measured = survival(lifetimes(whole), 0.95);
  for (const auto tokens : kCuts) {
    const auto shorter = cut(whole, tokens);
    for (std::int64_t factor = 2; factor * tokens <= measured.longest; factor *= 2) {
      const auto length = factor * tokens;
      const auto rows = margin_rows(shorter);
      const auto law = FlipLawFitter(rows).fit(Drawn(shorter.prompts.size(), 1));
      if (!law) continue;
      const auto predicted = forecast(shorter, rows, *law, length, {});
      const auto point = measured.after(length);
      if (!predicted || !point) continue;
      const auto& last = predicted->points.back().identical;
      const bool held = last.interval.low <= point->share && point->share <= last.interval.high;
      auto& sum = by_factor[factor];
      ++sum.points;
      sum.within += held ? 1 : 0;
      sum.error += point->share - last.value;
      fmt::print("{} {} -> {}: {:.1f}% ({:.1f} to {:.1f}), measured {:.1f}%{}\n", path.stem().string(),
                 tokens, length, 100 * (1 - last.value), 100 * (1 - last.interval.high),
                 100 * (1 - last.interval.low), 100 * (1 - point->share), held ? "" : "  MISSED");
    }
  }
}

}  // namespace
}  // namespace shardrift::statistics

int main(int argc, char** argv) {
  std::map<std::int64_t, shardrift::statistics::Held> by_factor;
  try {
    for (int i = 1; i < argc; ++i) shardrift::statistics::check(argv[i], by_factor);
  } catch (const shardrift::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return static_cast<int>(error.code());
  }
  for (const auto& [factor, held] : by_factor)
    fmt::print("{} times as long: held {} of {}, predicted - measured {:+.1f} points on average\n", factor,
               held.within, held.points, 100 * held.error / held.points);
}
