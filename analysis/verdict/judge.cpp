// From measurements to a verdict: statistics, limits, ranking; the sentences are words.cpp's.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <future>
#include <map>
#include <numeric>
#include <thread>

#include "analysis/measure/not_comparable.hpp"
#include "analysis/verdict/cost.hpp"
#include "analysis/verdict/criteria.hpp"
#include "analysis/verdict/verdict.hpp"
#include "analysis/verdict/words.hpp"
#include "common/error.hpp"
#include "common/text_columns.hpp"

namespace shardrift::verdict {
namespace {

using analysis::Measurement;

std::vector<const Measurement*> pointers(const std::vector<Measurement>& measurements) {
  std::vector<const Measurement*> result;
  result.reserve(measurements.size());
  for (const auto& measurement : measurements) result.push_back(&measurement);
  return result;
}

// Every prompt of both records is among `equal` ones.
bool every_prompt(std::int64_t equal, const Measurement& measurement, const Candidate& candidate) {
  return equal > 0 && equal == candidate.statistics.prompts && measurement.whole() &&
         candidate.facts.complete && candidate.facts.without_value == 0 && !candidate.facts.probabilities;
}

// 0 for equal bits or numbers, else the mean KL above the noise floor; without logits the share of prompts
// changed.
double divergence_of(const Candidate& candidate, const Measurement& measurement,
                     const std::vector<const Measurement*>& repeats, const Thresholds& thresholds) {
  if (candidate.equal()) return 0;
  if (candidate.facts.without_value > 0) return analysis::kNoValue;
  if (const auto* kl = candidate.statistics.of("kl")) {
    if (repeats.empty()) return kl->average.value;
    const auto above =
        statistics::above_floor(measurement, repeats, statistics::metric("kl"), thresholds.bootstrap);
    return std::isnan(above.excess.value) ? kl->average.value : above.excess.value;
  }
  const auto& survival = candidate.statistics.survival;
  return survival.points.empty() ? analysis::kNoValue : 1 - survival.points.back().share;
}

std::vector<std::string> remarks_of(const Candidate& candidate, const Measurement& measurement) {
  std::vector<std::string> remarks;
  if (!measurement.candidate.complete)
    remarks.push_back(fmt::format("{} is partial: judged as far as it goes", candidate.path));
  if (candidate.shards == 2)
    remarks.emplace_back(
        "two shards have one possible order (a + b = b + a): to study orders take 3 shards or more");
  if (const auto broken = candidate.facts.without_value; broken > 0)
    remarks.push_back(fmt::format("{} with NaN or infinite logits", counted(broken, "row")));
  if (!candidate.cost.unknown.empty()) remarks.push_back("cost not known: " + candidate.cost.unknown);
  if (!candidate.cost.unclear.empty()) remarks.push_back("cost unclear: " + candidate.cost.unclear);
  return remarks;
}

Candidate judge_candidate(const Evidence& evidence, std::size_t index, const Thresholds& thresholds) {
  const Measurement& measurement = evidence.candidates[index];
  const auto repeats = pointers(evidence.repeats);
  Candidate candidate;
  candidate.name = measurement.candidate.name;
  candidate.path = measurement.candidate.path;
  candidate.plan = measurement.candidate.plan;
  candidate.shards = measurement.candidate.shards;
  candidate.facts = facts_of(measurement);
  candidate.statistics = statistics::statistics_of(measurement, thresholds.bootstrap);
  candidate.flips = statistics::predict_flips(measurement, thresholds.tokens, thresholds.bootstrap);
  candidate.bit_equal = every_prompt(candidate.statistics.prompts_bit_equal, measurement, candidate);
  candidate.same_numbers = every_prompt(candidate.facts.same_numbers, measurement, candidate);
  if (evidence.truth_reference && index < evidence.truth_candidates.size())
    candidate.excess_error =
        statistics::ratio_on_common_rows(evidence.truth_candidates[index], *evidence.truth_reference,
                                         statistics::metric("kl"), thresholds.bootstrap);
  for (const auto& yardstick : evidence.yardsticks) {
    const auto ratio = [&](const char* name) {
      return statistics::ratio_on_common_rows(measurement, yardstick, statistics::metric(name),
                                              thresholds.bootstrap);
    };
    candidate.yardsticks.push_back(ratio("kl"));
    candidate.yardsticks_rms.push_back(ratio("rms"));
  }
  candidate.divergence = divergence_of(candidate, measurement, repeats, thresholds);
  candidate.cost = compare_cost(measurement.reference, evidence.repeats, measurement.candidate);
  candidate.criteria = judge_limits(candidate, measurement, repeats, thresholds);
  candidate.state = worst_of(candidate.criteria);
  candidate.not_comparable = analysis::not_comparable(measurement);
  candidate.remarks = remarks_of(candidate, measurement);
  candidate.headline = headline_of(candidate);
  return candidate;
}

// Each by itself, on all cores.
std::vector<Candidate> judge_candidates(const Evidence& evidence, const Thresholds& thresholds) {
  std::vector<Candidate> candidates(evidence.candidates.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < candidates.size(); i = next++)
      candidates[i] = judge_candidate(evidence, i, thresholds);
  };
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::future<void>> workers;
  for (std::size_t i = 1; i < std::min(cores, candidates.size()); ++i)
    workers.push_back(std::async(std::launch::async, work));
  work();
  for (auto& worker : workers) worker.get();
  return candidates;
}

// Files of one name in several folders are called by their paths.
void name_apart(std::vector<Candidate>& candidates) {
  std::map<std::string, int> uses;
  for (const auto& candidate : candidates) ++uses[candidate.name];
  for (auto& candidate : candidates)
    if (uses[candidate.name] > 1 && !candidate.path.empty()) candidate.name = legible(candidate.path);
}

int order_of(State state) {
  return state == State::pass ? 0 : state == State::inconclusive ? 1 : 2;
}

// NaN last.
bool less(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return !std::isnan(a) && std::isnan(b);
  return a < b;
}

// Of candidates that pass, the first class comes first.
enum class Price {
  affordable,  // or its timing allows no claim: then cost speaks neither for nor against it
  dear,        // surely dearer than the slack allows
  unknown,     // never timed, as a predicted run
};

// How each is priced beside the cheapest one that passes. Where nothing can be claimed of any of them, cost
// takes no part at all.
std::vector<Price> prices_of(const std::vector<Candidate>& candidates, double slack) {
  const Cost* cheapest = nullptr;
  for (const auto& c : candidates)
    if (c.state == State::pass && c.cost.times_reference > 0 &&
        (cheapest == nullptr || c.cost.times_reference < cheapest->times_reference))
      cheapest = &c.cost;
  std::vector<Price> prices(candidates.size(), Price::affordable);
  if (cheapest == nullptr) return prices;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Cost& cost = candidates[i].cost;
    if (cost.times_reference > 0 && cost.times.low > slack * cheapest->times.high) prices[i] = Price::dear;
    if (!(cost.seconds_per_token > 0)) prices[i] = Price::unknown;
  }
  return prices;
}

std::string price_words(const Cost& cost) {
  if (cost.times_reference > 0) return cost_words(cost);
  return cost.unclear.empty() ? "cost not known" : "cost unclear";
}

// The rule of docs/verdict.md: state; of those that pass, the affordable before the dear, the affordable by
// divergence, the dear by cost; cost unknown after known; then divergence, devices, the order given.
std::vector<Ranked> rank(const std::vector<Candidate>& candidates, double slack) {
  const auto prices = prices_of(candidates, slack);
  const auto before = [&](std::size_t i, std::size_t j) {
    const Candidate& a = candidates[i];
    const Candidate& b = candidates[j];
    if (a.state != b.state) return order_of(a.state) < order_of(b.state);
    if (a.state == State::pass) {
      if (prices[i] != prices[j]) return prices[i] < prices[j];
      if (prices[i] == Price::dear && a.cost.times_reference != b.cost.times_reference)
        return a.cost.times_reference < b.cost.times_reference;
    }
    if (less(a.divergence, b.divergence) || less(b.divergence, a.divergence))
      return less(a.divergence, b.divergence);
    return a.cost.devices < b.cost.devices;
  };
  std::vector<std::size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), before);
  std::vector<Ranked> ranking;
  for (const auto index : order) {
    const auto& c = candidates[index];
    std::string why = c.bit_equal                ? "equal bits"
                      : c.same_numbers           ? "equal numbers"
                      : std::isnan(c.divergence) ? "divergence not measured"
                      : c.statistics.of("kl") != nullptr
                          ? fmt::format("mean KL {}", amount(c.divergence, Unit::nats))
                          : fmt::format("{} of prompts changed", amount(c.divergence, Unit::share));
    ranking.push_back({index, fmt::format("{}, {}, {}", name_of(c.state), why, price_words(c.cost))});
  }
  return ranking;
}

}  // namespace

int exit_code(const Verdict& verdict) {
  return static_cast<int>(verdict.state == State::pass   ? ExitCode::ok
                          : verdict.state == State::fail ? ExitCode::beyond_tolerance
                                                         : ExitCode::inconclusive);
}

Verdict judge(const Evidence& evidence, const Thresholds& thresholds) {
  Verdict verdict;
  verdict.thresholds = thresholds;
  if (!evidence.candidates.empty()) {
    const auto& reference = evidence.candidates.front().reference;
    verdict.reference = fmt::format("{} ({})", reference.name, reference.plan);
  }
  verdict.candidates = judge_candidates(evidence, thresholds);
  name_apart(verdict.candidates);
  verdict.not_judged = evidence.not_judged;
  for (const auto& yardstick : evidence.yardsticks) verdict.yardsticks.push_back(yardstick.candidate.name);
  if (!evidence.repeats.empty()) verdict.noise_floor = statistics::noise_floor(pointers(evidence.repeats));
  if (evidence.candidates.size() > 1)
    verdict.spread = statistics::spread_of(pointers(evidence.candidates), thresholds.bootstrap);
  const auto any = [&](State state) {
    return std::any_of(verdict.candidates.begin(), verdict.candidates.end(),
                       [&](const Candidate& c) { return c.state == state; });
  };
  const bool all_judged = !verdict.candidates.empty() && verdict.not_judged.empty();
  verdict.state = any(State::fail)                          ? State::fail
                  : any(State::inconclusive) || !all_judged ? State::inconclusive
                                                            : State::pass;
  verdict.ranking = rank(verdict.candidates, thresholds.cost_slack);
  verdict.power = power_of(verdict);
  verdict.recommendation = recommendation_of(verdict);
  for (auto& candidate : verdict.candidates) {
    candidate.outcome = outcome_of(candidate);
    candidate.distance = distance_of(candidate, verdict.yardsticks);
  }
  verdict.answer = answer_of(verdict);
  verdict.headline = headline_of(verdict);
  verdict.paragraph = paragraph_of(verdict);
  return verdict;
}

}  // namespace shardrift::verdict
