#include "analysis/verdict/criteria.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "analysis/measure/differences.hpp"
#include "analysis/statistics/proportion.hpp"
#include "analysis/verdict/words.hpp"
#include "common/error.hpp"

namespace shardrift::verdict {
namespace {

using analysis::Measurement;
using statistics::Estimate;
using statistics::IntervalMethod;

struct Case {
  const Candidate& candidate;
  const Measurement& measurement;
  const std::vector<const Measurement*>& repeats;
  const Thresholds& thresholds;

  bool noisy() const { return !repeats.empty() && !statistics::noise_floor(repeats).zero_bits; }
};

// The value that a limit is about, or why there is none.
struct Value {
  Estimate estimate;
  std::optional<double> floor;
  std::string missing;  // why there is no estimate
  std::string reason;   // where it says more than the estimate
  // What decides in the estimate's place, and at which limit.
  std::optional<Estimate> deciding;
  std::optional<double> deciding_limit;
  // About how many prompts would decide at this limit.
  std::function<std::optional<std::int64_t>(double limit)> needed;
};

Value missing(std::string why) {
  Value value;
  value.missing = std::move(why);
  return value;
}

Value no_logits(const Case& c) {
  std::vector<std::string> engines, ours;
  for (const auto* run : {&c.measurement.reference, &c.measurement.candidate})
    if (run->run.level == "top")
      (analysis::engine_of(run->run).empty() ? ours : engines).push_back(run->name);
  std::string text;
  if (!ours.empty()) text = fmt::format("no logits of {}: record with --record logits", listed(ours));
  if (!engines.empty())
    text += fmt::format("{}no logits of {}: save the engine's (docs/engines.md)", text.empty() ? "" : "; ",
                        listed(engines));
  return missing(text.empty() ? "no logits on both sides: record both with --record logits" : text);
}

Value average(const Case& c, std::string_view name) {
  const auto& metric = statistics::metric(name);
  const auto sums = statistics::sums_of(c.measurement, metric);
  const bool event = name == "flips" || name == "clear_flips";
  if (event && c.candidate.statistics.rows == 0) return missing("no row of both runs can be compared");
  // Whether a flip fell at a tie is in the logits.
  if ((!event || name == "clear_flips") && c.candidate.statistics.rows_measured == 0) return no_logits(c);
  if (!event && c.candidate.statistics.of(name) == nullptr) return no_logits(c);
  Value value;
  const auto worst = statistics::worst_of(c.measurement, metric, sums);
  if (c.noisy()) {
    const auto above = statistics::above_floor(c.measurement, c.repeats, metric, c.thresholds.bootstrap);
    if (above.excess.prompts > 0 && !std::isnan(above.excess.value)) {
      value.estimate = above.excess;
      value.floor = above.floor.value;
    }
  }
  if (!value.floor)
    value.estimate = name == "flips"         ? c.candidate.statistics.flip_share
                     : name == "clear_flips" ? c.candidate.statistics.clear_flip_share
                                             : c.candidate.statistics.of(name)->average;
  value.needed = [=, floor = value.floor.value_or(0), &c](double limit) {
    return statistics::prompts_to_decide(sums, worst, limit + floor, c.thresholds.bootstrap);
  };
  return value;
}

// A 99th percentile lies at or below the limit where at most 1% of rows are above it: a share of rows, whose
// interval holds with few prompts too.
Value percentile_99(const Case& c, std::string_view name, const Limit& limit) {
  constexpr double kAbove = 0.01;
  const auto* measured = c.candidate.statistics.of(name);
  if (measured == nullptr) return no_logits(c);
  const auto above = statistics::rows_above(c.measurement, statistics::metric(name), limit.value);
  const auto worst = statistics::worst_of_rows(above.rows, 1, true);
  Value value;
  value.estimate = measured->p99;
  value.deciding = statistics::reweighted_mean(above, worst, c.thresholds.bootstrap);
  value.deciding_limit = kAbove;
  value.reason =
      fmt::format("{}; above the limit {} of rows, 1% may be", amount(measured->p99.value, limit.kind->unit),
                  amount(*value.deciding, Unit::share));
  value.needed = [=, &c](double) {
    return statistics::prompts_to_decide(above, worst, kAbove, c.thresholds.bootstrap);
  };
  return value;
}

Value flip_regret(const Case& c, bool clear_only) {
  const auto& statistics = c.candidate.statistics;
  if (statistics.rows == 0) return missing("no row of both runs can be compared");
  Value value;
  if ((clear_only ? statistics.clear_flips : statistics.flips()) == 0) {
    // How often it could be is what the limits of shares say.
    value.estimate = {0, {0, 0}, IntervalMethod::exact, statistics.prompts};
    value.reason = "no other token was chosen";
    return value;
  }
  value.estimate = clear_only ? statistics.clear_flip_regret : statistics.flip_regret;
  if (std::isnan(value.estimate.value)) return no_logits(c);
  const auto regrets = statistics::flip_regrets(c.measurement, clear_only);
  const auto flips = clear_only ? statistics.clear_flips : statistics.flips();
  if (value.estimate.method == IntervalMethod::none) {  // of one prompt: the worst there could be decides
    value.estimate.method = IntervalMethod::reweighted;
    value.estimate.interval = {0, std::max(value.estimate.value, regrets.worst.sum)};
  }
  value.reason = fmt::format("{} over {}", amount(value.estimate, Unit::nats),
                             counted(flips, clear_only ? "clear flip" : "flip"));
  value.needed = [=, prompts = statistics.prompts, flipping = value.estimate.prompts,
                  &c](double limit) -> std::optional<std::int64_t> {
    const auto needed =
        statistics::prompts_to_decide(regrets.values, regrets.worst, limit, c.thresholds.bootstrap);
    if (!needed || flipping == 0) return std::nullopt;  // prompts that flip; of all, so many times as many
    return (*needed * prompts + flipping - 1) / flipping;
  };
  return value;
}

Value ratio(const std::optional<statistics::Ratio>& ratio, const char* give) {
  if (!ratio) return missing(fmt::format("needs {}", give));
  if (std::isnan(ratio->ratio.value)) return missing("both sides are 0, or no row is common");
  Value value;
  value.estimate = ratio->ratio;
  // Its width goes with 1 / sqrt(n).
  value.needed = [estimate = value.estimate](double limit) -> std::optional<std::int64_t> {
    const double half = estimate.value <= limit ? estimate.interval.high - estimate.value
                                                : estimate.value - estimate.interval.low;
    const double times = half / (limit - estimate.value);
    const double needed = std::ceil(static_cast<double>(estimate.prompts) * times * times);
    if (!(needed < 1e7)) return std::nullopt;
    return static_cast<std::int64_t>(needed);
  };
  return value;
}

// The yardstick that this candidate exceeds most: a limit has to hold against all.
Value yardstick(const Case& c) {
  std::optional<statistics::Ratio> largest;
  for (const auto& one : c.candidate.yardsticks)
    if (!largest || !(one.ratio.value <= largest->ratio.value)) largest = one;
  return ratio(largest, "--yardstick");
}

Value changed_prompts(const Case& c) {
  const auto& curve = c.candidate.statistics.survival;
  if (!statistics::generates(c.measurement))
    return missing("score runs generate no text: use greedy or follow");
  if (curve.prompts == 0) return missing("no row of both runs can be compared");
  const auto asked = curve.after(c.thresholds.tokens);
  const auto point = asked ? *asked : *curve.after(curve.longest);
  Estimate estimate;
  estimate.value = 1 - point.share;
  estimate.interval = {1 - point.interval.high, 1 - point.interval.low};
  estimate.method = IntervalMethod::exact;
  estimate.prompts = curve.prompts;
  Value value;
  value.estimate = estimate;
  if (!asked)
    value.missing = fmt::format("compared to {} tokens of the {} asked about: rerun with --max-new-tokens {}",
                                curve.longest, c.thresholds.tokens, c.thresholds.tokens);
  value.needed = [=, confidence = c.thresholds.bootstrap.confidence](double limit) {
    return statistics::trials_to_decide(estimate.value, limit, confidence);
  };
  return value;
}

Value value_of(const Case& c, const Limit& limit) {
  const std::string_view name = limit.kind->name;
  if (name == "changed_prompts") return changed_prompts(c);
  if (name == "flips" || name == "clear_flips") return average(c, name);
  if (name == "flip_regret") return flip_regret(c, false);
  if (name == "clear_flip_regret") return flip_regret(c, true);
  if (name == "kl_mean") return average(c, "kl");
  if (name == "kl_p99") return percentile_99(c, "kl", limit);
  if (name == "tv_mean") return average(c, "tv");
  if (name == "delta_p_mean") return average(c, "delta_p");
  if (name == "delta_p_p99") return percentile_99(c, "delta_p", limit);
  if (name == "excess_error") return ratio(c.candidate.excess_error, "--truth");
  return yardstick(c);
}

Criterion judge_bits(const Case& c, const Limit& limit) {
  const auto& s = c.candidate.statistics;
  Criterion result;
  result.limit = limit;
  result.estimate = statistics::proportion(s.prompts_differ, s.prompts, c.thresholds.bootstrap.confidence);
  if (s.prompts_differ > 0) {
    result.state = State::fail;
    result.reason = fmt::format("{} of {} differ", s.prompts_differ, counted(s.prompts, "prompt"));
  } else if (c.candidate.bit_equal) {
    result.state = State::pass;
    result.reason = fmt::format("all of {}", counted(s.prompts, "prompt"));
  } else if (s.prompts == 0) {
    result.reason = "no prompt can be compared";
  } else if (c.candidate.facts.other_dtypes) {
    result.reason =
        fmt::format("no number differs in {}, but the logits are of two dtypes: no bits to compare",
                    counted(s.prompts, "prompt"));
  } else {
    result.reason =
        fmt::format("no difference in {}, but rows or prompts are missing", counted(s.prompts, "prompt"));
  }
  return result;
}

State compare(const Estimate& estimate, double limit) {
  // An infinite mean is measured: some token of the reference got no probability at all.
  if (std::isinf(estimate.value)) return State::fail;
  if (estimate.method == IntervalMethod::none) return State::inconclusive;
  if (limit == 0)  // no interval of a share reaches 0: judged on what was run
    return estimate.value > 0 ? State::fail : State::pass;
  if (estimate.interval.high <= limit) return State::pass;
  return estimate.interval.low > limit ? State::fail : State::inconclusive;
}

// Equal bits, or equal numbers in two dtypes, keep every limit on a distance from the reference, whatever the
// number of prompts: what so many can exclude is said beside.
Criterion judge_equal(const Case& c, const Limit& limit) {
  Criterion result;
  result.limit = limit;
  result.estimate = value_of(c, limit).estimate;
  const auto prompts = c.candidate.statistics.prompts;
  result.reason = fmt::format("equal {} in {} of {}", c.candidate.bit_equal ? "bits" : "numbers", prompts,
                              counted(prompts, "prompt"));
  result.state = State::pass;
  return result;
}

Criterion judge_limit(const Case& c, const Limit& limit) {
  const std::string_view name = limit.kind->name;
  if (name == "bit_equal") return judge_bits(c, limit);
  if (c.candidate.equal() && name != "excess_error") return judge_equal(c, limit);
  Criterion result;
  result.limit = limit;
  const Value value = value_of(c, limit);
  result.estimate = value.estimate;
  result.floor = value.floor;
  if (std::isnan(value.estimate.value)) {
    result.reason = value.missing;
    return result;
  }
  result.reason = value.reason.empty() ? amount(value.estimate, limit.kind->unit) : value.reason;
  if (value.floor)
    result.reason += fmt::format(" above a noise floor of {}", amount(*value.floor, limit.kind->unit));
  const Estimate& decides = value.deciding ? *value.deciding : value.estimate;
  result.state = compare(decides, value.deciding_limit.value_or(limit.value));
  if (!value.missing.empty()) {
    // More tokens can only change more prompts: a limit that is broken already stays broken.
    if (result.state != State::fail) result.state = State::inconclusive;
    result.reason += "; " + value.missing;
    return result;
  }
  const bool decided = result.state != State::inconclusive;
  const auto needed = !decided && limit.value > 0 && value.needed ? value.needed(limit.value) : std::nullopt;
  if (!decided && decides.method == IntervalMethod::none)
    result.reason += fmt::format("; {} has no interval", counted(decides.prompts, "prompt"));
  else if (!decided && std::isinf(decides.interval.high))
    result.reason += "; too few prompts differ to bound a mean: at least 10 are needed";
  const bool exact = decides.method == IntervalMethod::exact || std::isinf(decides.value);
  if (!exact && c.candidate.statistics.prompts < c.thresholds.prompts) {
    result.state = State::inconclusive;
    result.reason += fmt::format("; an interval from {} is not to be trusted, {} are asked for",
                                 counted(c.candidate.statistics.prompts, "prompt"), c.thresholds.prompts);
    // As many as are asked for, unless the limit itself takes more.
    if (decided)
      result.prompts_needed = c.thresholds.prompts;
    else if (needed)
      result.prompts_needed = std::max(*needed, c.thresholds.prompts);
  } else if (result.state == State::inconclusive) {
    result.prompts_needed = needed;
  }
  return result;
}

// What holds for every limit: nothing passes on too little, or on part of a run.
void hold_back(const Case& c, Criterion& criterion) {
  if (c.candidate.facts.probabilities && criterion.state != State::fail) {
    criterion.state = State::inconclusive;
    criterion.reason = "rows are no logits but probabilities: no number of prompts decides";
    criterion.prompts_needed.reset();
    return;
  }
  if (c.candidate.facts.choices_alone > 0 && criterion.state != State::fail) {
    criterion.state = State::inconclusive;
    criterion.prompts_needed.reset();  // more choices could break the limit, and never keep it
    if (const auto why = no_logits(c).missing; criterion.reason != why)
      criterion.reason += "; choices alone pass no limit: " + why;
    return;
  }
  if (criterion.state != State::pass || c.candidate.equal()) return;
  const auto prompts = c.candidate.statistics.prompts;
  const bool complete = c.measurement.candidate.complete && c.measurement.reference.complete;
  if (!complete || !c.measurement.whole()) {
    criterion.state = State::inconclusive;
    criterion.reason +=
        complete ? fmt::format("; but of {} only {} could be compared",
                               counted(static_cast<std::int64_t>(c.measurement.all_prompts()), "prompt"),
                               c.measurement.prompts.size())
                 : "; but a run is partial: finish it first";
  } else if (const auto cut = c.candidate.facts.rows_missing + c.candidate.facts.fed_apart; cut > 0) {
    criterion.state = State::inconclusive;
    criterion.reason += fmt::format("; but of {} only a part could be compared", counted(cut, "prompt"));
  } else if (prompts < c.thresholds.prompts) {
    criterion.state = State::inconclusive;
    criterion.reason +=
        fmt::format("; but only {}, {} are asked for", counted(prompts, "prompt"), c.thresholds.prompts);
    criterion.prompts_needed = c.thresholds.prompts;
  }
}

}  // namespace

std::vector<Criterion> judge_limits(const Candidate& candidate, const Measurement& measurement,
                                    const std::vector<const Measurement*>& repeats,
                                    const Thresholds& thresholds) {
  const Case c{candidate, measurement, repeats, thresholds};
  const auto broken = candidate.facts.without_value;
  std::vector<Criterion> criteria;
  for (const auto& limit : thresholds.limits) {
    criteria.push_back(judge_limit(c, limit));
    if (broken > 0) {  // averages leave such rows out: they must not be a way to pass
      criteria.back().state = State::fail;
      criteria.back().prompts_needed.reset();
      criteria.back().reason =
          fmt::format("{} without a distribution: logits that are NaN or infinite", counted(broken, "row"));
    }
    hold_back(c, criteria.back());
  }
  return criteria;
}

State worst_of(const std::vector<Criterion>& criteria) {
  const auto is = [&](State state) {
    return std::any_of(criteria.begin(), criteria.end(),
                       [&](const Criterion& c) { return c.state == state; });
  };
  return is(State::fail) ? State::fail : is(State::inconclusive) ? State::inconclusive : State::pass;
}

}  // namespace shardrift::verdict
