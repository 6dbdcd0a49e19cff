#include <fmt/format.h>

#include "analysis/verdict/verdict_presenters.hpp"
#include "common/csv.hpp"

namespace shardrift::verdict {

void write_verdict_csv(std::ostream& out, const Verdict& verdict) {
  out << "candidate,candidate_state,limit,allowed,state,value,low,high,noise_floor,prompts,reason\n";
  for (const auto& candidate : verdict.candidates)
    for (const auto& one : candidate.criteria) {
      out << fmt::format("{},{},{},{},{},{},{},{},{},{},{}\n", csv_cell(candidate.name),
                         name_of(candidate.state), one.limit.kind->name,
                         one.limit.kind->unit == Unit::none ? "" : csv_cell(one.limit.value),
                         name_of(one.state), csv_cell(one.estimate.value),
                         csv_cell(one.estimate.interval.low), csv_cell(one.estimate.interval.high),
                         one.floor ? csv_cell(*one.floor) : "", one.estimate.prompts, csv_cell(one.reason));
    }
}

}  // namespace shardrift::verdict
