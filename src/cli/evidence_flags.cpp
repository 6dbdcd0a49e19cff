#include "cli/evidence_flags.hpp"

#include "analysis/verdict/gathering.hpp"
#include "cli/commands.hpp"

namespace shardrift::cli {

void add_evidence_options(Arguments& known, EvidenceFlags& flags) {
  known.files(flags.files)
      .option("preset", flags.preset, "NAME", "bitwise, strict or serving (default serving)")
      .option("thresholds", flags.thresholds, "FILE", "limits of your own, TOML")
      .option("noise-floor", flags.noise_floors, "FILE",
              "the reference's configuration run once more; may be repeated")
      .option("truth", flags.truth, "FILE", "the same prompts in float64 or float32")
      .option("yardstick", flags.yardsticks, "FILE",
              "the same prompts quantized or in another dtype; may be repeated");
}

std::vector<std::string> read_by(const EvidenceFlags& flags) {
  std::vector<std::string> files = flags.files;
  files.insert(files.end(), flags.noise_floors.begin(), flags.noise_floors.end());
  files.insert(files.end(), flags.yardsticks.begin(), flags.yardsticks.end());
  files.insert(files.end(), {flags.truth, flags.thresholds});
  return files;
}

verdict::Thresholds thresholds_of(const std::string& command, const EvidenceFlags& flags) {
  if (!flags.preset.empty() && !flags.thresholds.empty())
    throw usage_error("{}: --preset and --thresholds: keep one; a thresholds file can name a preset itself",
                      command);
  if (!flags.thresholds.empty()) return verdict::read_thresholds(flags.thresholds);
  return verdict::preset(flags.preset.empty() ? "serving" : flags.preset);
}

Gathered gather(const EvidenceFlags& flags, bool keep, bool page) {
  Gathered gathered;
  const auto reference = record::Reader::open(flags.files.front());
  verdict::Gathering gathering(reference, {.use_kept = keep, .keep = keep, .say = note});
  if (!flags.truth.empty()) gathering.use_truth(record::Reader::open(flags.truth));
  const auto seen = [&](const record::Reader& r, const record::Reader& c,
                        const analysis::Measurement& measurement) {
    if (page) gathered.excerpts.push_back(report::excerpt_of(r, c, measurement));
  };
  for (auto file = flags.files.begin() + 1; file != flags.files.end(); ++file)
    gathering.add(verdict::Part::candidate, *file, seen);
  for (const auto& file : flags.noise_floors) gathering.add(verdict::Part::repeat, file, seen);
  for (const auto& file : flags.yardsticks) gathering.add(verdict::Part::yardstick, file, seen);
  gathered.evidence = std::move(gathering).evidence();
  return gathered;
}

}  // namespace shardrift::cli
