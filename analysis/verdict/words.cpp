#include "analysis/verdict/words.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/statistics/proportion.hpp"
#include "analysis/verdict/cost.hpp"
#include "common/counted.hpp"

namespace shardrift::verdict {
namespace {

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

// The limits in this state, by name: "kl_mean and flips".
std::string limits_in(const Candidate& candidate, State state) {
  std::vector<std::string> names;
  for (const auto& criterion : candidate.criteria)
    if (criterion.state == state) names.emplace_back(criterion.limit.kind->name);
  if (names.size() > 1 && names.size() == candidate.criteria.size()) return "every limit";
  return listed(names, names.size());
}

// What changes in the text these limits let pass, whatever was measured.
std::string tolerated(const Thresholds& thresholds) {
  std::vector<std::string> names;
  std::string text = "tolerates changed text";
  for (const auto& limit : thresholds.limits) {
    const std::string_view name = limit.kind->name;
    if (name == "bit_equal") return "tolerates no other bit";
    if (name == "changed_prompts")
      text = fmt::format("tolerates changed text in at most {} of answers", amount(limit.value, Unit::share));
    else
      names.emplace_back(name);
  }
  return names.empty() ? text : fmt::format("{} and limits {}", text, listed(names, names.size()));
}

// "every limit", "the limit on kl_mean".
std::string limits_broken(const Candidate& candidate) {
  const std::string names = limits_in(candidate, State::fail);
  return names == "every limit" ? names : "the limit on " + names;
}

// Candidates that the limits treat alike, in the order of the ranking: "tp2 and tp4 break the limit on
// kl_mean".
std::vector<std::string> by_policy(const Verdict& verdict) {
  std::vector<std::pair<std::string, std::vector<std::string>>> groups;  // what, who
  std::map<std::string, std::string> several;
  for (const auto& ranked : verdict.ranking) {
    const auto& c = verdict.candidates[ranked.candidate];
    std::string one = "keeps every limit";
    std::string many = "keep every limit";
    if (c.state == State::fail) {
      one = "breaks " + limits_broken(c);
      many = "break " + limits_broken(c);
    } else if (c.state == State::inconclusive) {
      one = "is undecided on " + limits_in(c, State::inconclusive);
      many = "are undecided on " + limits_in(c, State::inconclusive);
    }
    several[one] = many;
    auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == one; });
    if (group == groups.end()) group = groups.insert(group, {one, {}});
    group->second.push_back(c.name);
  }
  std::vector<std::string> parts;
  for (const auto& [what, names] : groups)
    parts.push_back(fmt::format("{} {}", listed(names), names.size() == 1 ? what : several[what]));
  return parts;
}

// The first; of an undecided candidate rather one that more prompts would leave undecided.
const Criterion* deciding(const Candidate& candidate) {
  const Criterion* found = nullptr;
  for (const auto& criterion : candidate.criteria) {
    if (criterion.state != candidate.state) continue;
    if (found == nullptr) found = &criterion;
    if (criterion.state == State::inconclusive && !criterion.prompts_needed) return &criterion;
  }
  return found;
}

std::int64_t fewest_prompts(const Verdict& verdict) {
  std::int64_t fewest = 0;
  for (const auto& candidate : verdict.candidates)
    fewest = fewest == 0 ? candidate.statistics.prompts : std::min(fewest, candidate.statistics.prompts);
  return fewest;
}

// The largest number of prompts that an undecided limit of this candidate asks for; nullopt: more prompts
// alone would not decide all of them.
std::optional<std::int64_t> prompts_asked(const Candidate& candidate) {
  std::optional<std::int64_t> asked;
  for (const auto& criterion : candidate.criteria) {
    if (criterion.state != State::inconclusive) continue;
    if (!criterion.prompts_needed) return std::nullopt;
    asked = std::max(asked.value_or(0), *criterion.prompts_needed);
  }
  return asked;
}

}  // namespace

std::string noise_of(const Verdict& verdict) {
  if (!verdict.noise_floor)
    return "Whether the reference repeats itself was not measured: it was not run again.";
  const auto& floor = *verdict.noise_floor;
  // Several repeats count each of its prompts.
  if (const auto asked = fewest_prompts(verdict) * static_cast<std::int64_t>(floor.names.size());
      floor.zero_bits && floor.prompts < asked)
    return fmt::format(
        "Running the reference again changed no bit in the {} that were run again, of {}: of the others it "
        "is not "
        "known.",
        counted(floor.prompts, "prompt"), asked);
  if (floor.zero_bits)
    return fmt::format(
        "Running the reference again changed no bit in {}, so every difference here comes from "
        "the candidate.",
        counted(floor.prompts, "prompt"));
  return fmt::format(
      "The reference does not repeat itself: run again it differs in {} of {} and chooses another token {}; "
      "what can be subtracted was subtracted.",
      floor.rows_differ, counted(floor.rows, "row"), counted(floor.flips, "time"));
}

std::string listed(const std::vector<std::string>& names, std::size_t most) {
  if (names.size() > most)
    return fmt::format("{} and {} more",
                       fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(most), ", "),
                       names.size() - most);
  if (names.size() < 2) return fmt::format("{}", fmt::join(names, ""));
  return fmt::format("{} and {}", fmt::join(names.begin(), names.end() - 1, ", "), names.back());
}

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
  if (estimate.method == statistics::IntervalMethod::none || std::isnan(estimate.interval.low) ||
      std::isnan(estimate.interval.high))
    return amount(estimate.value, unit);
  const auto bare = [&](double value) {
    return unit == Unit::nats ? amount(value, Unit::none) : amount(value, unit);
  };
  return fmt::format("{} ({} to {})", amount(estimate.value, unit), bare(estimate.interval.low),
                     bare(estimate.interval.high));
}

std::string unseen_in(std::int64_t prompts, double confidence) {
  const double share = statistics::detectable_share(prompts, confidence);
  // As amount() has it, this would be "fewer than >99.9%".
  if (share > 0.9995) return "not quite all prompts";
  return fmt::format("fewer than {} of prompts", amount(share, Unit::share));
}

std::string headline_of(const Candidate& candidate) {
  const Criterion* criterion = deciding(candidate);
  if (candidate.state == State::pass || criterion == nullptr)
    return candidate.bit_equal      ? "every limit is kept: equal bits"
           : candidate.same_numbers ? "every limit is kept: equal numbers"
                                    : "every limit is kept";
  return fmt::format("{}: {}", criterion->limit.kind->name, criterion->reason);
}

std::string power_of(const Verdict& verdict) {
  const auto prompts = fewest_prompts(verdict);
  if (prompts == 0) return "no prompt was compared: nothing can be said";
  const double confidence = verdict.thresholds.bootstrap.confidence;
  std::string text = fmt::format(
      "ranges are {} intervals, two-sided: each end is passed with {:.3g}% probability; an effect that "
      "touches "
      "{} can go unseen in {}",
      confidence_text(verdict.thresholds), 50 * (1 - confidence), unseen_in(prompts, confidence),
      counted(prompts, "prompt"));
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
  // What is missing may be better, or the one that was meant.
  const std::string of_these = verdict.not_judged.empty() ? "" : "of what was judged so far, ";
  const Candidate& best = verdict.candidates[verdict.ranking.front().candidate];
  const std::string name = fmt::format("{} ({})", best.name, best.plan);
  if (best.state == State::pass) {
    std::string text = fmt::format("{}use {}", of_these, name);
    text += best.bit_equal      ? ": it changes no bit"
            : best.same_numbers ? ": it changes no number"
                                : ": it keeps every limit";
    if (const auto cost = cost_words(best.cost); !cost.empty()) text += ", for " + cost;
    return text;
  }
  if (best.state == State::inconclusive) {
    std::string text =
        fmt::format("{}stay with the reference for now; nearest to passing is {}", of_these, name);
    if (const auto asked = prompts_asked(best))
      text += fmt::format(", which about {} would decide", counted(*asked, "prompt"));
    else
      text += fmt::format(" ({})", best.headline);
    return text;
  }
  return fmt::format("{}stay with the reference: no candidate keeps the limits; {} diverges least", of_these,
                     name);
}

std::string headline_of(const Verdict& verdict) {
  const std::string policy =
      fmt::format("Policy: {} {}", verdict.thresholds.source, tolerated(verdict.thresholds));
  const auto parts = by_policy(verdict);
  if (parts.empty()) return policy + ".";
  return fmt::format("{}: {}.", policy, fmt::join(parts, "; "));
}

std::string paragraph_of(const Verdict& verdict) {
  if (verdict.candidates.empty()) return verdict.answer;
  return fmt::format("{} {} {} Recommendation: {}.", verdict.answer, verdict.headline, noise_of(verdict),
                     verdict.recommendation);
}

}  // namespace shardrift::verdict
