#include "analysis/diagnose/diagnosis.hpp"

#include <algorithm>
#include <memory>
#include <set>

#include "analysis/diagnose/words.hpp"
#include "analysis/measure/differences.hpp"
#include "analysis/measure/measure.hpp"
#include "analysis/measure/repeat.hpp"
#include "common/error.hpp"
#include "parallel/plan/plan_json.hpp"

namespace shardrift::analysis {
namespace {

using record::Reader;

const Reader& of_role(const std::vector<MadeRun>& made, RunRole role) {
  const auto found =
      std::find_if(made.begin(), made.end(), [&](const auto& run) { return run.run.role == role; });
  return *(found == made.end() ? made.front() : *found).reader;  // the reference's plan is the candidate's
}

std::optional<Plan> plan_of(const Reader& run) {
  try {
    return plan_from_json(run.run().plan);
  } catch (const Error&) {  // another program's, or another version's
    return std::nullopt;
  }
}

// Whether the record's numbers are of the plan's kind. Of another engine its dtype says it; how it was
// quantized is the checkpoint's.
bool computes_as(const Plan& plan, const Reader& run) {
  if (const auto own = plan_of(run)) return own->dtype == plan.dtype && own->quantize == plan.quantize;
  return run.run().model.dtype == name_of(plan.dtype) && plan.quantize == Plan().quantize;
}

// Why the reference is not judged.
std::string not_judged(const RunSummary& reference, const RunSummary& candidate, const Plan& plan,
                       bool cut_off) {
  if (cut_off) return fmt::format("{}: {}: it is not judged", reference.name, cut_off_text());
  if (shards_of(reference.run) > 0)
    return fmt::format("{} has other numbers than {}: it is not judged, only its plan's order is",
                       reference.name, candidate.name);
  const auto& dtype = reference.run.model.dtype;
  return fmt::format("{} is another engine's and {}, the runs made here are in {}: it is not judged",
                     reference.name,
                     dtype.empty() ? "does not say in which dtype it computed" : "computed in " + dtype,
                     name_of(plan.dtype));
}

// Distances from one target, each measured once.
class FromTarget {
 public:
  explicit FromTarget(const Reader& target) : target_(target) {}
  const RunDistances& to(const Reader& run) {
    const auto found =
        std::find_if(kept_.begin(), kept_.end(), [&](const auto& one) { return one.first == &run; });
    if (found != kept_.end()) return *found->second;
    kept_.emplace_back(&run, std::make_unique<RunDistances>(distances(target_, run)));
    return *kept_.back().second;
  }

 private:
  const Reader& target_;
  std::vector<std::pair<const Reader*, std::unique_ptr<RunDistances>>> kept_;
};

SideComparison compared(Side side, const RunDistances& run, const std::vector<const RunDistances*>& band,
                        double roundoff) {
  SideComparison comparison;
  comparison.side = side;
  comparison.seen = run.seen;
  comparison.rows = run.rows;
  comparison.rows_differ = run.rows_differ;
  comparison.elements_differ = run.elements_differ;
  comparison.band = static_cast<int>(band.size());
  if (unit_roundoff(run.logits_dtype) > roundoff) comparison.stored_narrower = run.logits_dtype;
  comparison.drifts = drifts(run, band, roundoff);
  comparison.beyond = first_departure(comparison.drifts, Size::beyond);
  comparison.unclear = first_departure(comparison.drifts, Size::unclear);
  return comparison;
}

Size size_of_side(const SideComparison& side) {
  return side.beyond ? Size::beyond : side.unclear ? Size::unclear : Size::within;
}

RepeatDrift repeat_drift(const Reader& repeat, const SideComparison& side) {
  RepeatDrift found;
  found.path = repeat.path().string();
  found.name = name_of_run(repeat.path());
  found.size = size_of_side(side);
  for (const auto& drift : side.drifts) {
    found.worst = std::max(found.worst, drift.worst);
    found.mean = std::max(found.mean, drift.mean);
  }
  return found;
}

// The ranks of the first replica that have these shards of that layer.
std::vector<int> ranks_of(const Plan& plan, const Departure& departure) {
  std::set<int> ranks;
  if (departure.shards.empty() || static_cast<int>(plan.stage_layers.size()) != plan.pipeline) return {};
  for (int rank = 0; rank < plan.tensor_parallel * plan.pipeline; ++rank) {
    const Place place = place_of(plan, rank);
    const bool here = record::in_layer(departure.point.operation)
                          ? place.layers.contains(departure.point.layer)
                      : departure.point.operation == record::Operation::embedding ? place.first_stage
                                                                                  : place.last_stage;
    for (const int shard : departure.shards)
      if (here && place.shards.contains(shard)) ranks.insert(rank);
  }
  return {ranks.begin(), ranks.end()};
}

// What another engine did is known by what it recorded: our worker's flags say nothing to it.
bool is_engines(const RunSummary& run) {
  return !engine_of(run.run).empty();
}

statistics::RunToRun repeated(const Reader& reference, const Reader& candidate,
                              const std::vector<const Reader*>& repeats) {
  std::vector<Measurement> measured;
  for (const auto* repeat : repeats) measured.push_back(measure(candidate, *repeat));
  std::vector<const Measurement*> of_repeats;
  for (const auto& one : measured) of_repeats.push_back(&one);
  return statistics::run_to_run(measure(reference, candidate), of_repeats);
}

class Diagnosing {
 public:
  Diagnosing(const Reader& reference, const Reader& candidate, const std::vector<MadeRun>& made,
             const std::vector<const Reader*>& repeats)
      : reference_(reference), candidate_(candidate), made_(made), repeats_(repeats) {
    diagnosis_.reference = summary_of(reference);
    diagnosis_.candidate = summary_of(candidate);
    for (const auto& run : made) diagnosis_.runs.push_back(run.run);
    roundoff_ = unit_roundoff(made.front().run.plan.dtype);
  }

  Diagnosis run() {
    compare_sides();
    if (!repeats_.empty()) diagnosis_.run_to_run = repeated(reference_, candidate_, repeats_);
    conclude();
    return std::move(diagnosis_);
  }

 private:
  void compare_sides() {
    const Reader& of_candidate = *made_.front().reader;
    const Reader& of_reference = of_role(made_, RunRole::reference);
    diagnosis_.other_weights = other_weights(of_candidate.run(), candidate_.run());
    FromTarget from_candidate(of_candidate);
    FromTarget from_reference(of_reference);
    const bool two_plans = &of_candidate != &of_reference;
    // Other numbers of shards have nothing to do with either plan's shards.
    std::vector<const RunDistances*> independent;
    for (const auto& run : made_)
      if (run.run.role == RunRole::shards) independent.push_back(&from_reference.to(*run.reader));
    bool shards_beyond = false;
    if (two_plans) {
      add(compared(Side::shards, from_reference.to(of_candidate), independent, roundoff_));
      shards_beyond = diagnosis_.sides.back().beyond.has_value();
    }
    std::vector<const RunDistances*> band;
    for (const auto& run : made_)
      if (run.reader != &of_candidate && !(shards_beyond && run.run.role == RunRole::reference))
        band.push_back(&from_candidate.to(*run.reader));
    add(compared(Side::candidate, from_candidate.to(candidate_), band, roundoff_));
    for (const auto* repeat : repeats_)
      diagnosis_.repeats.push_back(
          repeat_drift(*repeat, compared(Side::candidate, from_candidate.to(*repeat), band, roundoff_)));
    const bool cut_off = is_cut_off(reference_);
    if (!cut_off && computes_as(made_.front().run.plan, reference_)) {
      std::vector<const RunDistances*> around = independent;
      if (two_plans && !shards_beyond) around.push_back(&from_reference.to(of_candidate));
      add(compared(Side::reference, from_reference.to(reference_), around, roundoff_));
    } else {
      diagnosis_.why.push_back(
          not_judged(diagnosis_.reference, diagnosis_.candidate, made_.front().run.plan, cut_off));
    }
    std::sort(diagnosis_.sides.begin(), diagnosis_.sides.end(),
              [](const auto& a, const auto& b) { return a.side < b.side; });
  }

  void add(SideComparison comparison) { diagnosis_.sides.push_back(std::move(comparison)); }

  void conclude() {
    const SideComparison& candidate = *diagnosis_.find(Side::candidate);
    diagnosis_.to_record = wanted_of(candidate.seen, is_engines(diagnosis_.candidate));
    if (diagnosis_.other_weights)
      diagnosis_.why.push_back(
          fmt::format("other weights: {} was made with weights of another hash than the model's",
                      diagnosis_.candidate.path));
    const auto apart = repeats_apart_text(diagnosis_, size_of_side(candidate));
    if (!apart.empty()) {
      diagnosis_.why.push_back(apart);
      diagnosis_.to_record.insert(diagnosis_.to_record.begin(), "more repeats, to see which of them is rare");
    }
    for (const auto& side : diagnosis_.sides) {
      if (!side.beyond) continue;
      if (side.side == Side::candidate && !apart.empty()) {
        diagnosis_.why.push_back(departure_text(diagnosis_, side, *side.beyond));
        continue;
      }
      diagnosis_.finding = Finding::defect;
      if (!diagnosis_.defect) locate(side);
      diagnosis_.why.push_back(departure_text(diagnosis_, side, *side.beyond));
    }
    if (diagnosis_.finding == Finding::defect || !apart.empty()) return;
    if (candidate.seen == Seen::nothing || candidate.rows == 0) {
      diagnosis_.why.push_back(candidate.rows == 0
                                   ? "no row of the candidate was fed the tokens of the runs made here"
                                   : "the candidate holds no logits: nothing can be held against a rerun");
      return;
    }
    const auto unclear = std::find_if(diagnosis_.sides.begin(), diagnosis_.sides.end(),
                                      [](const auto& side) { return side.unclear.has_value(); });
    if (unclear != diagnosis_.sides.end()) {
      diagnosis_.why.push_back(departure_text(diagnosis_, *unclear, *unclear->unclear));
      diagnosis_.to_record.insert(diagnosis_.to_record.begin(), "more prompts");
      return;
    }
    diagnosis_.finding = Finding::noise;
    for (const auto& side : diagnosis_.sides) diagnosis_.why.push_back(within_text(diagnosis_, side));
    if (!repeats_.empty()) diagnosis_.why.push_back(repeats_within_text(diagnosis_));
    if (candidate.equal()) diagnosis_.to_record.clear();
  }

  void locate(const SideComparison& side) {
    Defect defect;
    defect.side = side.side;
    defect.departure = *side.beyond;
    const Reader& target =
        side.side == Side::candidate ? *made_.front().reader : of_role(made_, RunRole::reference);
    const auto rows = rows_of(target);
    if (side.beyond->worst.worst_row < rows.size()) defect.row = rows[side.beyond->worst.worst_row];
    const auto plan = plan_of(side.side == Side::reference ? reference_ : candidate_);
    if (plan && side.side != Side::shards) defect.ranks = ranks_of(*plan, *side.beyond);
    diagnosis_.defect = std::move(defect);
  }

  const Reader& reference_;
  const Reader& candidate_;
  const std::vector<MadeRun>& made_;
  const std::vector<const Reader*>& repeats_;
  double roundoff_ = 0;
  Diagnosis diagnosis_;
};

}  // namespace

const SideComparison* Diagnosis::find(Side side) const {
  const auto found =
      std::find_if(sides.begin(), sides.end(), [&](const auto& one) { return one.side == side; });
  return found == sides.end() ? nullptr : &*found;
}

std::optional<Diagnosis> without_runs(const Reader& reference, const Reader& candidate) {
  const bool cut_off = is_cut_off(candidate);
  if (recorded_in(candidate) != Seen::nothing && !cut_off) return std::nullopt;
  Diagnosis diagnosis;
  diagnosis.reference = summary_of(reference);
  diagnosis.candidate = summary_of(candidate);
  diagnosis.why.push_back(fmt::format("{}{}: nothing can be held against a rerun, and none was made",
                                      diagnosis.candidate.path,
                                      cut_off ? fmt::format(": {}", cut_off_text()) : " holds no logits"));
  diagnosis.to_record = wanted_of(Seen::nothing, is_engines(diagnosis.candidate));
  return diagnosis;
}

void require_repeats(const Reader& candidate, const std::vector<const Reader*>& repeats) {
  std::vector<RunSummary> known{summary_of(candidate)};
  for (const auto* repeat : repeats) {
    const auto refuse = [&](const std::string& of, const std::string& why) {
      throw bad_data(
          "--repeat {}: is no repeat of {}: {}; give the candidate's own configuration run once more",
          repeat->path().string(), of, why);
    };
    auto again = summary_of(*repeat);
    for (const auto& one : known)
      if (const auto why = why_no_repeat(one, again); !why.empty()) refuse(one.path, why);
    if (recorded_in(*repeat) == Seen::nothing)
      throw bad_data("--repeat {}: has no logits: nothing of it can be held against a rerun; record them",
                     repeat->path().string());
    if (common_rows(candidate, *repeat) == 0) refuse(known.front().path, "no row was fed the same tokens");
    known.push_back(std::move(again));
  }
}

Diagnosis diagnose(const Reader& reference, const Reader& candidate, const std::vector<MadeRun>& made,
                   const std::vector<const Reader*>& repeats) {
  if (made.empty()) throw failure("diagnose: no run of the candidate's plan: this is a bug");
  return Diagnosing(reference, candidate, made, repeats).run();
}

}  // namespace shardrift::analysis
