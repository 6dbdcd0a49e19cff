#include "analysis/verdict/verdict_presenters.hpp"

#include <fmt/core.h>

#include <cctype>
#include <cmath>

#include "analysis/verdict/words.hpp"
#include "common/counted.hpp"
#include "common/text_columns.hpp"

namespace shardrift::verdict {
namespace {

constexpr std::size_t kWidth = 100;

// Words on lines of at most kWidth characters, the second and later indented. Leading blanks are kept.
std::string wrapped(const std::string& text, const std::string& indent) {
  std::size_t at = std::min(text.find_first_not_of(' '), text.size());
  std::string out(at, ' ');
  std::size_t width = at;
  bool first = true;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    const std::size_t length = characters(word);
    if (!first && width + 1 + length > kWidth) {
      out += "\n" + indent;
      width = indent.size();
    } else if (!first) {
      out += " ";
      ++width;
    }
    out += word;
    width += length;
    first = false;
    at = end + 1;
  }
  return out + "\n";
}

std::string noise_text(const Verdict& verdict) {
  if (!verdict.noise_floor) return "not measured: the reference was not run again";
  const auto& floor = *verdict.noise_floor;
  if (floor.zero_bits)
    return fmt::format("zero bits in {} of {}", counted(floor.rows, "row"), counted(floor.prompts, "prompt"));
  return fmt::format("{} of {} differ, {}: the reference does not repeat itself", floor.rows_differ,
                     counted(floor.rows, "row"), counted(floor.flips, "flip"));
}

std::string changed_text(const Candidate& candidate, const Thresholds& thresholds) {
  const auto changed = changed_answers_by(candidate, thresholds.tokens);
  if (!changed) return "-";
  return amount(changed->share.value, Unit::share) +
         (changed->tokens == thresholds.tokens ? "" : fmt::format(" by {}", changed->tokens));
}

// All rows with another token, ties included, and how many of them stand at exact ties.
std::vector<std::string> flips_cells(const Candidate& candidate) {
  const auto& s = candidate.statistics;
  const auto all = s.flips();
  if (s.rows == 0) return {"-", "-"};
  return {amount(static_cast<double>(all) / static_cast<double>(s.rows), Unit::share),
          !candidate.facts.ties_known ? "-" : fmt::format("{}/{}", s.flips_at_ties, all)};
}

std::string cost_text(const Cost& cost) {
  if (cost.times_reference > 0) {
    const bool range = std::isfinite(cost.times.low) && std::isfinite(cost.times.high);
    return range ? fmt::format("{:.3g}x ({:.3g} to {:.3g})", cost.times_reference, cost.times.low,
                               cost.times.high)
                 : "~" + amount(cost.times_reference, Unit::times);
  }
  return cost.unclear.empty() ? "-" : "unclear";
}

// Prompts; "-" where there are no bits to compare.
std::string equal_text(const Candidate& candidate) {
  const auto& s = candidate.statistics;
  if (candidate.facts.other_dtypes) return "-";
  const auto left = candidate.facts.not_compared();
  return fmt::format("{}/{}{}", s.prompts_bit_equal, s.prompts,
                     left == 0 ? "" : fmt::format(" of {}", s.prompts + left));
}

// Mean, or why there is none.
std::string kl_text(const Candidate& candidate, double value) {
  if (candidate.facts.without_value > 0)
    return fmt::format("NaN in {}", counted(candidate.facts.without_value, "row"));
  return amount(value, Unit::none);
}

std::string overview_text(const Verdict& verdict) {
  std::vector<TextColumns::Column> columns{
      {"candidate", Align::left},  {"verdict", Align::left},
      {"bit-equal", Align::right}, {fmt::format("changed by {}", verdict.thresholds.tokens), Align::right},
      {"flips", Align::right},     {"at ties", Align::right},
      {"KL mean", Align::right},   {"KL p99", Align::right}};
  const bool truth = !verdict.candidates.empty() && verdict.candidates.front().excess_error;
  if (truth) columns.push_back({"vs truth", Align::right});
  for (const auto& name : verdict.yardsticks) columns.push_back({"vs " + name, Align::right});
  columns.push_back({"devices", Align::right});
  columns.push_back({"cost", Align::right});
  if (!verdict.not_judged.empty()) columns.push_back({"", Align::left});
  TextColumns table(columns);
  const auto add = [&](std::vector<std::string> cells, const std::string& last) {
    if (!verdict.not_judged.empty()) cells.push_back(last);
    table.add(std::move(cells));
  };
  for (const auto& ranked : verdict.ranking) {
    const auto& c = verdict.candidates[ranked.candidate];
    const auto* kl = c.statistics.of("kl");
    std::vector<std::string> cells{c.name, std::string(name_of(c.state)), equal_text(c),
                                   changed_text(c, verdict.thresholds)};
    for (auto& cell : flips_cells(c)) cells.push_back(std::move(cell));
    cells.push_back(kl == nullptr ? "-" : kl_text(c, kl->average.value));
    cells.push_back(kl == nullptr ? "-" : kl_text(c, kl->p99.value));
    if (truth) cells.push_back(amount(c.excess_error->ratio.value, Unit::times));
    for (const auto& yardstick : c.yardsticks) cells.push_back(amount(yardstick.ratio.value, Unit::times));
    cells.push_back(c.cost.devices > 0 ? std::to_string(c.cost.devices) : "-");
    cells.push_back(cost_text(c.cost));
    add(std::move(cells), "");
  }
  for (const auto& one : verdict.not_judged) {
    std::vector<std::string> cells(columns.size() - 1, "-");
    cells[0] = one.name;
    add(std::move(cells), "not judged: " + one.why);
  }
  return table.str();
}

// One a candidate: what becomes of its answers, and how far it moves.
std::string lines_text(const Verdict& verdict) {
  std::string text;
  for (const auto& ranked : verdict.ranking) {
    const auto& c = verdict.candidates[ranked.candidate];
    text += wrapped(
        fmt::format("{} ({}): {}{}{}", c.name, c.plan, c.outcome, c.distance.empty() ? "" : "; ", c.distance),
        "  ");
  }
  for (const auto& one : verdict.not_judged)
    text += wrapped(fmt::format("{} ({}): not judged: {}", one.name, one.plan, one.why), "  ");
  return text;
}

// Before the answer: what it does not rest on.
std::string apart_text(const Verdict& verdict) {
  std::string text;
  for (const auto& c : verdict.candidates)
    for (const auto& one : c.not_comparable) text += wrapped(fmt::format("  {}: {}", c.name, one), "    ");
  return text.empty() ? text : "not comparable, or only in part\n" + text + "\n";
}

std::string answer_text(const Verdict& verdict) {
  return apart_text(verdict) + wrapped(verdict.answer, "") + wrapped(verdict.headline, "") + "\n";
}

std::string end_text(const Verdict& verdict) {
  std::string power = verdict.power;
  power.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(power.front())));
  return wrapped(noise_of(verdict) + " " + power + ".", "") +
         wrapped("Recommendation: " + verdict.recommendation + ".", "");
}

// Beyond the texts, or of too few of them.
std::string extrapolated_from(const Candidate& candidate) {
  const auto& forecast = *candidate.flips->forecast;
  const auto& last = forecast.points.back();
  return last.tokens > forecast.longest && !candidate.statistics.survival.known_beyond
             ? fmt::format(", extrapolated from texts of {}", counted(forecast.longest, "token"))
             : fmt::format(", extrapolated from {}", counted(last.identical.prompts, "prompt"));
}

std::string flips_text(const Candidate& candidate) {
  const auto& s = candidate.statistics;
  if (s.flips() == 0 && (!candidate.flips || candidate.flips->law.scale == 0)) return {};
  const auto differ = s.flips();
  std::string text = fmt::format("  choices that differ: {} of {}", differ, counted(s.rows, "row"));
  if (differ > 0 && !candidate.facts.ties_known)
    text += "; whether at exact ties is not known without logits";
  else if (differ > 0)
    text += fmt::format(", {} of them at an exact tie in one of the runs, {} clear", s.flips_at_ties,
                        s.clear_flips);
  text += "\n";
  if (!candidate.flips) return text;
  const auto& prediction = *candidate.flips;
  std::string law = fmt::format("  flip law: {}", prediction.law.formula());
  if (const auto& c = prediction.calibration)
    law += fmt::format(
        "; on held-out prompts {:.1f} flips expected, {} happened; log loss {} (base rate {}), Brier score "
        "{} "
        "({})",
        c->expected, c->flips, amount(c->log_loss, Unit::none), amount(c->log_loss_base, Unit::none),
        amount(c->brier, Unit::none), amount(c->brier_base, Unit::none));
  if (prediction.calibration && prediction.calibration->worse_than_base())
    law += ": worse than the base rate, not to be relied on";
  text += wrapped(law, "    ");
  if (prediction.forecast) {
    const auto& last = prediction.forecast->points.back();
    if (std::isnan(last.identical.value)) return text;
    auto changed = last.identical;
    changed.value = 1 - changed.value;
    changed.interval = {1 - last.identical.interval.high, 1 - last.identical.interval.low};
    text += wrapped(fmt::format("  predicted by it{}: {} of prompts changed after {}",
                                last.extrapolated ? extrapolated_from(candidate) : "",
                                amount(changed, Unit::share), counted(last.tokens, "token")),
                    "    ");
  }
  return text;
}

std::string candidate_text(const Candidate& candidate) {
  std::string text = fmt::format("{}: {}\n", candidate.name, name_of(candidate.state));
  TextColumns table({{"  limit", Align::left},
                     {"verdict", Align::left},
                     {"allowed", Align::left},
                     {"measured", Align::left}});
  for (const auto& c : candidate.criteria) {
    std::string measured = c.reason;
    if (c.state == State::inconclusive && c.prompts_needed)
      measured += fmt::format("; about {} would decide", counted(*c.prompts_needed, "prompt"));
    // What each limit means is said above, once.
    table.add({fmt::format("  {}", c.limit.kind->name), std::string(name_of(c.state)),
               c.limit.kind->unit == Unit::none ? "all bits" : amount(c.limit.value, c.limit.kind->unit),
               measured});
  }
  text += table.str() + flips_text(candidate);
  for (const auto& remark : candidate.remarks) text += wrapped("  note: " + remark, "    ");
  return text;
}

std::string spread_text(const Verdict& verdict) {
  if (!verdict.spread || verdict.spread->prompts == 0) return {};
  const auto& spread = *verdict.spread;
  std::string text = fmt::format("spread over {}: {} of {} diverge", counted(spread.runs, "run"),
                                 spread.diverged, counted(spread.prompts, "prompt"));
  if (spread.diverged > 0)
    text += fmt::format(
        ", the first differing token is number {:.3g} on average of these (divergence index {:.3g}: tokens "
        "before it)",
        1 + spread.divergence_index.value, spread.divergence_index.value);
  if (!std::isnan(spread.top1_spread.value))
    text += fmt::format(
        "; the top token's probability spreads by {:.3g} percentage points (standard deviation) before",
        100 * spread.top1_spread.value);
  return wrapped(text, "  ");
}

}  // namespace

std::string short_verdict_text(const Verdict& verdict) {
  return answer_text(verdict) + overview_text(verdict) + "\n" + lines_text(verdict) + "\n" +
         end_text(verdict) +
         fmt::format("\nverdict: {} ({})\n", name_of(verdict.state), verdict.thresholds.source);
}

std::string verdict_text(const Verdict& verdict) {
  const auto& thresholds = verdict.thresholds;
  std::string limits;
  for (const auto& limit : thresholds.limits)
    limits += (limits.empty() ? "" : "; ") + limit_text(limit, thresholds);
  std::string text = answer_text(verdict) + lines_text(verdict);
  text += wrapped(fmt::format("\nreference    {}", verdict.reference), "             ");
  text += wrapped(fmt::format("thresholds   {}: {}", thresholds.source, limits), "             ");
  text += wrapped(fmt::format("noise floor  {}", noise_text(verdict)), "             ");
  text += "\n" + overview_text(verdict);
  for (const auto& ranked : verdict.ranking)
    text += "\n" + candidate_text(verdict.candidates[ranked.candidate]);
  text += "\n" + spread_text(verdict) + end_text(verdict);
  text += fmt::format("\nverdict: {}\n", name_of(verdict.state));
  return text;
}

}  // namespace shardrift::verdict
