#include "analysis/verdict/outcome.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "analysis/verdict/words.hpp"

namespace shardrift::verdict {
namespace {

std::int64_t choices_changed(const Candidate& c) {
  return c.statistics.flips();
}

}  // namespace

Outcome kind_of(const Candidate& c) {
  if (c.facts.without_value > 0) return Outcome::broken;
  if (c.facts.parted > 0) return Outcome::changed;
  if (c.statistics.prompts == 0 || (c.statistics.rows == 0 && !c.bit_equal)) return Outcome::nothing;
  if (c.bit_equal && c.facts.complete) return Outcome::equal;
  if (c.same_numbers) return Outcome::same_numbers;
  if (c.statistics.prompts_differ == 0) return Outcome::open;
  return c.facts.rows_missing + c.facts.fed_apart > 0 ? Outcome::so_far : Outcome::same_text;
}

std::string whole(double share) {
  if (share > 0 && share < 0.005) return "<1";
  if (share < 1 && share > 0.995) return ">99";
  return fmt::format("{:.0f}", 100 * share);
}

double changed_share(const Candidate& c) {
  if (const auto changed = changed_answers(c)) return changed->share.value;
  return static_cast<double>(choices_changed(c)) /
         static_cast<double>(std::max<std::int64_t>(1, c.statistics.rows));
}

std::string ties_clause(const Candidate& c) {
  const auto& f = c.facts;
  if (f.parted_measured == 0) return {};
  if (f.parted_measured == 1) return f.parted_at_ties == 1 ? ", at an exact tie" : ", not at an exact tie";
  return fmt::format("; {} of {} first differences stand at exact ties", f.parted_at_ties, f.parted_measured);
}

const char* would(const Candidate& c) {
  return c.facts.mode == "follow" ? "would " : "";
}

std::string changed_clause(const Candidate& c) {
  const auto& f = c.facts;
  if (!f.generates)
    return fmt::format("another token is the most likely one in {} of {} ({} of {})", choices_changed(c),
                       counted(c.statistics.rows, "row"), counted(f.parted, "text"), c.statistics.prompts);
  const auto changed = changed_answers(c);
  if (!changed || changed->share.prompts == 1)
    return fmt::format("the one answer compared differs from token {} on", *f.earliest);
  if (changed->share.prompts < kCounted)
    return fmt::format("{} of {} answers {}differ, the earliest at token {}", f.parted,
                       changed->share.prompts, would(c), *f.earliest);
  return fmt::format("{}% of answers ({} to {}) {}differ by token {}", whole(changed->share.value),
                     whole(changed->share.interval.low), whole(changed->share.interval.high), would(c),
                     changed->tokens);
}

std::string all_prompts(std::int64_t prompts) {
  return prompts == 1 ? "the one prompt compared" : fmt::format("all {} prompts", prompts);
}

std::string same_text(const Candidate& c) {
  return c.facts.generates ? "the same text" : "the same most likely token everywhere";
}

std::optional<ChangedAnswers> changed_answers(const Candidate& candidate) {
  return changed_answers_by(candidate, candidate.statistics.survival.longest);
}

std::optional<ChangedAnswers> changed_answers_by(const Candidate& candidate, std::int64_t tokens) {
  const auto& curve = candidate.statistics.survival;
  if (curve.prompts == 0) return std::nullopt;
  ChangedAnswers changed;
  changed.tokens = curve.after(tokens) ? tokens : curve.longest;
  const auto point = *curve.after(changed.tokens);
  changed.share.value = 1 - point.share;
  changed.share.interval = {1 - point.interval.high, 1 - point.interval.low};
  changed.share.method = statistics::IntervalMethod::exact;
  changed.share.prompts = curve.prompts;
  return changed;
}

std::string outcome_of(const Candidate& c) {
  const auto& s = c.statistics;
  const auto& f = c.facts;
  std::string text;
  const auto kind = kind_of(c);
  if (kind == Outcome::nothing) return "nothing could be compared";
  if (f.without_value > 0)
    text = fmt::format("NaN or infinite logits in {}; ", counted(f.without_value, "row"));
  if (f.parted > 0) {
    text += changed_clause(c) + ties_clause(c);
    const auto median = s.survival.median();
    if (f.generates && f.parted > 1)
      text += fmt::format("; median of the {} that changed: token {:.4g}{}", f.parted, f.median_parted,
                          median ? fmt::format(", half of all by token {}", *median) : "");
  } else if (kind == Outcome::so_far) {
    text += fmt::format("the same choices as far as compared, other bits{}",
                        s.rows_measured == 0 ? "; logits were not recorded" : "");
  } else if (s.prompts_differ > 0) {
    text += fmt::format("{} in {}, other bits{}", same_text(c), all_prompts(s.prompts),
                        s.rows_measured == 0 ? "; logits were not recorded" : "");
  } else if (s.prompts_bit_equal > 0) {
    text += fmt::format("bit-equal in {} of {}", s.prompts_bit_equal,
                        counted(s.prompts + f.not_compared(), "prompt"));
  } else if (f.same_numbers > 0) {
    text += fmt::format("the same numbers in {} of {}, of two dtypes: no bits to compare", f.same_numbers,
                        counted(s.prompts + f.not_compared(), "prompt"));
  } else {
    text += "no difference as far as compared";
  }
  if (f.rows_missing > 0)
    text += fmt::format("; rows of {} are missing on one side", counted(f.rows_missing, "prompt"));
  if (f.fed_apart > 0)
    text += fmt::format("; {} fed other tokens from some row on", counted(f.fed_apart, "prompt"));
  if (f.bits_unknown > 0)
    text +=
        fmt::format("; of {} with the same tokens the bits are not known", counted(f.bits_unknown, "prompt"));
  if (f.missing > 0) text += fmt::format("; {} in one file only", counted(f.missing, "prompt"));
  if (f.left_out > 0) text += fmt::format("; {} fed other tokens", counted(f.left_out, "prompt"));
  if (f.contradictory > 0)
    text += fmt::format("; {} of which a record contradicts itself", counted(f.contradictory, "prompt"));
  if (f.probabilities) text += "; a record holds probabilities, not logits";
  if (!f.complete) text += "; a record is partial";
  if (f.arrangement.predicted) text += "; predicted on fewer devices, not run";
  return text;
}

std::string distance_of(const Candidate& candidate, const std::vector<std::string>& yardsticks) {
  const auto* kl = candidate.statistics.of("kl");
  const auto* delta = candidate.statistics.of("delta_p");
  // Rows without a distribution would be left out of a mean.
  if (candidate.equal() || candidate.facts.without_value > 0 || kl == nullptr || delta == nullptr) return {};
  std::string text =
      fmt::format("a token's probability moves by {:.3g} percentage points on average, mean KL {}",
                  100 * delta->average.value, amount(kl->average.value, Unit::nats));
  for (std::size_t i = 0; i < candidate.yardsticks.size(); ++i)
    if (!std::isnan(candidate.yardsticks[i].ratio.value))
      text += fmt::format(", {} as much as {}", amount(candidate.yardsticks[i].ratio.value, Unit::times),
                          yardsticks[i]);
  if (!candidate.excess_error) return text;
  const double excess = candidate.excess_error->ratio.value;
  if (std::isnan(excess))
    text += "; its error against the truth has no value: NaN in the truth";
  else
    text += fmt::format("; its error against the truth is {} the reference's own",
                        std::isinf(excess) ? "infinite times" : amount(excess, Unit::times));
  return text;
}

}  // namespace shardrift::verdict
