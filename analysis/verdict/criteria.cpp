#include "analysis/verdict/criteria.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

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
};

Value missing(std::string why) {
  return {{}, std::nullopt, std::move(why)};
}

Value average(const Case& c, std::string_view name) {
  const auto& metric = statistics::metric(name);
  const auto* measured = c.candidate.statistics.of(name);
  const bool event = name == "flips";
  if (!event && measured == nullptr)
    return missing("no logits on both sides: record both with --record logits");
  if (event && c.candidate.statistics.rows == 0) return missing("no row of both runs can be compared");
  if (c.noisy()) {
    const auto above = statistics::above_floor(c.measurement, c.repeats, metric, c.thresholds.bootstrap);
    if (above.excess.prompts > 0 && !std::isnan(above.excess.value))
      return {above.excess, above.floor.value, {}};
  }
  return {event ? c.candidate.statistics.flip_share : measured->average, std::nullopt, {}};
}

Value percentile_99(const Case& c, std::string_view name) {
  const auto* measured = c.candidate.statistics.of(name);
  if (measured == nullptr) return missing("no logits on both sides: record both with --record logits");
  return {measured->p99, std::nullopt, {}};
}

Value flip_regret(const Case& c) {
  const auto& statistics = c.candidate.statistics;
  if (statistics.rows == 0) return missing("no row of both runs can be compared");
  if (statistics.flips + statistics.flips_at_ties == 0) {
    Estimate none;
    none.value = 0;
    none.interval = {0, 0};
    none.method = IntervalMethod::exact;
    none.prompts = statistics.prompts;
    return {none, std::nullopt, {}};
  }
  if (std::isnan(statistics.flip_regret.value))
    return missing("no logits on both sides: record both with --record logits");
  return {statistics.flip_regret, std::nullopt, {}};
}

Value ratio(const std::optional<statistics::Ratio>& ratio, const char* give) {
  if (!ratio) return missing(fmt::format("needs {}", give));
  if (std::isnan(ratio->ratio.value)) return missing("both sides are 0, or no row is common");
  return {ratio->ratio, std::nullopt, {}};
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
  return {estimate, std::nullopt,
          asked ? ""
                : fmt::format("compared to {} tokens of the {} asked about: rerun with --max-new-tokens {}",
                              curve.longest, c.thresholds.tokens, c.thresholds.tokens)};
}

Value value_of(const Case& c, std::string_view name) {
  if (name == "changed_prompts") return changed_prompts(c);
  if (name == "flips") return average(c, "flips");
  if (name == "flip_regret") return flip_regret(c);
  if (name == "kl_mean") return average(c, "kl");
  if (name == "kl_p99") return percentile_99(c, "kl");
  if (name == "tv_mean") return average(c, "tv");
  if (name == "delta_p_mean") return average(c, "delta_p");
  if (name == "delta_p_p99") return percentile_99(c, "delta_p");
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
  } else {
    result.reason = s.prompts == 0 ? "no prompt can be compared"
                                   : fmt::format("no difference in {}, but rows or prompts are missing",
                                                 counted(s.prompts, "prompt"));
  }
  return result;
}

// About how many prompts would bring the interval to one side of the limit: its width goes with 1/sqrt(n).
std::optional<std::int64_t> prompts_needed(const Estimate& estimate, double limit, double confidence) {
  if (estimate.method == IntervalMethod::exact && estimate.value == 0)
    return statistics::trials_to_show(limit, confidence);
  const double gap = std::fabs(limit - estimate.value);
  const double half = estimate.value <= limit ? estimate.interval.high - estimate.value
                                              : estimate.value - estimate.interval.low;
  const double needed = std::ceil(static_cast<double>(estimate.prompts) * (half / gap) * (half / gap));
  if (!(needed < 1e7)) return std::nullopt;
  return static_cast<std::int64_t>(needed);
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

Criterion judge_limit(const Case& c, const Limit& limit) {
  if (std::string_view(limit.kind->name) == "bit_equal") return judge_bits(c, limit);
  Criterion result;
  result.limit = limit;
  const Value value = value_of(c, limit.kind->name);
  result.estimate = value.estimate;
  result.floor = value.floor;
  if (std::isnan(value.estimate.value)) {
    result.reason = value.missing;
    return result;
  }
  result.reason = amount(value.estimate, limit.kind->unit);
  if (value.floor)
    result.reason += fmt::format(" above a noise floor of {}", amount(*value.floor, limit.kind->unit));
  result.state = compare(value.estimate, limit.value);
  if (!value.missing.empty()) {
    // More tokens can only change more prompts: a limit that is broken already stays broken.
    if (result.state != State::fail) result.state = State::inconclusive;
    result.reason += "; " + value.missing;
    return result;
  }
  const bool resampled = value.estimate.method != IntervalMethod::exact && !std::isinf(value.estimate.value);
  if (resampled && value.estimate.prompts < c.thresholds.prompts) {
    result.state = State::inconclusive;
    result.reason += fmt::format("; an interval from {} is not to be trusted, {} are asked for",
                                 counted(value.estimate.prompts, "prompt"), c.thresholds.prompts);
    result.prompts_needed = c.thresholds.prompts;
  } else if (result.state == State::inconclusive && limit.value > 0) {
    result.prompts_needed = prompts_needed(value.estimate, limit.value, c.thresholds.bootstrap.confidence);
  }
  return result;
}

// What holds for every limit: nothing passes on too little, or on part of a run.
void hold_back(const Case& c, Criterion& criterion) {
  if (criterion.state != State::pass) return;
  const auto prompts = c.candidate.statistics.prompts;
  if (prompts < c.thresholds.prompts) {
    criterion.state = State::inconclusive;
    criterion.reason +=
        fmt::format("; but only {}, {} are asked for", counted(prompts, "prompt"), c.thresholds.prompts);
    criterion.prompts_needed = c.thresholds.prompts;
  } else if (!c.measurement.candidate.complete || !c.measurement.reference.complete ||
             !c.measurement.missing.empty()) {
    criterion.state = State::inconclusive;
    criterion.reason += "; but a run is partial";
  }
}

}  // namespace

std::int64_t rows_without_value(const Measurement& measurement) {
  std::int64_t rows = 0;
  for (const auto& prompt : measurement.prompts)
    for (const auto& step : prompt.steps)
      rows += step.measured && !step.bit_equal && std::isnan(step.kl) ? 1 : 0;
  return rows;
}

std::vector<Criterion> judge_limits(const Candidate& candidate, const Measurement& measurement,
                                    const std::vector<const Measurement*>& repeats,
                                    const Thresholds& thresholds) {
  const Case c{candidate, measurement, repeats, thresholds};
  const auto broken = rows_without_value(measurement);
  std::vector<Criterion> criteria;
  for (const auto& limit : thresholds.limits) {
    criteria.push_back(judge_limit(c, limit));
    if (broken > 0) {  // averages leave such rows out: they must not be a way to pass
      criteria.back().state = State::fail;
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
