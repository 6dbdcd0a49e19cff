#include "analysis/measure/measure.hpp"

#include <filesystem>
#include <optional>

#include "analysis/measure/measure_all_rows.hpp"
#include "analysis/measure/metrics_file.hpp"
#include "common/error.hpp"

namespace shardrift::analysis {
namespace {

namespace fs = std::filesystem;
using record::Reader;

// nullopt where one of them still grows: what was measured would not be theirs for long.
std::optional<MeasuredFrom> identities(const Reader& reference, const Reader& candidate) {
  const auto r = reference.identity();
  const auto c = candidate.identity();
  if (!r || !c) return std::nullopt;
  return MeasuredFrom{*r, *c};
}

void say(const MeasureOptions& options, const std::string& sentence) {
  if (options.say) options.say(sentence);
}

// The same runs under another path or name are still the same runs.
void name_as_opened(RunSummary& run, const fs::path& path) {
  run.path = path.string();
  run.name = name_of_run(path);
}

std::optional<Measurement> kept(const fs::path& file, const MeasuredFrom& from,
                                const MeasureOptions& options) {
  std::error_code error;
  if (!fs::exists(file, error)) return std::nullopt;
  try {
    auto metrics = read_metrics(file);
    if (metrics.from == from) return std::move(metrics.measurement);
  } catch (const Error& problem) {
    say(options, fmt::format("{}: measuring again", problem.what()));
  }
  return std::nullopt;
}

}  // namespace

Measurement measure(const Reader& reference, const Reader& candidate, const MeasureOptions& options) {
  const auto from = identities(reference, candidate);
  const fs::path file = metrics_path(reference.path(), candidate.path());
  if (from && options.use_kept) {
    if (auto measurement = kept(file, *from, options)) {
      name_as_opened(measurement->reference, reference.path());
      name_as_opened(measurement->candidate, candidate.path());
      return std::move(*measurement);
    }
  }
  auto measurement =
      measure_all_rows(reference, candidate, {.threads = options.threads, .progress = options.progress});
  // A file that was replaced meanwhile is not what was measured.
  if (from && options.keep && reference.unchanged() && candidate.unchanged()) {
    try {
      write_metrics(file, measurement, *from);
    } catch (const Error& problem) {
      say(options,
          fmt::format("{}; the metrics are not kept, the next command measures again", problem.what()));
    }
  }
  return measurement;
}

}  // namespace shardrift::analysis
