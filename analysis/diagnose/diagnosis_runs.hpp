// Which runs on one device a diagnosis needs, from the plans of the two records.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "parallel/plan/plan.hpp"
#include "record/record.hpp"

namespace shardrift::analysis {

// In this order in a diagnosis.
enum class RunRole {
  candidate,  // the candidate's plan, its sums in its collective's order where that is known
  reference,  // the reference's plan, in the candidate's dtypes
  shards,     // another number of shards
  order,      // the candidate's shards, summed otherwise
  products,   // … their products by other kernels
};
constexpr auto names_of(RunRole) {
  return std::to_array<Named<RunRole>>({{RunRole::candidate, "candidate"},
                                        {RunRole::reference, "reference"},
                                        {RunRole::shards, "shards"},
                                        {RunRole::order, "order"},
                                        {RunRole::products, "products"}});
}

struct DiagnosisRun {
  RunRole role = RunRole::candidate;
  std::string name;  // of its file: "candidate", "shards-2", …
  Plan plan;
};

// has_profile: the order of the candidate's collective is known; else its sums are added in shard order.
// Plans that repeat an earlier one are left out, so there may be no `reference`: then the candidate's is it.
// Launches are eager: all are looked into.
std::vector<DiagnosisRun> diagnosis_runs(const Plan& reference, const Plan& candidate, bool has_profile);

// On what a run was made, as its record's devices say: another engine's plan does not. nullopt: it names no
// device, or some of both kinds.
std::optional<Device> ran_on(const record::Environment& environment);

// Does the candidate's one-device plan fold by a profile, if there is one?
bool wants_profile(const Plan& candidate);

}  // namespace shardrift::analysis
