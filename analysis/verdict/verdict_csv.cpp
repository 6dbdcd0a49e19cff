#include <fmt/format.h>

#include <cmath>

#include "analysis/text/csv_cell.hpp"
#include "analysis/verdict/verdict_text.hpp"

namespace shardrift::verdict {
namespace {

using analysis::csv_cell;

std::string number(double value) {  // shortest exact form; empty: no value
  return std::isfinite(value) ? fmt::format("{}", value) : "";
}

}  // namespace

void write_verdict_csv(std::ostream& out, const Verdict& verdict) {
  out << "candidate,candidate_state,limit,allowed,state,value,low,high,noise_floor,prompts,reason\n";
  for (const auto& candidate : verdict.candidates)
    for (const auto& one : candidate.criteria) {
      const bool bits = std::string_view(one.limit.kind->name) == "bit_equal";
      out << fmt::format("{},{},{},{},{},{},{},{},{},{},{}\n", csv_cell(candidate.name),
                         name_of(candidate.state), one.limit.kind->name, bits ? "" : number(one.limit.value),
                         name_of(one.state), number(one.estimate.value), number(one.estimate.interval.low),
                         number(one.estimate.interval.high), one.floor ? number(*one.floor) : "",
                         one.estimate.prompts, csv_cell(one.reason));
    }
}

}  // namespace shardrift::verdict
