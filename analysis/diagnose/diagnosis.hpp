// Is what a candidate says otherwise than its reference noise or a bug? docs/diagnose.md has the rule in
// words.
//
// The records are held against runs of the same tokens on one device: one of the candidate's plan, one of the
// reference's, and the band, which differ from them by order and kernels alone.
//   candidate  against its plan's run: what the real devices add to the arithmetic
//   shards     the candidate's plan against the reference's, both on one device: what the arithmetic of
//   shards adds reference  against its plan's run
// One comparison beyond rounding (drift.hpp) is a defect there. All within: noise. Else, and where of the
// candidate and its repeats one is within and another is not: cannot tell.
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
  int band = 0;                          // runs that say what rounding makes
  std::optional<DType> stored_narrower;  // the dtype of its logits, where they were computed in a wider one
  std::vector<StationDrift> drifts;
  std::optional<Departure> beyond;   // the first
  std::optional<Departure> unclear;  // the first that is unclear or beyond
  // Every bit is the one device's.
  bool equal() const { return rows > 0 && seen != Seen::nothing && rows_differ == 0 && !unclear; }
};

// A repeat of the candidate, held against the candidate's plan's run as the candidate is.
struct RepeatDrift {
  std::string path, name;
  Size size = Size::within;  // the largest of its stations
  double worst = 0;          // of all stations: the largest excess of a row
  double mean = 0;           // … and the largest root mean square over rows
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
  std::vector<RepeatDrift> repeats;                // likewise
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

// Throws bad_data where one of them is no repeat of the candidate (measure/repeat.hpp), is given twice, has
// no logits, or no row that was fed what the candidate was.
void require_repeats(const record::Reader& candidate, const std::vector<const record::Reader*>& repeats);

// made: the runs of diagnosis_runs, the candidate's first, each fed the candidate's tokens. repeats: records
// of the candidate's configuration. They are judged as the candidate is, by the same levels: noise is what
// all of them are. How far they are from the candidate widens no level, since a fault of one of the two would
// excuse itself so.
Diagnosis diagnose(const record::Reader& reference, const record::Reader& candidate,
                   const std::vector<MadeRun>& made, const std::vector<const record::Reader*>& repeats = {});

}  // namespace shardrift::analysis
