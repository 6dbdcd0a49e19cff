// The verdict: may this model go from the reference's configuration to a candidate's? Three states, what
// they rest on, what the run could have missed, and one recommendation. Values only; text and JSON are made
// of them (verdict_presenters.hpp). docs/verdict.md has every rule.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "analysis/statistics/beside.hpp"
#include "analysis/statistics/bootstrap.hpp"
#include "analysis/statistics/flip_forecast.hpp"
#include "analysis/statistics/run_statistics.hpp"
#include "analysis/verdict/facts.hpp"
#include "analysis/verdict/thresholds.hpp"
#include "common/named_enum.hpp"

namespace shardrift::verdict {

enum class State {
  pass,          // exit code 0: every limit is kept, with the asked confidence
  fail,          // 1: at least one limit is broken, with the asked confidence
  inconclusive,  // 2: neither can be said: an interval straddles its limit, or something is missing
};
constexpr auto names_of(State) {
  return std::to_array<Named<State>>(
      {{State::pass, "pass"}, {State::fail, "fail"}, {State::inconclusive, "inconclusive"}});
}

// Asked for, but not among the candidates: it did not finish, or its record could not be used.
struct NotJudged {
  std::string name;
  std::string plan;
  std::string why;  // a clause: "interrupted (12 of 36 prompts recorded)"
};

// Everything that was compared with one reference.
struct Evidence {
  std::vector<analysis::Measurement> candidates;
  std::vector<analysis::Measurement> repeats;     // the reference's configuration once more
  std::vector<analysis::Measurement> yardsticks;  // another dtype or quantization
  // The truth against the reference, and against each candidate, in their order; both or neither.
  std::optional<analysis::Measurement> truth_reference;
  std::vector<analysis::Measurement> truth_candidates;
  std::vector<NotJudged> not_judged;
};

// One limit, judged.
struct Criterion {
  Limit limit;
  State state = State::inconclusive;
  statistics::Estimate estimate;               // above the noise floor where `floor` says so
  std::optional<double> floor;                 // what was taken off
  std::string reason;                          // one clause: "16% (10% to 24%), at most 5% allowed"
  std::optional<std::int64_t> prompts_needed;  // inconclusive: about so many prompts would decide
};

// Of the candidate's own run: this machine, this load (docs/verdict.md, "Cost").
struct Cost {
  int devices = 0;                            // 0: not known
  double seconds_per_token = 0;               // wall, of one replica; 0: not known
  double device_seconds_per_1000_tokens = 0;  // devices x wall; 0: not known
  double times_reference = 0;                 // 0: not known, or nothing can be claimed
  statistics::Interval times;                 // around it: what passes and repeats leave open
  std::string unknown;                        // why there is no timing
  std::string unclear;                        // there is one, and why it allows no claim
};

struct Candidate {
  std::string name;
  std::string path;
  std::string plan;
  int shards = 0;
  State state = State::inconclusive;
  std::string headline;  // one sentence: state and the limit that decided
  Facts facts;
  std::string outcome;   // one line: what becomes of the answers
  std::string distance;  // one line: how far the distributions move; empty for equal bits
  bool bit_equal = false;
  bool same_numbers = false;  // what bit_equal is where the logits are of two dtypes
  bool equal() const { return bit_equal || same_numbers; }
  std::vector<Criterion> criteria;
  statistics::RunStatistics statistics;
  std::optional<statistics::FlipPrediction> flips;  // to thresholds.tokens; null without logits
  std::optional<statistics::Ratio> excess_error;    // KL; with a truth
  std::vector<statistics::Ratio> yardsticks;        // KL; one each, in the order given
  std::vector<statistics::Ratio> yardsticks_rms;    // RMS Δ
  double divergence = 0;  // what ranks it: 0 where equal, else mean KL above the floor (docs/verdict.md)
  Cost cost;
  std::vector<std::string> not_comparable;  // analysis/measure/not_comparable.hpp: said before anything else
  std::vector<std::string> remarks;         // missing data, partial files, one possible order of two shards
};

struct Ranked {
  std::size_t candidate = 0;
  std::string why;  // a clause: "interrupted (12 of 36 prompts recorded)"
};

struct Verdict {
  // The worst: fail before inconclusive before pass. Never pass where something asked for was not judged.
  State state = State::inconclusive;
  Thresholds thresholds;
  std::string reference;  // name and plan
  std::vector<Candidate> candidates;
  std::vector<NotJudged> not_judged;
  std::vector<std::string> yardsticks;  // names
  std::optional<statistics::NoiseFloor> noise_floor;
  std::optional<statistics::Spread> spread;  // with two candidates or more
  std::string answer;                        // the question's, in one or two sentences, before any policy
  std::string headline;                      // the policy: what the limits tolerate, and who keeps them
  std::string paragraph;                     // answer, policy, noise floor, recommendation
  std::string recommendation;                // one sentence
  std::string power;                         // what these prompts could have missed
  std::vector<Ranked> ranking;               // best first
};

Verdict judge(const Evidence& evidence, const Thresholds& thresholds);

// 0 pass, 1 fail, 2 inconclusive.
int exit_code(const Verdict& verdict);

}  // namespace shardrift::verdict
