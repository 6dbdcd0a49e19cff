#include "analysis/diagnose/words.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "common/counted.hpp"
#include "common/error.hpp"

namespace shardrift::analysis {
namespace {

using record::Operation;

std::string side_text(const Diagnosis& diagnosis, Side side) {
  switch (side) {
    case Side::candidate:
      return diagnosis.candidate.name;
    case Side::reference:
      return "the reference, " + diagnosis.reference.name + ",";
    default:
      return "one device computing the candidate's plan";
  }
}

std::string_view against(Side side) {
  switch (side) {
    case Side::candidate:
      return "its own plan on one device";
    case Side::reference:
      return "its own plan run again";
    default:
      return "the reference's plan";
  }
}

std::string times(double excess) {
  return std::isinf(excess) ? "where nothing may move" : fmt::format("{:.3g} times as much", excess);
}

// A side that differs has drifts.
const StationDrift& largest(const SideComparison& side, double StationDrift::*excess) {
  return *std::max_element(side.drifts.begin(), side.drifts.end(),
                           [&](const auto& a, const auto& b) { return a.*excess < b.*excess; });
}

// The largest excess of a row and the largest mean, and from where on they would be more than rounding.
std::string excess_text(const SideComparison& side) {
  const auto& row = largest(side, &StationDrift::worst);
  const auto& mean = largest(side, &StationDrift::mean);
  const auto place = [](const StationDrift& drift) {
    return place_text(drift.station.point, Seen::operations);
  };
  const auto where = place(row) == place(mean) ? "" : fmt::format(" in {}", place(mean));
  const auto at_logits =
      side.seen == Seen::streams ? fmt::format(" (at the logits {:g})", kMeanNoiseOfLogits) : "";
  return fmt::format(
      "{:.3g} times what rounding makes in the worst row, in {}, {:.3g} times in the root mean square over "
      "rows{}; unclear would be more than {:g} or {:g}{}, a defect more than {:g} or {:g}",
      row.worst, place(row), mean.mean, where, kRowNoise, mean_noise(side.seen, mean.station.point.operation),
      at_logits, kRowDefect, kMeanDefect);
}

}  // namespace

std::string place_text(const record::Point& point, Seen seen) {
  const auto name = name_of(point.operation);
  if (seen == Seen::logits) return "somewhere before the logits";
  if (seen == Seen::streams && point.operation == Operation::mlp_residual)
    return fmt::format("layer {}", point.layer);
  if (seen == Seen::streams && point.operation == Operation::logits) return "final_norm or logits";
  return record::in_layer(point.operation) ? fmt::format("{} of layer {}", name, point.layer)
                                           : std::string(name);
}

std::string shards_text(const Departure& departure, const std::vector<int>& ranks) {
  if (departure.shards.empty() || departure.shards_seen < 2) return "";
  const auto seen = static_cast<std::size_t>(departure.shards_seen);
  if (departure.shards.size() == seen) return fmt::format("all {} shards", seen);
  std::string text = departure.shards.size() == 1 ? "shard " : "shards ";
  text += fmt::format("{} of {}", fmt::join(departure.shards, ", "), seen);
  if (!ranks.empty())
    text += fmt::format(" ({} {})", ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "));
  return text;
}

std::string_view look_at(Operation operation) {
  switch (operation) {
    case Operation::embedding:
      return "the embedding's rows, a multiplier of the embedding, the tokens that were fed";
    case Operation::attention_norm:
    case Operation::mlp_norm:
    case Operation::final_norm:
      return "the norm's weights and epsilon";
    case Operation::qkv:
      return "weights and biases of queries, keys and values, and how heads are dealt to shards";
    case Operation::query_key_norm:
      return "the norms of queries and keys";
    case Operation::rope:
      return "positions, the rope's base and scaling";
    case Operation::attention:
      return "what the KV cache holds of earlier tokens, masks, windows, the scale of scores";
    case Operation::attention_partials:
      return "the shard's columns of o_proj";
    case Operation::attention_sum:
      return "the sum over ranks, the bias of o_proj";
    case Operation::attention_residual:
    case Operation::mlp_residual:
      return "the residual: a norm after the block, a multiplier, the addition";
    case Operation::router:
      return "the router's weights";
    case Operation::gate_up:
      return "weights and biases of gate and up, and how columns are dealt to shards";
    case Operation::activation:
      return "the activation function";
    case Operation::mlp_partials:
      return "the shard's columns of down_proj";
    case Operation::mlp_sum:
      return "the sum over ranks, the bias of down_proj";
    case Operation::logits:
      return "the head's rows, a divisor or cap of the logits";
  }
  return "";
}

std::string departure_text(const Diagnosis& diagnosis, const SideComparison& side,
                           const Departure& departure) {
  const StationDrift& worst = departure.worst;
  const auto shards =
      shards_text(departure, diagnosis.defect && diagnosis.defect->side == side.side ? diagnosis.defect->ranks
                                                                                     : std::vector<int>());
  std::string text = fmt::format("{} departs from {} {}{}{}{}", side_text(diagnosis, side.side),
                                 against(side.side), side.seen == Seen::logits ? "" : "in ",
                                 place_text(departure.point, side.seen), shards.empty() ? "" : ", ", shards);
  text += fmt::format(": by {:.2g} of its size over {}, where rounding makes {:.2g}; in the worst row {}",
                      worst.drift, counted(worst.rows, "row"), worst.level, times(worst.worst));
  if (departure.size == Size::unclear)
    text += fmt::format(", {:.3g} in the root mean square over rows; noise is at most {:g} and {:g}",
                        worst.mean, kRowNoise, mean_noise(side.seen, departure.point.operation));
  if (side.seen == Seen::operations && departure.size == Size::beyond)
    text += fmt::format(". All before it is within rounding: look at {}", look_at(departure.point.operation));
  return text;
}

std::string within_text(const Diagnosis& diagnosis, const SideComparison& side) {
  if (side.rows == 0 || side.seen == Seen::nothing)
    return fmt::format("{}: no row to hold against {}", side_text(diagnosis, side.side), against(side.side));
  if (side.equal())
    return fmt::format("{} has every bit of {}: {}", side_text(diagnosis, side.side), against(side.side),
                       counted(side.rows, "row"));
  auto text = fmt::format("{} differs from {} in {} of {}, as far as rounding may drive it: {}",
                          side_text(diagnosis, side.side), against(side.side), side.rows_differ,
                          counted(side.rows, "row"), excess_text(side));
  if (side.stored_narrower)
    text += fmt::format(
        ". Its logits are stored in {}, narrower than they were computed: what is less than half a "
        "unit in the last place of that is not seen",
        name_of(*side.stored_narrower));
  if (side.seen == Seen::logits)
    text += fmt::format(
        ". Logits alone were seen: a defect that moves them less than {:g} times as far as rounding does in "
        "every row, and {:g} times in the mean, is not seen so",
        kRowNoise, kMeanNoiseOfLogits);
  return text;
}

std::string repeats_apart_text(const Diagnosis& diagnosis, Size candidate) {
  std::vector<std::string> within;
  std::vector<std::string> not_within;
  (candidate == Size::within ? within : not_within).push_back(diagnosis.candidate.name);
  for (const auto& repeat : diagnosis.repeats)
    (repeat.size == Size::within ? within : not_within)
        .push_back(fmt::format("{} ({}, {:.3g} in the mean)", repeat.name, times(repeat.worst), repeat.mean));
  if (within.empty() || not_within.empty()) return "";
  return fmt::format(
      "a run and its repeat are not of one kind: {} {} within what rounding makes, {} {} not; which of them "
      "is "
      "the engine's usual one, these runs do not say",
      fmt::join(within, " and "), within.size() == 1 ? "is" : "are", fmt::join(not_within, " and "),
      not_within.size() == 1 ? "is" : "are");
}

std::string repeats_within_text(const Diagnosis& diagnosis) {
  double worst = 0;
  double mean = 0;
  for (const auto& repeat : diagnosis.repeats) {
    worst = std::max(worst, repeat.worst);
    mean = std::max(mean, repeat.mean);
  }
  return fmt::format(
      "{} of it, held against the same run, {} within rounding as well: at most {:.3g} and {:.3g} times",
      counted(static_cast<std::int64_t>(diagnosis.repeats.size()), "repeat"),
      diagnosis.repeats.size() == 1 ? "is" : "are", worst, mean);
}

std::string_view cut_off_text() {
  return "its log-probabilities are cut off far below the largest, and coded more coarsely than rounding";
}

std::vector<std::string> wanted_of(Seen seen, bool of_engine) {
  if (of_engine) {
    if (seen == Seen::nothing) return {"the engine's logits (docs/engines.md): a server's answers have none"};
    if (seen == Seen::logits)
      return {
          "the residual stream after each layer, which tells the layer, and defects that the logits do not: "
          "record_transformers.py --record hidden, or /prompts/ID/hidden of docs/file-format.md",
          "or all of it in float32, where rounding hides far less"};
    return {};
  }
  switch (seen) {
    case Seen::nothing:
      return {"--record logits --sketches"};
    case Seen::logits:
    case Seen::streams:
      return {"--sketches"};
    default:
      return {};
  }
}

}  // namespace shardrift::analysis
