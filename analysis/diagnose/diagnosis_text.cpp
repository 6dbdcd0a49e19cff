// What a terminal shows.
#include <fmt/ranges.h>

#include <cmath>

#include "analysis/diagnose/diagnosis_presenters.hpp"
#include "analysis/diagnose/words.hpp"
#include "common/error.hpp"
#include "common/text_columns.hpp"

namespace shardrift::analysis {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "-";
  return value == 0 ? "0" : fmt::format("{:.3g}", value);
}

// Layer by layer the station of the largest excess, and all operations around a departure.
std::string drifts_text(const SideComparison& side) {
  if (side.drifts.empty()) return "";
  TextColumns table({{"operation", Align::left},
                     {"shard", Align::right},
                     {"rows differ", Align::right},
                     {"drift", Align::right},
                     {"rounding", Align::right},
                     {"worst row", Align::right},
                     {"mean", Align::right},
                     {"", Align::left}});
  const auto layer_of = [](const StationDrift& drift) {
    const auto operation = drift.station.point.operation;
    if (record::in_layer(operation)) return drift.station.point.layer + 1;
    return operation == record::Operation::embedding ? std::int64_t{0} : std::int64_t{-1};
  };
  std::size_t i = 0;
  while (i < side.drifts.size()) {
    std::size_t end = i;
    std::size_t most = i;
    while (end < side.drifts.size() && layer_of(side.drifts[end]) == layer_of(side.drifts[i])) {
      if (side.drifts[end].worst > side.drifts[most].worst) most = end;
      ++end;
    }
    const bool departs =
        side.unclear && layer_of(StationDrift{{side.unclear->point, kWholeRow}}) == layer_of(side.drifts[i]);
    for (; i < end; ++i) {
      const auto& drift = side.drifts[i];
      if (i != most && !(departs && side.seen == Seen::operations)) continue;
      table.add({place_text(drift.station.point, Seen::operations),
                 drift.station.shard == kWholeRow ? "" : std::to_string(drift.station.shard),
                 fmt::format("{}/{}", drift.rows_differ, drift.rows), number(drift.drift),
                 number(drift.level), number(drift.worst), number(drift.mean),
                 drift.size == Size::within ? "" : std::string(name_of(drift.size))});
    }
  }
  return table.str();
}

std::string run_to_run_text(const RunToRun& run) {
  const auto& floor = run.floor;
  if (floor.zero_bits)
    return fmt::format("run-to-run: {} repeat{}, no bit of {} rows moves\n", floor.names.size(),
                       floor.names.size() == 1 ? "" : "s", floor.rows);
  return fmt::format(
      "run-to-run: {} repeat{}, the bits of {} of {} rows ({:.3g}%) move, {} other choices; mean KL of the "
      "candidate {}, of "
      "its repeats {}, above that floor {}\n",
      floor.names.size(), floor.names.size() == 1 ? "" : "s", floor.rows_differ, floor.rows,
      floor.rows > 0 ? 100.0 * static_cast<double>(floor.rows_differ) / static_cast<double>(floor.rows) : 0.0,
      floor.flips, number(run.kl.candidate.value), number(run.kl.floor.value), number(run.kl.excess.value));
}

}  // namespace

std::string diagnosis_text(const Diagnosis& diagnosis) {
  std::string text(name_of(diagnosis.finding));
  if (diagnosis.defect) {
    const auto& [side, departure, row, ranks] = *diagnosis.defect;
    const auto* compared = diagnosis.find(side);
    const auto shards = shards_text(departure, ranks);
    text += ": " + place_text(departure.point, compared->seen);
    if (!shards.empty()) text += ", " + shards;
    if (side == Side::reference) text += ", of the reference";
    text += fmt::format("; worst in prompt {}, position {}", row.prompt, row.position + 1);
  }
  text += '\n';
  for (const auto& sentence : diagnosis.why) text += "  " + sentence + ".\n";
  if (diagnosis.run_to_run) text += run_to_run_text(*diagnosis.run_to_run);
  if (!diagnosis.to_record.empty())
    text += fmt::format("to know more, record: {}\n", fmt::join(diagnosis.to_record, "; "));
  const SideComparison* shown = diagnosis.find(diagnosis.defect ? diagnosis.defect->side : Side::candidate);
  if (shown != nullptr && !shown->equal()) {
    text += fmt::format("\n{} against {} runs that differ by rounding alone\n", name_of(shown->side),
                        shown->band);
    text += drifts_text(*shown);
  }
  return legible(text, Newlines::kept);
}

}  // namespace shardrift::analysis
