#include "analysis/verdict/gathering.hpp"

#include <utility>

#include "common/error.hpp"

namespace shardrift::verdict {

Gathering::Gathering(const record::Reader& reference, analysis::MeasureOptions how)
    : reference_(reference), how_(std::move(how)) {}

void Gathering::use_truth(record::Reader truth) {
  require_same_weights(truth);
  truth_.emplace(std::move(truth));
}

void Gathering::add(Part part, const std::filesystem::path& path, const Seen& seen) {
  const auto record = record::Reader::open(path);
  require_same_weights(record);
  auto measurement = analysis::measure(reference_, record, how_);
  if (part == Part::repeat) require_repeat(record, measurement);
  std::optional<analysis::Measurement> against_truth;
  if (truth_ && part == Part::candidate) against_truth = analysis::measure(*truth_, record, how_);
  if (seen) seen(reference_, record, measurement);
  switch (part) {
    case Part::candidate:
      evidence_.candidates.push_back(std::move(measurement));
      if (against_truth) evidence_.truth_candidates.push_back(std::move(*against_truth));
      break;
    case Part::repeat:
      evidence_.repeats.push_back(std::move(measurement));
      break;
    case Part::yardstick:
      evidence_.yardsticks.push_back(std::move(measurement));
      break;
  }
}

void Gathering::require_same_weights(const record::Reader& record) const {
  if (!analysis::other_weights(reference_.run(), record.run())) return;
  throw bad_data(
      "{}: was recorded with other weights than {}: what differs between them is not the sharding; record "
      "both with one checkpoint (shardrift compare tells how far apart they are)",
      record.path().string(), reference_.path().string());
}

// What is no repeat would be subtracted as if it were the machine's own noise.
void Gathering::require_repeat(const record::Reader& record, const analysis::Measurement& measurement) const {
  const auto& one = measurement.reference;
  const auto& again = measurement.candidate;
  const auto refuse = [&](const std::string& why) {
    throw bad_data(
        "{}: is no repeat of {}: {}; a noise floor is the reference's own configuration run once more",
        record.path().string(), reference_.path().string(), why);
  };
  std::error_code ignored;
  if (std::filesystem::equivalent(record.path(), reference_.path(), ignored)) refuse("it is the same file");
  if (again.run.mode != one.run.mode) refuse(fmt::format("mode {} against {}", again.run.mode, one.run.mode));
  if (again.run.plan != one.run.plan) refuse(fmt::format("{} against {}", again.plan, one.plan));
  // Two runs may begin in the same second, but not take the same time to the last digit.
  if (one.pace.passes > 0 && again.run.created == one.run.created && again.pace.seconds == one.pace.seconds &&
      again.pace.slowest == one.pace.slowest)
    refuse("it is a copy, of the same second and with the same times");
}

Evidence Gathering::evidence() && {
  if (truth_ && !evidence_.candidates.empty())
    evidence_.truth_reference = analysis::measure(*truth_, reference_, how_);
  return std::move(evidence_);
}

}  // namespace shardrift::verdict
