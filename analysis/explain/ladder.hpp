// The explanation ladder: runs between the reference and a real run on several devices, each changing one
// thing against the one before (docs/explain.md). Their differences say what each thing
// does; the last rung predicts the real run, and what is left of it is the residue, in bits.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "analysis/explain/explanation.hpp"
#include "common/named_enum.hpp"
#include "parallel/plan/plan.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {

enum class RungKind {
  reference,   // one device, one shard, the library's products
  product,     // row-parallel products in float32, rounded by ourselves: another kernel, the same shape
  shards,      // S shards, their float32 products added exactly: other shapes, nothing rounded between
  partials,    // each shard's product rounded to the model's dtype before the exact sum
  hops,        // rounded at every add as well, in shard order
  order,       // … in the order of the real collective
  prediction,  // … of the products the library itself rounds: all that a real run does, on one device
  routes,      // of a mixture, whose rungs so far had the reference's experts: each token's own
  real,        // several devices and their collective
};
// In the ladder's order.
constexpr auto names_of(RungKind) {
  return std::to_array<Named<RungKind>>({{RungKind::reference, "reference"},
                                         {RungKind::product, "product"},
                                         {RungKind::shards, "shards"},
                                         {RungKind::partials, "partials"},
                                         {RungKind::hops, "hops"},
                                         {RungKind::order, "order"},
                                         {RungKind::prediction, "prediction"},
                                         {RungKind::routes, "routes"},
                                         {RungKind::real, "real"}});
}
std::string_view changes(RungKind kind);  // against the rung before it, in words

// The rung that a run is by its plan; nullopt where it is none of them.
std::optional<RungKind> rung_of(const Plan& plan);

// The plans of the rungs between reference and real run, in order, on one device. Rungs that would repeat
// the one before are left out: in float32 and float64 there is no narrower product to round, two shards have
// one order, --row-linear gather sums nothing. real: the plan that is explained, its ranks and stages
// ignored. has_profile: without one, three shards and more have no order and prediction. mixture: the rungs
// after the reference replay its routes, but for a last one, whose step is then what other routes alone
// cause. Throws usage_error for S = 1.
struct PlannedRung {
  RungKind kind = RungKind::reference;
  Plan plan;
  bool replays_routes = false;  // the reference's
};
std::vector<PlannedRung> planned_rungs(const Plan& real, bool has_profile, bool mixture = false);

struct RungFile {
  std::string name;
  std::optional<RungKind> kind;
  std::filesystem::path path;
};
// Recognises each file by its plan, and of two with one plan that with routes of its own by what the other
// replays, and puts them in order. Throws usage_error where one is no rung or two are the same, naming
// --rung.
std::vector<RungFile> recognised(const std::vector<std::filesystem::path>& paths);

// Two runs' logits over the ladder's rows.
struct LogitDifference {
  std::int64_t rows_differ = 0;
  std::int64_t elements_differ = 0;
  std::int64_t bits = 0;      // stored bits that differ, of all words
  double rms = kNoValue;      // sqrt(mean (y - x)²)
  double kl_mean = kNoValue;  // KL(x || y), nats
  std::int64_t flips = 0;     // rows with another chosen token
};

struct LadderRung {
  std::string name;
  std::optional<RungKind> kind;
  RunSummary run;
  LogitDifference step;   // against the rung before it; the first's is nothing
  LogitDifference total;  // against the first
  // step.rms² of the sum of all steps' squares: the shares add up to 1. NaN where no step moves anything.
  double share = kNoValue;
  std::optional<FirstDifference> first;  // against the rung before, where both have checksums
};

// The last run's configuration run again: what no rung explains, where a run does not repeat its own bits.
struct LadderRepeats {
  std::vector<std::string> names;
  std::int64_t rows = 0;         // compared, over all repeats
  std::int64_t rows_differ = 0;  // whose bits move
  LogitDifference largest;       // of the repeats, by RMS, the last run against it
  // What of the step to the last run exceeds that: sqrt(max(0, step² - largest²)) of the RMS, the difference
  // of the mean KL, at least 0.
  double rms_above = kNoValue;
  double kl_above = kNoValue;
};

struct Ladder {
  std::vector<LadderRung> rungs;
  std::int64_t prompts = 0;
  std::int64_t rows = 0;  // that all runs have in common
  std::int64_t elements = 0;
  std::vector<std::string> notes;
  bool has_real = false;  // the last rung is a real run
  std::optional<LadderRepeats> repeats;
  // The sum of the steps' squares, of the square of the whole difference between first and last rung. Near 1:
  // the causes add up like independent ones. Near the number of steps that move anything: each alone moves
  // the logits as far as all together, as rounding does once it has spread. NaN where first and last are
  // equal.
  double additivity = kNoValue;
  // Between the last rung and the one before it, where the last is real: 0 when the explanation is complete.
  const LogitDifference* residue() const { return has_real ? &rungs.back().step : nullptr; }
};

// Throws bad_data naming the file and the first prompt that has no logits, which a ladder is made of.
void require_logits(const record::Reader& reader);

// Rows that were fed the same tokens in all runs, in one pass over all files; a few rows of each in memory.
// Throws bad_data where the files do not belong together, or have no logits, or other dtypes.
// repeats: records of the last run's configuration.
Ladder measure_ladder(const std::vector<RungFile>& files,
                      const std::vector<std::filesystem::path>& repeats = {});

}  // namespace shardrift::analysis
