#include "analysis/measure/measurement_of.hpp"

#include <optional>

#include "analysis/measure/measure_runs.hpp"
#include "analysis/measure/metrics_file.hpp"
#include "common/error.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {
namespace {

namespace fs = std::filesystem;

// nullopt where one of them still grows: what was measured would not be theirs for long.
std::optional<MeasuredFrom> identities(const fs::path& reference, const fs::path& candidate) {
  const auto r = record::identity_of(reference);
  const auto c = record::identity_of(candidate);
  if (!r || !c) return std::nullopt;
  return MeasuredFrom{*r, *c};
}

void say(const MeasureOptions& options, const std::string& sentence) {
  if (options.say) options.say(sentence);
}

// The same runs under another path or name are still the same runs.
void name_as_given(RunSummary& run, const fs::path& path) {
  run.path = path.string();
  run.name = path.stem().string();
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

Measurement measurement_of(const fs::path& reference, const fs::path& candidate,
                           const MeasureOptions& options) {
  const auto from = identities(reference, candidate);
  const fs::path file = metrics_path(reference, candidate);
  if (from && options.use_kept) {
    if (auto measurement = kept(file, *from, options)) {
      name_as_given(measurement->reference, reference);
      name_as_given(measurement->candidate, candidate);
      return std::move(*measurement);
    }
  }
  const auto measurement = measure_runs(record::Reader::open(reference), record::Reader::open(candidate),
                                        {.threads = options.threads, .progress = options.progress});
  // A file that was replaced meanwhile is not what was measured.
  if (from && options.keep && identities(reference, candidate) == from) {
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
