// What a terminal shows.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "analysis/explain/explain_presenters.hpp"
#include "analysis/measure/counting.hpp"
#include "analysis/measure/not_comparable.hpp"
#include "common/counted.hpp"
#include "common/error.hpp"
#include "common/text_columns.hpp"

namespace shardrift::analysis {
namespace {

std::string number(double value) {
  return std::isnan(value) ? "-" : value == 0 ? "0" : fmt::format("{:.3g}", value);
}

std::string percent(double share) {
  return std::isnan(share) ? "-" : share == 0 ? "0%" : fmt::format("{:.3g}%", 100 * share);
}

// 0% and 100% are only said where it is none or all of them.
std::string percent(std::int64_t part, std::int64_t whole) {
  if (whole == 0) return "-";
  const double share = static_cast<double>(part) / static_cast<double>(whole);
  if (part != whole && share > 0.9995) return "<100%";
  if (part != 0 && share < 0.0001) return ">0%";
  return percent(share);
}

std::string ratio(std::int64_t part, std::int64_t whole) {
  return fmt::format("{}/{}", part, whole);
}

std::string place(const record::Point& point) {
  const std::string name(name_of(point.operation));
  return record::in_layer(point.operation) ? fmt::format("{} of layer {}", name, point.layer) : name;
}

std::string stream_name(std::int64_t stream) {
  return stream == 0 ? "embedding" : fmt::format("layer {}", stream - 1);
}

std::string first_text(const std::optional<FirstDifference>& first) {
  return first ? place(first->point) : "-";
}

// Shown together: one layer's operations and those outside layers.
bool beside(const record::Point& point, const record::Point& first) {
  return !record::in_layer(point.operation) || point.layer == first.layer;
}

// The sentence that names the first operation, and the operations of its layer with the rows that differ.
std::string operations_text(const Explanation& explanation) {
  const auto& operations = explanation.operations;
  if (operations.empty()) {
    if (const auto stream = explanation.first_stream())
      return fmt::format("first difference (from hidden states): the residual stream after {}\n\n",
                         stream_name(*stream));
    return explanation.streams.empty() ? "" : "hidden states: no difference in any row\n\n";
  }
  if (!explanation.first) return "checksums: no operation differs in any row\n\n";
  const auto& first = *explanation.first;
  const auto at = std::find_if(operations.begin(), operations.end(),
                               [&](const auto& operation) { return operation.point == first.point; });
  // Rows of score runs are the text's own.
  const auto& reference = explanation.reference;
  const std::string where = reference.run.mode == "score" ? "" : place_text(reference, first.step) + ", ";
  std::string text =
      fmt::format("first difference: {}, in {} of {} rows; prompt {}, {}position {}\n", place(first.point),
                  at->rows_differ, at->rows, first.prompt, where, first.position + 1);
  auto before = at;
  while (before != operations.begin() && (before - 1)->rows == 0) --before;
  if (before != operations.begin())
    text += fmt::format("equal in every row until then: {} and all before it\n", place((before - 1)->point));

  TextColumns table(
      {{"operation", Align::left}, {"rows differ", Align::right}, {"first here", Align::right}});
  for (const auto& operation : operations)
    if (operation.rows > 0 && beside(operation.point, first.point))
      table.add({place(operation.point), ratio(operation.rows_differ, operation.rows),
                 operation.first_here == 0 ? "" : std::to_string(operation.first_here)});
  text += "\n" + table.str() + "\n";
  std::int64_t elsewhere = 0;
  for (const auto& operation : operations)
    if (!beside(operation.point, first.point)) elsewhere += operation.first_here;
  if (elsewhere > 0)
    text += fmt::format("{} first {} in another layer\n\n", counted(elsewhere, "row"),
                        elsewhere == 1 ? "differs" : "differ");
  return text;
}

std::string streams_text(const Explanation& explanation) {
  if (explanation.streams.empty()) return {};
  TextColumns table({{"after", Align::left},
                     {"rows differ", Align::right},
                     {"elements differ", Align::right},
                     {"RMS", Align::right},
                     {"RMS difference", Align::right},
                     {"relative", Align::right},
                     {"median row", Align::right}});
  for (const auto& growth : explanation.streams)
    table.add({stream_name(growth.stream), ratio(growth.rows_differ, growth.rows),
               percent(growth.elements_differ, growth.elements), number(growth.rms_reference),
               number(growth.rms_difference), number(growth.relative()), number(growth.row_median)});
  return "growth by layer (residual stream)\n" + table.str() + "\n";
}

// `from`: what is added to a group's bounds: positions are counted from 1.
std::string groups_text(const std::string& title, const std::string& head,
                        const std::vector<RowGroup>& groups, std::int64_t from) {
  if (groups.empty()) return {};
  const bool firsts =
      std::any_of(groups.begin(), groups.end(), [](const auto& g) { return g.first.has_value(); });
  std::vector<TextColumns::Column> columns{{head, Align::right},      {"prompts", Align::right},
                                           {"rows", Align::right},    {"bit-equal", Align::right},
                                           {"RMS", Align::right},     {"max", Align::right},
                                           {"KL mean", Align::right}, {"flips", Align::right}};
  if (firsts) columns.push_back({"first difference", Align::left});
  TextColumns table(columns);
  for (const auto& g : groups) {
    std::vector<std::string> cells{g.end - g.begin > 1
                                       ? fmt::format("{}-{}", g.begin + from, g.end - 1 + from)
                                       : std::to_string(g.begin + from),
                                   std::to_string(g.prompts),
                                   std::to_string(g.rows),
                                   std::to_string(g.rows_bit_equal),
                                   number(g.rms),
                                   number(g.max_abs),
                                   number(g.kl_mean),
                                   std::to_string(g.flips)};
    if (firsts) cells.push_back(first_text(g.first));
    table.add(std::move(cells));
  }
  return title + "\n" + table.str() + "\n";
}

// Where kernels change with the number of rows, in each run by itself.
std::string lengths_text(const Explanation& explanation) {
  std::map<std::pair<std::int64_t, std::int64_t>, std::array<const LengthChange*, 2>> pairs;
  for (const auto& change : explanation.reference_lengths)
    pairs[{change.shorter, change.longer}][0] = &change;
  for (const auto& change : explanation.candidate_lengths)
    pairs[{change.shorter, change.longer}][1] = &change;
  if (pairs.empty()) return {};
  TextColumns table({{"tokens", Align::right},
                     {"rows", Align::right},
                     {"reference: bits change from", Align::left},
                     {"rows", Align::right},
                     {"candidate: bits change from", Align::left},
                     {"rows", Align::right}});
  const auto where = [](const LengthChange* change) {
    return change == nullptr ? std::string("not known") : change->first ? place(*change->first) : "-";
  };
  const auto rows = [](const LengthChange* change) {
    return change == nullptr || change->rows_differ == 0 ? std::string()
                                                         : std::to_string(change->rows_differ);
  };
  std::size_t unchanged = 0;
  for (const auto& [lengths, changes] : pairs) {
    const auto moves = [](const LengthChange* change) { return change != nullptr && change->first; };
    if (!moves(changes[0]) && !moves(changes[1])) {
      ++unchanged;
      continue;
    }
    const auto* one = changes[0] != nullptr ? changes[0] : changes[1];
    table.add({fmt::format("{} -> {}", lengths.first, lengths.second), std::to_string(one->rows),
               where(changes[0]), rows(changes[0]), where(changes[1]), rows(changes[1])});
  }
  return "kernels chosen by prompt length (the same tokens in a longer prompt)\n" +
         (unchanged < pairs.size() ? table.str() : "") +
         fmt::format("{} of {} lengths: no bit changes\n\n", unchanged, pairs.size());
}

std::string residue_text(const Ladder& ladder) {
  const LogitDifference* residue = ladder.residue();
  if (residue == nullptr)
    return "no real run among the rungs: what the ladder leaves unexplained is not known (--real FILE)\n";
  const std::string& last = ladder.rungs[ladder.rungs.size() - 2].name;
  if (residue->bits == 0)
    return fmt::format("residue: 0 bits: the explanation is complete, the real run has the bits of '{}'\n",
                       last);
  return fmt::format(
      "residue: {} bits in {} of {} logits, RMS {}: '{}' is not what the real run did. Another order (probe "
      "that machine and give its profile), another library or another device; what differs between the two "
      "files: shardrift compare\n",
      residue->bits, residue->elements_differ, ladder.elements, number(residue->rms), last);
}

}  // namespace

std::string explanation_text(const Explanation& explanation) {
  std::string text =
      fmt::format("reference  {}  {}\ncandidate  {}  {}\n\n", explanation.reference.path,
                  explanation.reference.plan, explanation.candidate.path, explanation.candidate.plan);
  const auto apart = not_comparable_text(explanation.not_comparable);
  if (!apart.empty()) text += apart + "\n";
  text += operations_text(explanation) + streams_text(explanation);
  text += groups_text("growth by position, from 1 (logits)", "positions", explanation.ranges, 1);
  text += groups_text("growth by prompt length (logits)", "tokens", explanation.prompt_lengths, 0);
  text += lengths_text(explanation);
  for (const auto& note : explanation.notes) text += fmt::format("note: {}\n", note);
  return text;
}

std::string ladder_text(const Ladder& ladder) {
  TextColumns table({{"rung", Align::left},
                     {"what changes", Align::left},
                     {"elements differ", Align::right},
                     {"RMS step", Align::right},
                     {"RMS from first", Align::right},
                     {"share", Align::right},
                     {"KL step", Align::right},
                     {"KL from first", Align::right},
                     {"flips", Align::right},
                     {"first difference", Align::left}});
  for (std::size_t i = 0; i < ladder.rungs.size(); ++i) {
    const auto& rung = ladder.rungs[i];
    const std::string what(rung.kind ? changes(*rung.kind) : std::string_view("(named by you)"));
    if (i == 0) {
      table.add({rung.name, what, "", "", "", "", "", "", "", ""});
      continue;
    }
    table.add({rung.name, what, percent(rung.step.elements_differ, ladder.elements), number(rung.step.rms),
               number(rung.total.rms), percent(rung.share), number(rung.step.kl_mean),
               number(rung.total.kl_mean), std::to_string(rung.step.flips), first_text(rung.first)});
  }
  if (const auto& repeats = ladder.repeats)
    table.add(
        {"run-to-run",
         fmt::format("'{}' once more, {}: the bits of {} rows move", ladder.rungs.back().name,
                     counted(repeats->names.size(), "time"), ratio(repeats->rows_differ, repeats->rows)),
         percent(repeats->largest.elements_differ, ladder.elements), number(repeats->largest.rms), "", "",
         number(repeats->largest.kl_mean), "", std::to_string(repeats->largest.flips), ""});
  std::string text;
  for (const auto& note : ladder.notes) text += fmt::format("{}\n", note);
  text += fmt::format("{}, {}, {}\n\n", counted(ladder.prompts, "prompt"), counted(ladder.rows, "row"),
                      counted(ladder.elements, "logit"));
  for (const auto& rung : ladder.rungs)
    text += fmt::format("{:<10}  {}  {}\n", rung.name, rung.run.path, rung.run.plan);
  text += "\n" + table.str() + "\n";
  text += "A step is against the rung before. ";
  if (!std::isnan(ladder.additivity))
    text += fmt::format(
        "Shares are of the steps' squares, whose sum is {} times the square of the whole difference: 1 if "
        "causes "
        "add up, the number of steps if each moves the logits as far as all together.",
        number(ladder.additivity));
  text += "\n";
  text += residue_text(ladder);
  if (ladder.repeats)
    text += fmt::format("run-to-run: of the step to {}, RMS {} and KL {} are above what its repeats move\n",
                        ladder.rungs.back().name, number(ladder.repeats->rms_above),
                        number(ladder.repeats->kl_above));
  return text;
}

}  // namespace shardrift::analysis
