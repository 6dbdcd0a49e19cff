#include "analysis/verdict/words.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "analysis/statistics/proportion.hpp"

namespace shardrift::verdict {
namespace {

constexpr std::size_t kNamed = 3;  // candidates with other bits that the paragraph describes

// 100 % and 0 % are only said where it is all or none.
std::string percent(double share) {
  const double value = 100 * share;
  if (share < 1 && value > 99.95) return ">99.9%";
  if (share > 0 && value < 0.001) return "<0.001%";
  return fmt::format("{:.3g}%", value);
}

std::string confidence_text(const Thresholds& thresholds) {
  return fmt::format("{:.4g}%", 100 * thresholds.bootstrap.confidence);
}

std::vector<const Candidate*> in_state(const Verdict& verdict, State state) {
  std::vector<const Candidate*> result;
  for (const auto& ranked : verdict.ranking)
    if (verdict.candidates[ranked.candidate].state == state)
      result.push_back(&verdict.candidates[ranked.candidate]);
  return result;
}

std::string tally(const Verdict& verdict) {
  std::vector<std::string> parts;
  const auto add = [&](State state, const char* one, const char* several) {
    const auto count = in_state(verdict, state).size();
    if (count > 0) parts.push_back(fmt::format("{} {}", count, count == 1 ? one : several));
  };
  add(State::pass, "passes", "pass");
  add(State::fail, "fails", "fail");
  add(State::inconclusive, "is undecided", "are undecided");
  return fmt::format("{}", fmt::join(parts, ", "));
}

// The limits in this state, by name: "kl_mean and flips".
std::string limits_in(const Candidate& candidate, State state) {
  std::vector<std::string> names;
  for (const auto& criterion : candidate.criteria)
    if (criterion.state == state) names.emplace_back(criterion.limit.kind->name);
  if (names.size() < 2) return fmt::format("{}", fmt::join(names, ""));
  return fmt::format("{} and {}", fmt::join(names.begin(), names.end() - 1, ", "), names.back());
}

// What happens to the answers: how many change, and when.
std::string text_sentence(const Candidate& candidate, const Thresholds& thresholds) {
  const auto& curve = candidate.statistics.survival;
  if (curve.prompts == 0) return {};
  const auto tokens = curve.after(thresholds.tokens) ? thresholds.tokens : curve.longest;
  if (curve.changed == 0)
    return fmt::format("the answers to all {} stay the same, as far as compared ({})",
                       counted(curve.prompts, "prompt"), counted(candidate.statistics.rows, "token"));
  const auto point = *curve.after(tokens);
  statistics::Estimate changed;
  changed.value = 1 - point.share;
  changed.interval = {1 - point.interval.high, 1 - point.interval.low};
  changed.method = statistics::IntervalMethod::exact;
  std::string text = fmt::format("{} of answers say something else after {}", amount(changed, Unit::share),
                                 counted(tokens, "token"));
  if (const auto median = curve.median()) text += fmt::format(" (half of all by token {})", *median);
  return text;
}

std::string distance_sentence(const Candidate& candidate, const Verdict& verdict) {
  const auto* kl = candidate.statistics.of("kl");
  const auto* delta = candidate.statistics.of("delta_p");
  if (kl == nullptr || delta == nullptr) return {};
  std::string text =
      fmt::format("a token's probability moves by {} on average (mean KL {})",
                  amount(delta->average.value, Unit::share), amount(kl->average.value, Unit::nats));
  for (std::size_t i = 0; i < candidate.yardsticks.size(); ++i)
    if (!std::isnan(candidate.yardsticks[i].ratio.value))
      text += fmt::format(", {} as much as {}", amount(candidate.yardsticks[i].ratio.value, Unit::times),
                          verdict.yardsticks[i]);
  if (candidate.excess_error && !std::isnan(candidate.excess_error->ratio.value))
    text += fmt::format("; its error against the truth is {} the reference's own",
                        amount(candidate.excess_error->ratio.value, Unit::times));
  return text;
}

std::string describe(const Candidate& candidate, const Verdict& verdict) {
  const std::string name = fmt::format("{} ({})", candidate.name, candidate.plan);
  if (candidate.bit_equal)
    return fmt::format("{} gives exactly the reference's bits in all {}.", name,
                       counted(candidate.statistics.prompts, "prompt"));
  std::string text = name;
  if (candidate.state == State::pass) text += " keeps every limit";
  if (candidate.state == State::fail) text += " breaks " + limits_in(candidate, State::fail);
  if (candidate.state == State::inconclusive)
    text += " is undecided on " + limits_in(candidate, State::inconclusive);
  std::vector<std::string> parts;
  for (auto& part : {text_sentence(candidate, verdict.thresholds), distance_sentence(candidate, verdict)})
    if (!part.empty()) parts.push_back(part);
  if (parts.empty()) parts.emplace_back("nothing could be compared");
  return fmt::format("{}: {}.", text, fmt::join(parts, "; "));
}

// Candidates in the order of the ranking, those with the reference's bits or the others.
std::vector<const Candidate*> ranked(const Verdict& verdict, bool bit_equal) {
  std::vector<const Candidate*> result;
  for (const auto& one : verdict.ranking)
    if (verdict.candidates[one.candidate].bit_equal == bit_equal)
      result.push_back(&verdict.candidates[one.candidate]);
  return result;
}

// One sentence for all of them: their results are one result.
std::string equal_sentence(const std::vector<const Candidate*>& equal, const Verdict& verdict) {
  if (equal.empty()) return {};
  if (equal.size() == 1) return " " + describe(*equal.front(), verdict);
  std::vector<std::string> names;
  std::int64_t prompts = equal.front()->statistics.prompts;
  for (const auto* candidate : equal) {
    names.push_back(candidate->name);
    prompts = std::min(prompts, candidate->statistics.prompts);
  }
  return fmt::format(" {} and {} give exactly the reference's bits in all {}.",
                     fmt::join(names.begin(), names.end() - 1, ", "), names.back(),
                     counted(prompts, "prompt"));
}

std::string noise_sentence(const Verdict& verdict) {
  if (!verdict.noise_floor) return " Whether the reference repeats itself was not measured (--noise-floor).";
  const auto& floor = *verdict.noise_floor;
  if (floor.zero_bits)
    return fmt::format(
        " Running the reference again changed no bit in {}, so every difference here comes from "
        "the candidate.",
        counted(floor.prompts, "prompt"));
  return fmt::format(
      " The reference does not repeat itself: run again it differs in {} of {} and chooses another token {}; "
      "what can be subtracted was subtracted.",
      floor.rows_differ, counted(floor.rows, "row"), counted(floor.flips, "time"));
}

const Criterion* deciding(const Candidate& candidate) {
  for (const auto& criterion : candidate.criteria)
    if (criterion.state == candidate.state) return &criterion;
  return nullptr;
}

std::int64_t fewest_prompts(const Verdict& verdict) {
  std::int64_t fewest = 0;
  for (const auto& candidate : verdict.candidates)
    fewest = fewest == 0 ? candidate.statistics.prompts : std::min(fewest, candidate.statistics.prompts);
  return fewest;
}

// The largest number of prompts that an undecided limit of this candidate asks for.
std::optional<std::int64_t> prompts_asked(const Candidate& candidate) {
  std::optional<std::int64_t> asked;
  for (const auto& criterion : candidate.criteria)
    if (criterion.prompts_needed) asked = std::max(asked.value_or(0), *criterion.prompts_needed);
  return asked;
}

}  // namespace

std::string amount(double value, Unit unit) {
  if (std::isnan(value)) return "-";
  if (std::isinf(value)) return "infinite";
  switch (unit) {
    case Unit::share:
      return percent(value);
    case Unit::nats:
      return fmt::format("{:.3g} nats", value);
    case Unit::times:
      return fmt::format("{:.3g}x", value);
    case Unit::none:
      break;
  }
  return fmt::format("{:.3g}", value);
}

std::string amount(const statistics::Estimate& estimate, Unit unit) {
  if (estimate.method == statistics::IntervalMethod::none) return amount(estimate.value, unit);
  const auto bare = [&](double value) {
    return unit == Unit::nats ? amount(value, Unit::none) : amount(value, unit);
  };
  return fmt::format("{} ({} to {})", amount(estimate.value, unit), bare(estimate.interval.low),
                     bare(estimate.interval.high));
}

std::string counted(std::int64_t count, const std::string& what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string headline_of(const Candidate& candidate) {
  const Criterion* criterion = deciding(candidate);
  if (candidate.state == State::pass || criterion == nullptr)
    return candidate.bit_equal ? "every limit is kept: equal bits" : "every limit is kept";
  return fmt::format("{}: {}", criterion->limit.kind->name, criterion->reason);
}

std::string power_of(const Verdict& verdict) {
  const auto prompts = fewest_prompts(verdict);
  if (prompts == 0) return "no prompt was compared: nothing can be said";
  const double confidence = verdict.thresholds.bootstrap.confidence;
  std::string text = fmt::format(
      "an effect that touches fewer than {} of prompts can go unseen in {} (a larger one would have shown at "
      "least once, with {} probability)",
      amount(statistics::detectable_share(prompts, confidence), Unit::share), counted(prompts, "prompt"),
      confidence_text(verdict.thresholds));
  for (const auto& limit : verdict.thresholds.limits) {
    if (std::string_view(limit.kind->name) != "changed_prompts" || !(limit.value > 0)) continue;
    const auto needed = statistics::trials_to_show(limit.value, confidence);
    text += fmt::format("; to show that at most {} of prompts change takes at least {} of which none does",
                        amount(limit.value, Unit::share), counted(needed, "prompt"));
  }
  return text;
}

std::string recommendation_of(const Verdict& verdict) {
  if (verdict.ranking.empty()) return "nothing to recommend: no candidate was given";
  const Candidate& best = verdict.candidates[verdict.ranking.front().candidate];
  const std::string name = fmt::format("{} ({})", best.name, best.plan);
  if (best.state == State::pass) {
    std::string text = fmt::format("use {}", name);
    text += best.bit_equal ? ": it changes no bit" : ": it keeps every limit";
    if (best.cost.times_reference > 0)
      text += fmt::format(", for {} the device time of the reference",
                          amount(best.cost.times_reference, Unit::times));
    return text;
  }
  if (best.state == State::inconclusive) {
    std::string text = fmt::format("stay with the reference for now; nearest to passing is {}", name);
    if (const auto asked = prompts_asked(best))
      text += fmt::format(", which about {} would decide", counted(*asked, "prompt"));
    else
      text += fmt::format(" ({})", best.headline);
    return text;
  }
  return fmt::format("stay with the reference: no candidate keeps the limits; {} diverges least", name);
}

std::string answer_of(const Verdict& verdict) {
  if (verdict.candidates.empty()) return "Nothing was compared.";
  return {};
}

std::string headline_of(const Verdict& verdict) {
  if (verdict.candidates.size() == 1)
    return fmt::format("{} {} {}", verdict.candidates.front().name,
                       verdict.state == State::pass   ? "passes"
                       : verdict.state == State::fail ? "fails"
                                                      : "is undecided by",
                       verdict.thresholds.source);
  const auto equal = ranked(verdict, true).size();
  const std::string bits = equal == 0                           ? ""
                           : equal == verdict.candidates.size() ? ", all with the reference's bits"
                                                                : fmt::format(
                                                                      "; {} of them with the "
                                                                      "reference's bits",
                                                                      equal);
  return fmt::format("by {}, of {} {}{}", verdict.thresholds.source,
                     counted(static_cast<std::int64_t>(verdict.candidates.size()), "candidate"),
                     tally(verdict), bits);
}

std::string paragraph_of(const Verdict& verdict) {
  if (verdict.candidates.empty()) return "Nothing was compared.";
  std::string headline = headline_of(verdict);
  if (verdict.candidates.size() > 1) headline.front() = 'B';
  std::string text = fmt::format("{}, compared with {}.", headline, verdict.reference);
  text += equal_sentence(ranked(verdict, true), verdict);
  const auto others = ranked(verdict, false);
  for (std::size_t i = 0; i < std::min(kNamed, others.size()); ++i)
    text += " " + describe(*others[i], verdict);
  if (others.size() > kNamed)
    text += fmt::format(" {} more {} in the table.", others.size() - kNamed,
                        others.size() == kNamed + 1 ? "is" : "are");
  text += noise_sentence(verdict);
  text += fmt::format(" Ranges are {} intervals; {}.", confidence_text(verdict.thresholds), verdict.power);
  text += fmt::format(" Recommendation: {}.", verdict.recommendation);
  return text;
}

}  // namespace shardrift::verdict
