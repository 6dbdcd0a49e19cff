#include "analysis/statistics/run_to_run.hpp"

#include <fmt/core.h>

#include <cmath>

#include "analysis/statistics/metric.hpp"
#include "common/counted.hpp"

namespace shardrift::statistics {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "-";
  return value == 0 ? "0" : fmt::format("{:.3g}", value);
}

}  // namespace

RunToRun run_to_run(const analysis::Measurement& candidate,
                    const std::vector<const analysis::Measurement*>& repeats) {
  return {noise_floor(repeats), above_floor(candidate, repeats, metric("kl"), {})};
}

std::string run_to_run_text(const RunToRun& run) {
  const auto& floor = run.floor;
  const auto repeats = "run-to-run: " + counted(floor.names.size(), "repeat");
  if (floor.rows_differ == 0)
    return fmt::format("{}, no bit of {} moves\n", repeats, counted(floor.rows, "row"));
  return fmt::format(
      "{}, the bits of {} of {} rows ({:.3g}%) move, {}; mean KL of the candidate {}, of its "
      "repeats {}, above that floor {}\n",
      repeats, floor.rows_differ, floor.rows,
      100.0 * static_cast<double>(floor.rows_differ) / static_cast<double>(floor.rows),
      counted(floor.flips, "other choice"), number(run.kl.candidate.value), number(run.kl.floor.value),
      number(run.kl.excess.value));
}

}  // namespace shardrift::statistics
