// What limits say where events are few, tails are long, bits are equal, or flips fall at ties.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "analysis/measure/totals.hpp"
#include "analysis/verdict/verdict.hpp"
#include "tests/unit/statistics/synthetic.hpp"

namespace shardrift::verdict {
namespace {

using analysis::Measurement;
using analysis::Step;
using statistics::testing::differing_step;
using statistics::testing::equal_measurement;
using statistics::testing::measurement;
using ::testing::HasSubstr;
using ::testing::Not;

Thresholds limited_to(const std::string& limit, double value) {
  Thresholds thresholds;
  thresholds.source = "test";
  thresholds.bootstrap.resamples = 1000;
  thresholds.tokens = 32;
  thresholds.limits = {{&limit_kind(limit), value}};
  return thresholds;
}

Criterion judged(const Measurement& candidate, const std::string& limit, double value) {
  Evidence evidence;
  evidence.candidates = {candidate};
  return judge(evidence, limited_to(limit, value)).candidates.front().criteria.front();
}

// `flips` prompts flip at their second row, the first `ties` of them at an exact tie.
Measurement flipping(int prompts, int rows, int flips, int ties, double largest = 0.5) {
  return measurement("tp2", prompts, rows, [=](int prompt, int row) {
    Step step = differing_step(row, 1e-4);
    step.max_abs = largest;
    if (row == 1 && prompt < flips) {
      statistics::testing::flip(step, prompt < ties ? 0 : 0.125);
      if (prompt < ties) step.ties_reference = 2;
    }
    return step;
  });
}

TEST(Limits, NoFlipInFewRowsIsNotNoFlip) {
  // One row in each of 30 prompts: up to 11.6% could flip.
  const auto few = judged(flipping(30, 1, 0, 0), "flips", 0.05);
  EXPECT_EQ(few.state, State::inconclusive);
  EXPECT_GT(few.estimate.interval.high, 0.09);
  ASSERT_TRUE(few.prompts_needed);
  EXPECT_NEAR(static_cast<double>(*few.prompts_needed), 72, 12);
  EXPECT_EQ(judged(flipping(100, 1, 0, 0), "flips", 0.05).state, State::pass);
  // A greedy run is compared up to its first flip, so that 32 rows say more; rows that go on may all flip.
  EXPECT_EQ(judged(flipping(30, 32, 0, 0), "flips", 0.05).state, State::pass);
  Measurement follow = flipping(30, 32, 0, 0);
  follow.candidate.run.mode = "follow";
  EXPECT_EQ(judged(follow, "flips", 0.05).state, State::inconclusive);
}

TEST(Limits, AFlipAtATieIsAFlip) {
  const auto m = flipping(100, 4, 40, 36);
  const auto all = judged(m, "flips", 0.05);
  const auto clear = judged(m, "clear_flips", 0.05);
  EXPECT_NEAR(all.estimate.value, 40.0 / 320, 1e-15);
  EXPECT_NEAR(clear.estimate.value, 4.0 / 320, 1e-15);
  EXPECT_EQ(all.state, State::fail);
  EXPECT_EQ(clear.state, State::pass);
  EXPECT_NEAR(judged(m, "flip_regret", 0.2).estimate.value, 4 * 0.125 / 40, 1e-15);
  EXPECT_NEAR(judged(m, "clear_flip_regret", 0.2).estimate.value, 0.125, 1e-15);
}

TEST(Limits, TheRegretOfFewFlipsIsNotKnown) {
  const auto four = judged(flipping(100, 4, 4, 0), "flip_regret", 0.2);
  EXPECT_EQ(four.state, State::inconclusive);
  EXPECT_THAT(four.reason, HasSubstr("over 4 flips"));
  EXPECT_TRUE(four.prompts_needed);
  EXPECT_EQ(judged(flipping(100, 4, 1, 0), "flip_regret", 0.2).state, State::inconclusive);
  EXPECT_EQ(judged(flipping(100, 4, 60, 0), "flip_regret", 0.2).state, State::pass);
  // Logits that hardly move cannot cost more, whoever flips.
  EXPECT_EQ(judged(flipping(100, 4, 4, 4, 1e-4), "flip_regret", 0.2).state, State::pass);
  EXPECT_EQ(judged(flipping(100, 4, 0, 0), "flip_regret", 0.2).state, State::pass);
}

TEST(Limits, AMeanThatOnePromptMakesIsNotKnown) {
  const auto m = [](double largest) {
    return measurement("tp2", 30, 8, [=](int prompt, int row) {
      return differing_step(row, 1e-3 * (prompt == 0 ? largest : 1 + prompt % 7));
    });
  };
  EXPECT_EQ(judged(m(1), "kl_mean", 0.01).state, State::pass);
  // The mean lies below the limit as before, but one prompt in thirty makes half of it.
  const auto tailed = judged(m(100), "kl_mean", 0.01);
  EXPECT_LT(tailed.estimate.value, 0.01);
  EXPECT_EQ(tailed.state, State::inconclusive);
}

TEST(Limits, SayWhatWouldDecide) {
  // Fewer prompts than are asked for: as many as that, or as the limit itself takes.
  const auto few = judged(flipping(20, 1, 0, 0), "flips", 0.05);
  ASSERT_TRUE(few.prompts_needed);
  EXPECT_NEAR(static_cast<double>(*few.prompts_needed), 72, 12);
  EXPECT_EQ(judged(flipping(20, 32, 0, 0), "flips", 0.5).prompts_needed, 30);
  // One flip: its interval reaches as far as a flip could cost.
  const auto one = judged(flipping(100, 4, 1, 0), "flip_regret", 0.2);
  EXPECT_THAT(one.reason, HasSubstr("0.125 nats (0 to 1) over 1 flip"));
  // One prompt that differs has no tail.
  const auto bit = judged(measurement("pp2", 40, 4,
                                      [](int prompt, int row) {
                                        return prompt == 3 ? differing_step(row, 1e-13)
                                                           : statistics::testing::equal_step(row);
                                      }),
                          "kl_mean", 0.01);
  EXPECT_EQ(bit.state, State::inconclusive);
  EXPECT_THAT(bit.reason, HasSubstr("at least 10 are needed"));
  const auto single = judged(flipping(1, 4, 0, 0), "flips", 0.05);
  EXPECT_THAT(single.reason, HasSubstr("1 prompt has no interval"));
}

// The same NaN on both sides is no answer.
TEST(Limits, RowsOfNaNFailWhereBitsAreEqualToo) {
  Measurement m = equal_measurement("pp2", 40, 4);
  m.prompts[7].steps[2].p_reference = m.prompts[7].steps[2].p_candidate = std::nan("");
  Evidence evidence;
  evidence.candidates = {m};
  for (const std::string name : {"bitwise", "serving"}) {
    const auto verdict = judge(evidence, preset(name));
    EXPECT_EQ(verdict.state, State::fail) << name;
    EXPECT_FALSE(verdict.candidates[0].bit_equal);
    EXPECT_TRUE(std::isnan(verdict.candidates[0].divergence));
    EXPECT_THAT(verdict.answer, HasSubstr("NaN"));
    for (const auto& one : verdict.candidates[0].criteria) EXPECT_FALSE(one.prompts_needed);
  }
}

TEST(Limits, EqualBitsAreJudgedAgainstTheTruthAsEver) {
  EXPECT_EQ(judged(equal_measurement("pp2", 40, 4), "excess_error", 0.5).state,
            State::inconclusive);  // no --truth
}

TEST(Limits, APercentileIsAShareOfRows) {
  const auto m = [](int prompts, int every) {
    return measurement("tp2", prompts, 50,
                       [=](int, int row) { return differing_step(row, row % 50 < every ? 0.1 : 1e-4); });
  };
  EXPECT_EQ(judged(m(600, 0), "kl_p99", 0.05).state, State::pass);
  const auto few = judged(m(40, 0), "kl_p99", 0.05);  // 8.8% of prompts could be all above
  EXPECT_EQ(few.state, State::inconclusive);
  EXPECT_TRUE(few.prompts_needed);
  const auto broken = judged(m(40, 4), "kl_p99", 0.05);  // 8% of rows
  EXPECT_EQ(broken.state, State::fail);
  EXPECT_THAT(broken.reason, HasSubstr("of rows"));
}

TEST(Limits, EqualBitsAreNeverInconclusive) {
  for (const std::string name : {"strict", "serving", "bitwise"}) {
    Evidence evidence;
    evidence.candidates = {equal_measurement("pp2", 3, 4)};
    evidence.yardsticks = {equal_measurement("int8", 3, 4)};
    auto limits = preset(name);
    limits.limits.push_back({&limit_kind("yardstick"), 0.5});
    const auto verdict = judge(evidence, limits);
    EXPECT_EQ(verdict.state, State::pass) << name;
    EXPECT_THAT(verdict.power, HasSubstr("70.8%"))
        << name;  // of prompts an effect may touch, and be unseen in 3
    for (const auto& one : verdict.candidates[0].criteria)
      EXPECT_EQ(one.state, State::pass) << one.limit.kind->name;
  }
  // A record that is not whole is not equal.
  Evidence partial;
  partial.candidates = {equal_measurement("pp2", 60, 4)};
  partial.candidates[0].candidate.complete = false;
  EXPECT_EQ(judge(partial, preset("serving")).state, State::inconclusive);
}

// Rows that one side does not have, and texts that part without a flip, are no sameness.
TEST(Limits, NothingPassesOnPartOfTheRows) {
  const Measurement whole = flipping(60, 32, 0, 0);
  EXPECT_EQ(judged(whole, "kl_mean", 1).state, State::pass);
  Measurement shorter = whole;
  for (auto& prompt : shorter.prompts) prompt.reference_steps += 28;
  EXPECT_EQ(analysis::end_of(shorter.prompts[0]), analysis::RowsEnd::fewer);
  const auto few = judged(shorter, "kl_mean", 1);
  EXPECT_EQ(few.state, State::inconclusive);
  EXPECT_THAT(few.reason, HasSubstr("only a part could be compared"));
  Measurement apart = shorter;
  for (auto& prompt : apart.prompts) prompt.candidate_steps += 28;
  EXPECT_EQ(analysis::end_of(apart.prompts[0]), analysis::RowsEnd::other_tokens);
  EXPECT_EQ(judged(apart, "kl_mean", 1).state, State::inconclusive);
  EXPECT_EQ(judged(apart, "kl_mean", 1e-30).state, State::fail);
  Evidence evidence;
  evidence.candidates = {apart};
  const auto verdict = judge(evidence, preset("serving"));
  EXPECT_THAT(verdict.answer, HasSubstr("not every row has its like"));
  EXPECT_THAT(verdict.answer, Not(HasSubstr("the same text")));
  EXPECT_THAT(verdict.candidates[0].outcome, HasSubstr("fed other tokens from some row on"));
}

}  // namespace
}  // namespace shardrift::verdict
