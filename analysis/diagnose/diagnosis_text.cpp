// What a terminal shows.
#include <fmt/ranges.h>

#include <cmath>
#include <limits>

#include "analysis/diagnose/diagnosis_presenters.hpp"
#include "analysis/diagnose/words.hpp"
#include "common/counted.hpp"
#include "common/error.hpp"
#include "common/text_columns.hpp"

namespace shardrift::analysis {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "-";
  return value == 0 ? "0" : fmt::format("{:.3g}", value);
}

std::int64_t layer_of(const record::Point& point) {
  if (record::in_layer(point.operation)) return point.layer + 1;
  return point.operation == record::Operation::embedding ? 0 : std::numeric_limits<std::int64_t>::max();
}

// Of each layer the station of the largest excess. Of the layer of a departure every operation, the departing
// one shard by shard; after it the logits alone, since all is beyond there.
std::vector<const StationDrift*> shown_of(const SideComparison& side) {
  std::vector<const StationDrift*> shown;
  const auto* last = side.unclear ? &side.unclear->point : nullptr;
  for (const auto& drift : side.drifts) {
    const auto& [point, shard] = drift.station;
    const std::int64_t layer = layer_of(point);
    if (last != nullptr && layer == layer_of(*last)) {
      if (shard == kWholeRow || point == *last) shown.push_back(&drift);
      continue;
    }
    if (last != nullptr && layer > layer_of(*last) && point.operation != record::Operation::logits) continue;
    if (!shown.empty() && layer_of(shown.back()->station.point) == layer) {
      if (drift.worst > shown.back()->worst) shown.back() = &drift;
    } else {
      shown.push_back(&drift);
    }
  }
  return shown;
}

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
  for (const auto* drift : shown_of(side))
    table.add({place_text(drift->station.point, Seen::operations),
               drift->station.shard == kWholeRow ? "" : std::to_string(drift->station.shard),
               fmt::format("{}/{}", drift->rows_differ, drift->rows), number(drift->drift),
               number(drift->level), number(drift->worst), number(drift->mean),
               drift->size == Size::within ? "" : std::string(name_of(drift->size))});
  return table.str();
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
  if (diagnosis.run_to_run) text += statistics::run_to_run_text(*diagnosis.run_to_run);
  if (!diagnosis.to_record.empty())
    text += fmt::format("to know more, record: {}\n", fmt::join(diagnosis.to_record, "; "));
  const SideComparison* shown = diagnosis.find(diagnosis.defect ? diagnosis.defect->side : Side::candidate);
  if (shown != nullptr && !shown->equal()) {
    text += fmt::format("\n{} against {} by rounding alone\n", name_of(shown->side),
                        counted(shown->band, "run that differs", "runs that differ"));
    text += drifts_text(*shown);
  }
  return legible(text, Newlines::kept);
}

}  // namespace shardrift::analysis
