#include "analysis/verdict/gathering.hpp"

#include <utility>

#include "analysis/measure/repeat.hpp"
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

void Gathering::require_repeat(const record::Reader& record, const analysis::Measurement& measurement) const {
  const auto why = analysis::why_no_repeat(measurement.reference, measurement.candidate);
  if (!why.empty())
    throw bad_data(
        "{}: is no repeat of {}: {}; a noise floor is the reference's own configuration run once more",
        record.path().string(), reference_.path().string(), why);
}

Evidence Gathering::evidence() && {
  if (truth_ && !evidence_.candidates.empty())
    evidence_.truth_reference = analysis::measure(*truth_, reference_, how_);
  return std::move(evidence_);
}

}  // namespace shardrift::verdict
