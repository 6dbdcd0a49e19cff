// Is what a candidate says otherwise than its reference noise or a bug? docs/diagnose.md has the rule in
// words.
//
// The records are held against runs of the same tokens on one device: one of the candidate's plan, one of the
// reference's, and the band, which differ from them by order and kernels alone.
//   candidate  against its plan's run: what the real devices add to the arithmetic
//   shards     the candidate's plan against the reference's, both on one device: what the arithmetic of
//   shards adds reference  against its plan's run
// One comparison beyond rounding (drift.hpp) is a defect there. All within: noise. Else: cannot tell.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "analysis/diagnose/diagnosis_runs.hpp"
#include "analysis/diagnose/drift.hpp"
#include "analysis/measure/measurement.hpp"
#include "analysis/statistics/run_to_run.hpp"

namespace shardrift::analysis {

enum class Finding { noise, defect, cannot_tell };
constexpr auto names_of(Finding) {
  return std::to_array<Named<Finding>>(
      {{Finding::noise, "noise"}, {Finding::defect, "defect"}, {Finding::cannot_tell, "cannot tell"}});
}

enum class Side { candidate, shards, reference };
constexpr auto names_of(Side) {
  return std::to_array<Named<Side>>(
      {{Side::candidate, "candidate"}, {Side::shards, "shards"}, {Side::reference, "reference"}});
}

struct SideComparison {
  Side side = Side::candidate;
  Seen seen = Seen::nothing;
  std::int64_t rows = 0;
  std::int64_t rows_differ = 0;
  std::int64_t elements_differ = 0;
  int band = 0;  // runs that say what rounding makes
  std::vector<StationDrift> drifts;
  std::optional<Departure> beyond;   // the first
  std::optional<Departure> unclear;  // the first that is unclear or beyond
  // Every bit is the one device's.
  bool equal() const { return rows > 0 && seen != Seen::nothing && rows_differ == 0 && !unclear; }
};

// Where the defect lies.
struct Defect {
  Side side = Side::candidate;
  Departure departure;
  RowName row;             // of the largest excess
  std::vector<int> ranks;  // of the shards, in the plan of that side; empty: not known
};

struct Diagnosis {
  Finding finding = Finding::cannot_tell;
  RunSummary reference, candidate;
  std::vector<DiagnosisRun> runs;  // that were made
  std::vector<SideComparison> sides;
  std::optional<Defect> defect;
  std::optional<statistics::RunToRun> run_to_run;  // where repeats of the candidate were given
  bool other_weights = false;          // the candidate's record is of other weights than the model
  std::vector<std::string> why;        // sentences: what the finding rests on
  std::vector<std::string> to_record;  // what would tell more, of our worker as its flags; empty: nothing
  const SideComparison* find(Side side) const;
};

struct MadeRun {
  DiagnosisRun run;
  const record::Reader* reader = nullptr;
};

// Where the candidate's record holds nothing that a run could be held against: the diagnosis, without one.
// nullopt: it does, and runs are worth their time.
std::optional<Diagnosis> without_runs(const record::Reader& reference, const record::Reader& candidate);

// made: the runs of diagnosis_runs, the candidate's first, each fed the candidate's tokens. repeats: records
// of the candidate's configuration, whose distances from it are noise whatever makes them.
Diagnosis diagnose(const record::Reader& reference, const record::Reader& candidate,
                   const std::vector<MadeRun>& made, const std::vector<const record::Reader*>& repeats = {});

}  // namespace shardrift::analysis
