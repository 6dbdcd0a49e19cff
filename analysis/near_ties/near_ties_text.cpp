#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "analysis/near_ties/near_ties_presenters.hpp"
#include "common/counted.hpp"
#include "common/text_columns.hpp"

namespace shardrift::analysis {
namespace {

constexpr std::size_t kTokenWidth = 20;  // characters of a token

std::string token_text(std::int32_t id, const std::string& text) {
  if (id < 0) return "-";
  return text.empty() ? std::to_string(id) : fmt::format("{} {}", id, quoted(text, kTokenWidth));
}

std::string words_of(const MessageDiff& message) {
  if (!message.unknown_to_a.empty()) return "not known to A: " + message.unknown_to_a;
  if (!message.unknown_to_b.empty()) return "not known to B: " + message.unknown_to_b;
  for (const auto& [side, seen] : {std::pair("A", &message.seen_a), std::pair("B", &message.seen_b)})
    if (!seen->empty()) return fmt::format("in {} {}", side, *seen);
  if (!message.rounds_a.empty())
    return fmt::format("A rounds at {}, B at {}", message.rounds_a, message.rounds_b);
  if (message.others.empty()) return "the same order";
  return fmt::format("{:.1f}% of the elements in another order{}",
                     100.0 * static_cast<double>(message.elements()) / static_cast<double>(message.count),
                     message.seldom() ? ", rounded once" : "");
}

// Messages of which the same is to be said, in one line.
std::string messages_text(const NearTies& ties) {
  struct Line {
    std::int64_t smallest = 0, largest = 0, sizes = 0, rows = 0;
    std::string words;
  };
  std::vector<Line> lines;
  for (const auto& sent : ties.messages) {
    const auto words = (sent.diff.captured ? "captured, " : "") + words_of(sent.diff);
    auto line = std::find_if(lines.begin(), lines.end(), [&](const Line& one) { return one.words == words; });
    if (line == lines.end()) line = lines.insert(line, {sent.diff.count, sent.diff.count, 0, 0, words});
    line->largest = sent.diff.count;
    ++line->sizes;
    line->rows += sent.rows;
  }
  std::string text;
  for (const auto& line : lines)
    text += fmt::format("  {} elements, {}: {}\n",
                        line.sizes == 1
                            ? std::to_string(line.smallest)
                            : fmt::format("{} to {} ({} sizes)", line.smallest, line.largest, line.sizes),
                        counted(line.rows, "step"), line.words);
  return text;
}

bool flipped(const OrderRun& run, const NearTie& one) {
  return std::any_of(run.flips.begin(), run.flips.end(), [&](const OrderFlip& flip) {
    return flip.step == one.step && flip.prompt == one.prompt;
  });
}

std::string near_text(const NearTies& ties, const OrderRun* run, std::size_t rows) {
  TextColumns table({{"prompt", Align::left},
                     {"token", Align::right},
                     {"margin", Align::right},
                     {"scale", Align::right},
                     {"P(flip)", Align::right},
                     {"chosen", Align::left},
                     {"second", Align::left},
                     {run != nullptr ? "flips" : "", Align::left}});
  for (std::size_t i = 0; i < std::min(rows, ties.near.size()); ++i) {
    const auto& one = ties.near[i];
    table.add({one.prompt, std::to_string(one.step + 1), fmt::format("{:.4g}", one.margin),
               fmt::format("{:.3g}", one.scale), fmt::format("{:.2g}", one.probability),
               token_text(one.chosen, one.chosen_text), token_text(one.second, one.second_text),
               run == nullptr       ? ""
               : flipped(*run, one) ? "yes"
                                    : "no"});
  }
  std::string text = table.str();
  if (ties.near.size() > rows) text += fmt::format("and {} more (--rows, --json)\n", ties.near.size() - rows);
  return text;
}

std::string run_text(const NearTies& ties, const OrderRun& run, std::size_t rows) {
  std::string text = fmt::format(
      "\nrun, both orders on one device, fed the record's tokens:\n  A  {}\n  B  {}\n", run.a, run.b);
  if (run.rows_of_record)
    text += fmt::format("  A has the record's bits in {} of {} rows\n", *run.rows_of_record, run.rows);
  text += fmt::format("  rows whose bits the change moves: {} of {}; RMS {:.3g}, KL mean {:.3g} nats\n",
                      run.rows_differ, run.rows, run.rms, run.kl_mean);
  text += fmt::format("  margins moved by {:.3g} (RMS); estimated was {:.3g}{}\n", run.measured_scale,
                      ties.scale, run.law.empty() ? "" : "; " + run.law);
  for (std::size_t i = 0; i < std::min(rows, run.flips.size()); ++i) {
    const auto& one = run.flips[i];
    text += fmt::format("    {} token {}: {} in A, {} in B, margin {:.4g}{}\n", one.prompt, one.step + 1,
                        one.chosen_a, one.chosen_b, one.margin, one.named ? "" : " (not named)");
  }
  if (run.flips.size() > rows)
    text += fmt::format("    and {} more (--rows, --json)\n", run.flips.size() - rows);
  return text;
}

}  // namespace

std::string near_ties_answer(const NearTies& ties, const OrderRun* run) {
  std::string text;
  if (ties.reached == 0 && ties.seldom > 0) {
    text = fmt::format(
        "{} of the record's {} {} on sums that are added in another order, but in a wider dtype and rounded "
        "once: few of these, if any, have other bits, and no flip is expected{}\n",
        ties.seldom, counted(ties.rows, "step"), ties.seldom == 1 ? "depends" : "depend",
        run == nullptr ? " (--run computes both)" : "");
  } else if (ties.reached == 0) {
    text = fmt::format(
        "none of the record's {} depends on a sum that is added in another order: none can flip\n",
        counted(ties.rows, "step"));
  } else {
    text = fmt::format("{} of the record's {} {} on a sum that {} in another order", ties.reached,
                       counted(ties.rows, "step"), ties.reached == 1 ? "depends" : "depend",
                       ties.not_known == ties.reached ? "may be added" : "is added");
    if (ties.not_known > 0 && ties.not_known < ties.reached)
      text += fmt::format(" ({} only on sums that a profile does not know)", ties.not_known);
    text += fmt::format("; {} of them so near a tie that they can flip: about {:.1f} flips are expected\n",
                        ties.near.size(), ties.expected);
  }
  if (run == nullptr) return text;
  if (run->rows_differ == 0) text.insert(0, "run on one device, no bit of the record's rows moves\n");
  return text + fmt::format("run on one device, {} of {} {} another token; {} among the {} named\n",
                            run->flips.size(), counted(run->rows, "step"),
                            run->flips.size() == 1 ? "chooses" : "choose", run->named(), ties.near.size());
}

std::string near_ties_text(const NearTies& ties, const OrderRun* run, std::size_t rows) {
  std::string text = fmt::format("\nrecord  {}\nits sums:\n{}", ties.record, messages_text(ties));
  if (ties.reached > 0) {
    text += fmt::format(
        "near a tie: a margin of at most {:.0f} scales; a scale is how far such a change moves a margin, "
        "here "
        "estimated as {:.3g}\n",
        kReach, ties.scale);
    if (ties.mixture)
      text +=
          "a mixture of experts: where a token goes to other experts, logits move further than this "
          "estimate\n";
    if (!ties.near.empty()) text.append("\n").append(near_text(ties, run, rows));
  }
  if (run != nullptr) text += run_text(ties, *run, rows);
  return legible(text, Newlines::kept);
}

}  // namespace shardrift::analysis
