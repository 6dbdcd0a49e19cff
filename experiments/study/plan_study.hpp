// From a study and a machine to the runs that answer it: every entry goes through the worker's own command
// line parser and plan validation before the first one starts.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "common/field_table.hpp"
#include "experiments/study/configuration.hpp"
#include "experiments/study/machine.hpp"
#include "experiments/study/study.hpp"

namespace shardrift::study {

struct PlanOptions {
  std::filesystem::path output;                            // folder of the records, absolute
  std::vector<std::filesystem::path> collective_profiles;  // files or folders searched for a fitting profile
};

// An entry that this machine cannot run, neither live nor as a bit-exact prediction.
struct NotPossible {
  std::string name;
  std::string reason;
  int line = 0;
  std::string plan = {};  // described, where it is known
};
constexpr auto fields_of(std::type_identity<NotPossible>) {  // in status.json; the others are for messages
  return std::tuple{Field{"name", &NotPossible::name}, Field{"reason", &NotPossible::reason}};
}
static_assert(field_count<NotPossible>() == member_count<NotPossible>() - 2);

struct StudyPlan {
  std::vector<Configuration> configurations;  // in the order in which they can run
  std::vector<NotPossible> not_possible;
  std::vector<std::string> notes;  // for the reader: which profile predicts what
};

// Throws bad_data that lists every impossible entry with file and line: flags the worker would refuse, plans
// that cannot be (parallel/plan), a model or prompts file that is not there. What merely does not fit this
// machine is listed in not_possible instead. For a cluster, give a machine with as many devices as the
// largest entry has ranks.
StudyPlan plan_study(const Study& study, const Machine& machine, const PlanOptions& options);

// Names that --only chooses: these and what they follow; all where `only` is empty. Throws usage_error naming
// an unknown one.
std::vector<std::string> chosen_names(const StudyPlan& plan, const std::vector<std::string>& only);

}  // namespace shardrift::study
