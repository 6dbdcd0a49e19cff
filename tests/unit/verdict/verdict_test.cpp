#include "analysis/verdict/verdict.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "analysis/statistics/proportion.hpp"
#include "analysis/verdict/verdict_presenters.hpp"
#include "tests/unit/statistics/synthetic.hpp"

namespace shardrift::verdict {
namespace {

using analysis::Measurement;
using analysis::Step;
using statistics::testing::differing_step;
using statistics::testing::equal_measurement;
using statistics::testing::measurement;
using statistics::testing::summary;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// KL of each row about `kl`; the first `changed` prompts flip in row 20.
Measurement run(const std::string& name, double kl, int prompts = 100, int changed = 0, int rows = 32) {
  return measurement(name, prompts, rows, [=](int prompt, int row) {
    Step step = differing_step(row, kl * (0.5 + 0.1 * ((prompt * 7 + row) % 11)));
    if (row == 20 && prompt < changed) statistics::testing::flip(step, 0.05);
    return step;
  });
}

Thresholds quick(const std::string& name) {
  Thresholds thresholds = preset(name);
  thresholds.bootstrap.resamples = 200;
  thresholds.tokens = 32;
  return thresholds;
}

Verdict verdict_of(Measurement candidate, const Thresholds& thresholds) {
  Evidence evidence;
  evidence.candidates.push_back(std::move(candidate));
  return judge(evidence, thresholds);
}

// Left in build/tests/gate-json for json_schema.py.
nlohmann::json kept_json(const std::string& name, const Verdict& verdict) {
  const std::filesystem::path folder = SHARDRIFT_BINARY_DIR "/tests/gate-json";
  std::filesystem::create_directories(folder);
  const std::string text = verdict_json(verdict);
  std::ofstream(folder / (name + ".json")) << text;
  return nlohmann::json::parse(text);
}

Thresholds only(const std::string& limit, double value) {
  Thresholds thresholds;
  thresholds.source = "test";
  thresholds.bootstrap.resamples = 200;
  thresholds.tokens = 32;
  thresholds.limits = {{&limit_kind(limit), value}};
  return thresholds;
}

TEST(Verdict, BitwisePassesFailsAndAbstains) {
  const auto pass = verdict_of(equal_measurement("pp2", 4, 8), quick("bitwise"));
  EXPECT_EQ(pass.state, State::pass);
  EXPECT_EQ(exit_code(pass), 0);
  EXPECT_TRUE(pass.candidates[0].bit_equal);
  EXPECT_THAT(pass.power, HasSubstr("60.2%"));  // 1 - 0.025^(1/4)
  EXPECT_THAT(pass.recommendation, HasSubstr("it changes no bit"));

  Measurement one_word = equal_measurement("tp2", 4, 8);
  one_word.prompts[3].steps[7] = differing_step(7, 1e-18);
  one_word.prompts[3].bit_equal = false;
  one_word.prompts[3].differs = true;
  const auto fail = verdict_of(one_word, quick("bitwise"));
  EXPECT_EQ(fail.state, State::fail);
  EXPECT_EQ(exit_code(fail), 1);
  EXPECT_THAT(fail.candidates[0].headline, HasSubstr("1 of 4 prompts differ"));

  // No difference found, but not everything was compared.
  Measurement shorter = equal_measurement("tp2", 4, 8);
  shorter.prompts[0].bit_equal = shorter.prompts[0].differs = false;
  const auto open = verdict_of(shorter, quick("bitwise"));
  EXPECT_EQ(open.state, State::inconclusive);
  EXPECT_EQ(exit_code(open), 2);
  Measurement partial = equal_measurement("tp2", 4, 8);
  partial.candidate.complete = false;
  EXPECT_EQ(verdict_of(partial, quick("bitwise")).state, State::inconclusive);
  Measurement missing = equal_measurement("tp2", 4, 8);
  missing.missing_in_candidate = {"p9"};
  EXPECT_EQ(verdict_of(missing, quick("bitwise")).state, State::inconclusive);
  EXPECT_EQ(verdict_of(Measurement(), quick("bitwise")).state, State::inconclusive);
  EXPECT_EQ(judge({}, quick("bitwise")).state, State::inconclusive);
}

// Logits of two dtypes: no bits to compare, and no number differs.
TEST(Verdict, SameNumbersOfTwoDtypesKeepEveryLimitButThatOnBits) {
  Measurement m = equal_measurement("engine", 4, 8);
  m.reference.run.logits_dtype = DType::float32;
  m.candidate.run.logits_dtype = DType::bfloat16;
  for (auto& prompt : m.prompts) {
    prompt.bit_equal = false;
    for (auto& step : prompt.steps) {
      step.bit_equal = false;
      step.max_ulp = step.mean_ulp = analysis::kNoValue;
    }
  }
  const auto bits = verdict_of(m, quick("bitwise"));
  EXPECT_EQ(bits.state, State::inconclusive);
  EXPECT_THAT(bits.candidates[0].headline, HasSubstr("the logits are of two dtypes: no bits to compare"));
  const auto pass = verdict_of(m, quick("serving"));
  EXPECT_EQ(pass.state, State::pass);
  EXPECT_THAT(pass.answer, HasSubstr("Yes, to the number: the same logits in all 4 prompts"));
  EXPECT_THAT(pass.recommendation, HasSubstr("it changes no number"));
  EXPECT_THAT(pass.candidates[0].outcome, HasSubstr("the same numbers in 4 of 4 prompts"));
  EXPECT_THAT(verdict_text(pass), Not(HasSubstr("0/4")));
  const auto json = kept_json("two_dtypes", pass);
  EXPECT_TRUE(json["candidates"][0]["bit_equal"].is_null());
  EXPECT_EQ(json["candidates"][0]["same_numbers"], true);
  EXPECT_TRUE(json["candidates"][0]["statistics"]["prompts_bit_equal"].is_null());

  m.prompts[1].steps[3] = differing_step(3, 1e-3);
  m.prompts[1].differs = true;
  const auto differs = verdict_of(m, quick("bitwise"));
  EXPECT_EQ(differs.state, State::fail);
  EXPECT_FALSE(differs.candidates[0].same_numbers);
}

// A record written by hand: import refuses such rows.
TEST(Verdict, NothingPassesOnProbabilities) {
  Measurement m = equal_measurement("odds", 200, 32);
  m.candidate.probabilities = true;
  for (const auto* name : {"bitwise", "strict", "serving"}) {
    const auto verdict = verdict_of(m, quick(name));
    EXPECT_EQ(verdict.state, State::inconclusive) << name;
    EXPECT_FALSE(verdict.candidates[0].bit_equal);
    EXPECT_THAT(verdict.candidates[0].not_comparable[0], HasSubstr("probabilities: the rows of odds"));
    EXPECT_THAT(verdict.candidates[0].headline, HasSubstr("probabilities"));
  }
}

TEST(Verdict, ThreeStatesByTheInterval) {
  const auto limits = only("changed_prompts", 0.2);
  EXPECT_EQ(verdict_of(run("a", 1e-3, 100, 5), limits).state, State::pass);   // up to 11%
  EXPECT_EQ(verdict_of(run("a", 1e-3, 100, 40), limits).state, State::fail);  // from 30%
  const auto open = verdict_of(run("a", 1e-3, 100, 18), limits);
  EXPECT_EQ(open.state, State::inconclusive);
  ASSERT_TRUE(open.candidates[0].criteria[0].prompts_needed.has_value());
  EXPECT_GT(*open.candidates[0].criteria[0].prompts_needed, 100);
  EXPECT_NEAR(open.candidates[0].criteria[0].estimate.value, 0.18, 1e-12);
  // The interval is the exact one of a share: nothing is cut before 32 tokens.
  const auto exact = statistics::proportion(18, 100, 0.95);
  EXPECT_NEAR(open.candidates[0].criteria[0].estimate.interval.low, exact.interval.low, 1e-9);
}

TEST(Verdict, FewPromptsProveLittle) {
  // None of 20 changed, and that is not enough for 5 %.
  auto limits = only("changed_prompts", 0.05);
  limits.prompts = 1;
  const auto open = verdict_of(run("a", 1e-3, 20), limits);
  EXPECT_EQ(open.state, State::inconclusive);
  EXPECT_EQ(open.candidates[0].criteria[0].prompts_needed, 72);
  EXPECT_THAT(open.power, HasSubstr("at least 72 prompts"));
  EXPECT_EQ(verdict_of(run("a", 1e-3, 72), limits).state, State::pass);
  // Every second of 20 changed: that is enough to fail.
  EXPECT_EQ(verdict_of(run("a", 1e-3, 20, 10), limits).state, State::fail);
  // With fewer prompts than asked for nothing passes, and no resampled interval decides.
  limits.prompts = 200;
  EXPECT_EQ(verdict_of(run("a", 1e-3, 100), limits).state, State::inconclusive);
  EXPECT_EQ(verdict_of(run("a", 1e-3, 20), only("kl_mean", 1e-9)).state, State::inconclusive);
  EXPECT_EQ(verdict_of(run("a", 1e-3, 40), only("kl_mean", 1e-9)).state, State::fail);
  EXPECT_EQ(verdict_of(run("a", 1e-3, 40), only("kl_mean", 1)).state, State::pass);
}

// Of a server's answers no number of prompts makes logits.
TEST(Verdict, WhatMorePromptsDoNotDecideIsNamed) {
  Measurement top = run("engine4", 1e-3, 20);
  top.candidate.run.level = "top";
  top.candidate.run.plan = R"({"engine": "a server"})";
  for (auto& prompt : top.prompts) {
    prompt.has_logits = false;
    for (auto& step : prompt.steps) step.measured = false;
  }
  const auto verdict = verdict_of(top, quick("serving"));
  EXPECT_EQ(verdict.state, State::inconclusive);
  EXPECT_THAT(verdict.recommendation,
              AllOf(HasSubstr("nearest to passing is engine4"), Not(HasSubstr("would decide")),
                    HasSubstr("no logits of engine4: save the engine's (docs/engines.md)")));
  // Choices alone pass no limit, kept as it may be.
  for (const auto* name : {"flips", "changed_prompts"}) {
    auto kept = only(name, 0.999);
    kept.prompts = 1;
    EXPECT_EQ(verdict_of(top, kept).state, State::inconclusive) << name;
  }
  // Of what more prompts decide their number is still said.
  auto limits = only("changed_prompts", 0.05);
  limits.prompts = 1;
  EXPECT_THAT(verdict_of(run("a", 1e-3, 20), limits).recommendation,
              HasSubstr("about 72 prompts would decide"));
}

TEST(Verdict, TextsShorterThanAskedAbout) {
  auto limits = only("changed_prompts", 0.2);
  limits.tokens = 256;
  const auto open = verdict_of(run("a", 1e-3, 100, 0, 64), limits);
  EXPECT_EQ(open.state, State::inconclusive);
  EXPECT_THAT(open.candidates[0].criteria[0].reason, HasSubstr("--max-new-tokens 256"));
  // What is broken after 64 tokens stays broken.
  EXPECT_EQ(verdict_of(run("a", 1e-3, 100, 50, 64), limits).state, State::fail);
  // Texts that came to their own end are whole.
  Measurement whole = run("a", 1e-3, 100, 0, 64);
  for (auto& prompt : whole.prompts) prompt.reference_stop = "eos";
  EXPECT_EQ(verdict_of(whole, limits).state, State::pass);
  Measurement score = run("a", 1e-3);
  score.candidate.run.mode = "score";
  EXPECT_EQ(verdict_of(score, limits).state, State::inconclusive);
}

TEST(Verdict, MissingDataIsNoPass) {
  EXPECT_EQ(verdict_of(run("a", 1e-3), only("excess_error", 2)).state, State::inconclusive);
  EXPECT_EQ(verdict_of(run("a", 1e-3), only("yardstick", 2)).state, State::inconclusive);
  Measurement top = run("a", 1e-3);
  for (auto& prompt : top.prompts)
    for (auto& step : prompt.steps) {
      const Step known = step;
      step = Step();
      step.step = step.candidate_step = known.step;
    }
  EXPECT_EQ(verdict_of(top, only("kl_mean", 2)).state, State::inconclusive);
  EXPECT_EQ(verdict_of(top, only("flip_regret", 2)).state, State::pass);  // nothing flipped
  // A row of NaN has no KL: it must not be averaged away.
  Measurement broken = run("a", 1e-3);
  broken.prompts[5].steps[5].kl = analysis::kNoValue;
  EXPECT_EQ(verdict_of(broken, only("kl_mean", 2)).state, State::fail);
  Measurement infinite = run("a", 1e-3);
  infinite.prompts[5].steps[5].kl = std::numeric_limits<double>::infinity();
  EXPECT_EQ(verdict_of(infinite, only("kl_mean", 2)).state, State::fail);
  Measurement partial = run("a", 1e-3);
  partial.candidate.complete = false;
  EXPECT_EQ(verdict_of(partial, only("kl_mean", 2)).state, State::inconclusive);
  EXPECT_EQ(verdict_of(partial, only("kl_mean", 1e-9)).state, State::fail);
}

TEST(Verdict, NoiseFloorIsTakenOffByName) {
  Evidence evidence;
  evidence.candidates.push_back(run("tp2", 5e-4));
  const auto limits = only("kl_mean", 3e-4);
  EXPECT_EQ(judge(evidence, limits).state, State::fail);
  evidence.repeats.push_back(run("again", 4e-4));
  const auto verdict = judge(evidence, limits);
  EXPECT_EQ(verdict.state, State::pass);
  ASSERT_TRUE(verdict.candidates[0].criteria[0].floor.has_value());
  EXPECT_THAT(verdict.candidates[0].criteria[0].reason, HasSubstr("above a noise floor of"));
  EXPECT_THAT(verdict.paragraph, HasSubstr("does not repeat itself"));
  // The usual floor: nothing to take off, and it is said.
  evidence.repeats = {equal_measurement("again", 100, 32)};
  const auto quiet = judge(evidence, limits);
  EXPECT_FALSE(quiet.candidates[0].criteria[0].floor.has_value());
  EXPECT_THAT(quiet.paragraph, HasSubstr("changed no bit in 100 prompts"));
}

TEST(Verdict, TruthAndYardstick) {
  Evidence evidence;
  evidence.candidates = {run("tp2", 1e-4)};
  evidence.yardsticks = {run("int8", 2e-3)};
  evidence.truth_reference = run("one", 4e-4);
  evidence.truth_candidates = {run("tp2", 6e-4)};
  auto limits = only("yardstick", 0.1);
  limits.limits.insert(limits.limits.begin(), {&limit_kind("excess_error"), 1.2});
  const auto verdict = judge(evidence, limits);
  const auto& c = verdict.candidates[0];
  EXPECT_NEAR(c.excess_error->ratio.value, 1.5, 1e-9);
  EXPECT_NEAR(c.yardsticks[0].ratio.value, 0.05, 1e-9);
  EXPECT_EQ(c.criteria[0].state, State::fail);
  EXPECT_EQ(c.criteria[1].state, State::pass);
  kept_json("truth", verdict);
  EXPECT_EQ(verdict.state, State::fail);
  EXPECT_THAT(c.distance, HasSubstr("0.05x as much as int8"));
  EXPECT_THAT(c.distance, HasSubstr("1.5x the reference's own"));
}

std::vector<std::string> ranked(const Verdict& verdict) {
  std::vector<std::string> names;
  for (const auto& one : verdict.ranking) names.push_back(verdict.candidates[one.candidate].name);
  return names;
}

TEST(Verdict, RecommendsTheLeastDivergentThatIsNotDear) {
  Evidence evidence;
  evidence.candidates = {run("dear", 1e-6), run("far", 1e-4), run("near", 1e-5), run("broken", 1.0),
                         run("predicted", 1e-7)};
  evidence.candidates[0].candidate = summary("dear", 4, 10);  // 4 devices, 0.1 s: 400
  evidence.candidates[1].candidate = summary("far", 2, 6);    // 120
  evidence.candidates[2].candidate = summary("near", 2, 7);   // 140: less than 1.25 times
  evidence.candidates[3].candidate = summary("broken", 1, 1);
  evidence.candidates[4].candidate = summary("predicted", 1, 1);
  evidence.candidates[4].candidate.pace = {};
  evidence.repeats = {equal_measurement("again", 100, 32)};
  evidence.repeats[0].candidate = summary("again", 1, 10);
  auto limits = only("kl_mean", 0.1);
  const auto verdict = judge(evidence, limits);
  EXPECT_EQ(ranked(verdict), (std::vector<std::string>{"near", "far", "dear", "predicted", "broken"}));
  EXPECT_NEAR(verdict.candidates[2].cost.device_seconds_per_1000_tokens, 140, 1e-9);
  EXPECT_NEAR(verdict.candidates[2].cost.times_reference, 1.4, 1e-12);
  EXPECT_THAT(verdict.recommendation, HasSubstr("use near (TP=2)"));
  EXPECT_THAT(verdict.recommendation, HasSubstr("for 1.40x (1.37 to 1.43) the reference's device time"));
  EXPECT_EQ(verdict.state, State::fail);  // one does
  EXPECT_THAT(
      verdict.headline,
      HasSubstr("near, far, dear and predicted keep every limit; broken breaks the limit on kl_mean."));
  limits.cost_slack = 1;
  EXPECT_EQ(ranked(judge(evidence, limits)).front(), "far");
  // Where none passes, divergence alone: there is nothing to pay for.
  EXPECT_EQ(ranked(judge(evidence, only("kl_mean", 1e-12))).front(), "predicted");
  EXPECT_THAT(judge(evidence, only("kl_mean", 1e-12)).recommendation, HasSubstr("stay with the reference"));

  // A reference that was as slow once as it was fast: cost takes no part, and is not spoken of.
  evidence.repeats[0].candidate = summary("again", 1, 16);
  const auto noisy = judge(evidence, limits);
  EXPECT_EQ(ranked(noisy), (std::vector<std::string>{"predicted", "dear", "near", "far", "broken"}));
  EXPECT_THAT(noisy.recommendation, Not(HasSubstr("device time")));
  EXPECT_THAT(noisy.ranking[1].why, HasSubstr("cost unclear"));
  EXPECT_THAT(verdict_text(noisy),
              HasSubstr("cost unclear: the reference's own runs differ by 1.6x in speed"));
  kept_json("cost-unclear", noisy);
}

TEST(Verdict, FilesOfOneNameAreCalledByTheirPaths) {
  Evidence evidence;
  evidence.candidates = {run("tp2", 1e-6), run("tp2", 1e-4), run("pp2", 1e-4)};
  evidence.candidates[0].candidate.path = "a/tp2.h5";
  evidence.candidates[1].candidate.path = "b/tp2.h5";
  const auto verdict = judge(evidence, quick("serving"));
  EXPECT_EQ(verdict.candidates[0].name, "a/tp2.h5");
  EXPECT_EQ(verdict.candidates[1].name, "b/tp2.h5");
  EXPECT_EQ(verdict.candidates[2].name, "pp2");
}

TEST(Verdict, PredictedRunsHaveNoCost) {
  Measurement predicted = run("s4", 1e-4);
  predicted.candidate.run.plan =
      R"({"accumulate":"message","batch":1,"device":"cpu","dtype":"float32","logits_dtype":"float32",)"
      R"("partial":"model","pipeline":1,"reduction":"profile","replicas":1,"row_linear":"reduce","shards":4,)"
      R"("stage_layers":[2],"tensor_parallel":1})";
  const auto verdict = verdict_of(predicted, quick("serving"));
  EXPECT_EQ(verdict.candidates[0].cost.devices, 4);
  EXPECT_EQ(verdict.candidates[0].cost.times_reference, 0);
  EXPECT_THAT(verdict.candidates[0].cost.unknown, HasSubstr("predicted on 1 device for 4"));

  // Two shards need no profile: only the study knows that they stand for two devices.
  auto& plan = predicted.candidate.run.plan;
  plan.replace(plan.find("profile"), 7, "linear");
  plan.replace(plan.find("\"shards\":4"), 10, "\"shards\":2");
  EXPECT_EQ(verdict_of(predicted, quick("serving")).candidates[0].cost.devices, 1);
  predicted.candidate.predicted = true;
  const auto told = verdict_of(predicted, quick("serving"));
  EXPECT_EQ(told.candidates[0].cost.devices, 2);
  EXPECT_THAT(told.candidates[0].cost.unknown, HasSubstr("predicted on 1 device for 2"));
}

TEST(Verdict, TwoShardsHaveOneOrder) {
  EXPECT_THAT(verdict_text(verdict_of(run("tp2", 1e-4), quick("serving"))), HasSubstr("a + b = b + a"));
  Measurement four = run("tp4", 1e-4);
  four.candidate.shards = 4;
  EXPECT_THAT(verdict_text(verdict_of(four, quick("serving"))), Not(HasSubstr("a + b = b + a")));
}

TEST(Verdict, TextAndJsonSayTheSame) {
  Evidence evidence;
  evidence.candidates = {run("tp2", 1e-3, 100, 30), equal_measurement("pp2", 100, 32)};
  evidence.repeats = {equal_measurement("again", 100, 32)};
  evidence.yardsticks = {run("int8", 1e-2)};
  const auto verdict = judge(evidence, quick("strict"));
  const std::string text = verdict_text(verdict);
  EXPECT_THAT(text, HasSubstr("verdict: fail\n"));
  EXPECT_THAT(text, HasSubstr("30%"));
  EXPECT_THAT(text, HasSubstr("pp2: pass"));
  EXPECT_THAT(text, HasSubstr("zero bits in 3200 rows of 100 prompts"));
  EXPECT_THAT(verdict.recommendation, HasSubstr("use pp2"));
  const auto json = kept_json("everything", verdict);
  EXPECT_EQ(json.at("schema"), "shardrift gate 2");
  EXPECT_EQ(json.at("state"), "fail");
  EXPECT_EQ(json.at("ranking")[0].at("candidate"), "pp2");
  EXPECT_NEAR(json.at("candidates")[0].at("criteria")[0].at("measured").at("value").get<double>(), 0.3,
              1e-12);
  EXPECT_EQ(json.at("candidates")[0].at("statistics").at("flips"), 30);
  EXPECT_EQ(json.at("noise_floor").at("zero_bits"), true);
  // Infinite and missing values are no JSON numbers.
  Measurement infinite = run("a", 1e-3);
  infinite.prompts[5].steps[5].kl = std::numeric_limits<double>::infinity();
  EXPECT_NO_THROW(kept_json("infinite", verdict_of(infinite, quick("serving"))));
  EXPECT_NO_THROW(kept_json("nothing", verdict_of(Measurement(), quick("serving"))));
  EXPECT_NO_THROW(kept_json("no-candidate", judge({}, quick("serving"))));
  EXPECT_FALSE(verdict_text(judge({}, quick("serving"))).empty());
  EXPECT_FALSE(verdict_text(verdict_of(Measurement(), quick("serving"))).empty());
}

TEST(Verdict, TheSameEverywhere) {
  Evidence evidence;
  evidence.candidates = {run("tp2", 1e-3, 100, 30)};
  EXPECT_EQ(verdict_json(judge(evidence, quick("strict"))), verdict_json(judge(evidence, quick("strict"))));
}

}  // namespace
}  // namespace shardrift::verdict
