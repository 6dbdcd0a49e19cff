// The first sentence that anybody reads: what it says, case by case.
#include <gmock/gmock.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "analysis/verdict/verdict.hpp"
#include "analysis/verdict/verdict_presenters.hpp"
#include "analysis/verdict/words.hpp"
#include "parallel/plan/plan_json.hpp"
#include "tests/unit/statistics/synthetic.hpp"

namespace shardrift::verdict {
namespace {

using analysis::Measurement;
using statistics::testing::differing_step;
using statistics::testing::equal_measurement;
using statistics::testing::measurement;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

Plan plan(int tensor_parallel, int pipeline = 1, int replicas = 1) {
  Plan plan;
  plan.device = Device::cuda;
  plan.tensor_parallel = plan.shards = tensor_parallel;
  plan.pipeline = pipeline;
  plan.replicas = replicas;
  return plan;
}

Measurement with(Measurement measurement, const Plan& candidate) {
  measurement.reference.run.plan = plan_to_json(plan(1));
  measurement.candidate.run.plan = plan_to_json(candidate);
  return measurement;
}

// `changed` prompts flip in row 20; the first `tied` of them at an exact tie.
Measurement run(const std::string& name, int prompts, int changed, int tied = 0) {
  return measurement(name, prompts, 32, [=](int prompt, int row) {
    auto step = differing_step(row, 1e-4);
    if (row == 20 && prompt < changed) {
      statistics::testing::flip(step, 0.05);
      step.ties_reference = prompt < tied ? 2 : 1;
    }
    return step;
  });
}

Verdict judged(std::vector<Measurement> candidates, std::vector<NotJudged> not_judged = {}) {
  Evidence evidence;
  evidence.candidates = std::move(candidates);
  evidence.not_judged = std::move(not_judged);
  Thresholds thresholds = preset("serving");
  thresholds.bootstrap.resamples = 200;
  thresholds.tokens = 32;
  return judge(evidence, thresholds);
}

std::string answer(std::vector<Measurement> candidates, std::vector<NotJudged> not_judged = {}) {
  return judged(std::move(candidates), std::move(not_judged)).answer;
}

TEST(Answer, NamesWhatChangesAndWhatDoesNot) {
  const auto verdict =
      judged({with(run("tp4", 36, 19, 17), plan(4)), with(equal_measurement("pp2", 36, 32), plan(1, 2)),
              with(equal_measurement("dp2", 36, 32), plan(1, 1, 2))});
  EXPECT_EQ(
      verdict.answer,
      "No. With tensor parallelism over 4 GPUs, 53% of answers (35 to 70) differ by token 32; 17 of 19 first "
      "differences stand at exact ties. 2 pipeline stages and 2 replicas: the same to the bit in all 36 "
      "prompts.");
  EXPECT_THAT(verdict.headline, StartsWith("Policy: preset serving tolerates changed text and limits flips"));
  // The terminal begins with it, and has one line a candidate.
  for (const auto& text : {verdict_text(verdict), short_verdict_text(verdict)}) {
    EXPECT_THAT(text,
                StartsWith("No. With tensor parallelism over 4 GPUs, 53% of answers (35 to 70) differ"));
    EXPECT_THAT(text, HasSubstr("\npp2 (TP=2): bit-equal in 36 of 36 prompts\n"));
    EXPECT_THAT(text, HasSubstr("median of the 19 that changed: token 21"));
  }
}

TEST(Answer, EqualBitsAreYesWithWhatCouldGoUnseen) {
  const auto text = answer({with(equal_measurement("pp2", 36, 32), plan(1, 2))});
  EXPECT_THAT(
      text,
      StartsWith("Yes, to the bit, in all 36 prompts: with 2 pipeline stages. An effect that touches fewer "
                 "than "));
  EXPECT_THAT(text, HasSubstr("of prompts could go unseen"));
  EXPECT_THAT(answer({with(equal_measurement("again", 3, 32), plan(1))}),
              HasSubstr("with the same plan run again"));
  EXPECT_THAT(answer({with(equal_measurement("pp2", 1, 32), plan(1, 2))}),
              HasSubstr("in the one prompt compared"));
}

TEST(Answer, TheSameTextWithOtherBitsIsNotTheSame) {
  EXPECT_THAT(
      answer({with(run("tp2", 36, 0), plan(2))}),
      StartsWith("Yes as far as seen: the same text in all 36 prompts with tensor parallelism over 2 GPUs, "
                 "but other bits."));
  Measurement top = run("tp2", 36, 0);
  for (auto& prompt : top.prompts)
    for (auto& step : prompt.steps) {
      const auto row = step.step;
      step = analysis::Step();
      step.step = step.candidate_step = row;
    }
  EXPECT_THAT(answer({with(top, plan(2))}), HasSubstr("Logits were not recorded."));
}

// Argmax alone does not say whether the top value was there twice.
TEST(Answer, WithoutLogitsTiesAreNotKnown) {
  Measurement top = run("tp2", 36, 5);
  for (auto& prompt : top.prompts)
    for (auto& step : prompt.steps) {
      const auto row = step;
      step = analysis::Step();
      step.step = step.candidate_step = row.step;
      step.chosen_reference = row.chosen_reference;
      step.chosen_candidate = row.chosen_candidate;
    }
  const auto verdict = judged({with(top, plan(2))});
  const auto text = verdict_text(verdict);
  EXPECT_THAT(text,
              ::testing::ContainsRegex("choices that differ: 5 of [0-9]+ rows; whether at exact ties is not "
                                       "known without logits\n"));
  EXPECT_THAT(text, Not(HasSubstr(" clear\n")));
  const auto json = nlohmann::json::parse(verdict_json(verdict)).at("candidates")[0].at("statistics");
  EXPECT_EQ(json.at("flips"), 5);
  for (const auto* key : {"clear_flips", "flips_at_ties", "clear_flip_share", "clear_flip_regret"})
    EXPECT_TRUE(json.at(key).is_null()) << key;
  // Nor whether texts that are the same have the same bits; no row is missing for that.
  for (auto& prompt : top.prompts) {
    prompt.has_logits = prompt.bit_equal = false;
    prompt.differs = prompt.first_flip.has_value();
  }
  const auto unknown = judged({with(top, plan(2))}).candidates[0].outcome;
  EXPECT_THAT(unknown, HasSubstr("of 31 prompts with the same tokens the bits are not known"));
  EXPECT_THAT(unknown, Not(HasSubstr("missing")));
  // One row without logits is enough, if it is one with another token.
  Measurement one = run("tp2", 36, 5);
  one.prompts[0].steps[20].measured = false;
  EXPECT_THAT(verdict_text(judged({with(one, plan(2))})), HasSubstr("whether at exact ties is not known"));
}

TEST(Answer, PlansOfOneKindAreARangeAndTheWorstByName) {
  const auto text = answer({with(run("tp2", 100, 60), plan(2)), with(run("tp3", 100, 70, 3), plan(3)),
                            with(run("tp4", 100, 50), plan(4)), with(run("mixed", 100, 10), plan(2, 2))});
  EXPECT_THAT(
      text, StartsWith("No. With tensor parallelism over 2, 3 and 4 GPUs, 50% to 70% of answers differ; the "
                       "most with tp3: 70% (60 to 79) by token 32; 3 of 70 first"));
  EXPECT_THAT(text, HasSubstr("With tensor parallelism over 2 GPUs in 2 pipeline stages, 10% of answers"));
}

TEST(Answer, TwoOutcomesOfOneKindAreToldApart) {
  const auto text =
      answer({with(run("bad", 30, 20), plan(2)), with(equal_measurement("good", 30, 32), plan(2))});
  EXPECT_THAT(text, HasSubstr("over 2 GPUs (bad), 67%"));
  EXPECT_THAT(text, HasSubstr("over 2 GPUs (good): the same to the bit in all 30 prompts."));
}

TEST(Answer, FewPromptsAreCounted) {
  EXPECT_THAT(
      answer({with(run("tp2", 10, 4), plan(2)), with(run("tp4", 10, 6), plan(4))}),
      StartsWith("No. With tensor parallelism over 2 and 4 GPUs, 4 to 6 of 10 answers differ; the most with "
                 "tp4: 6, the earliest at token 21; 0 of 6 first"));
  EXPECT_THAT(answer({with(run("tp2", 10, 4), plan(2))}),
              HasSubstr("4 of 10 answers differ, the earliest at token 21"));
  EXPECT_THAT(
      answer({with(run("tp2", 1, 1, 1), plan(2))}),
      StartsWith(
          "No. With tensor parallelism over 2 GPUs, the one answer compared differs from token 21 on, at an "
          "exact tie."));
}

// A partial record has fewer prompts: its count is not one of the others' number.
TEST(Answer, CandidatesOfOneKindOnOtherPromptsHaveTheirOwnCounts) {
  EXPECT_THAT(
      answer({with(run("q_tp2", 9, 2, 1), plan(2)), with(run("s_tp2", 12, 3, 3), plan(4))}),
      StartsWith("No. With tensor parallelism over 2 and 4 GPUs, 2 of 9 answers differ with q_tp2 and 3 "
                 "of 12 with s_tp2; 4 of 5 first differences stand at exact ties."));
  EXPECT_THAT(
      answer({with(run("tp2", 1, 1), plan(2)), with(run("tp4", 40, 20), plan(4))}),
      StartsWith("No. With tensor parallelism over 2 and 4 GPUs, 1 of 1 answers differ with tp2 and 50% "
                 "of 40 with tp4; 0 of 21 first"));
  EXPECT_THAT(
      answer({with(run("a", 12, 3), plan(2)), with(run("b", 12, 5), plan(2)), with(run("c", 9, 1), plan(2)),
              with(run("d", 12, 1), plan(2))}),
      StartsWith("No. With tensor parallelism over 2 GPUs, 5 of 12 answers differ with b; the others, "
                 "compared on other prompts, have a smaller share; 0 of 5 first"));
}

TEST(Answer, IsTheSameWhateverLengthThePolicyAsksAbout) {
  const auto by = [](std::int64_t tokens) {
    Evidence evidence;
    evidence.candidates = {with(run("tp2", 40, 20), plan(2))};
    Thresholds thresholds = preset("serving");
    thresholds.bootstrap.resamples = 200;
    thresholds.tokens = tokens;
    return judge(evidence, thresholds);
  };
  for (const std::int64_t tokens : {4, 32, 256}) {
    const auto verdict = by(tokens);
    EXPECT_THAT(verdict.answer, HasSubstr("50% of answers (34 to 66) differ by token 32; 0 of 20 first"));
    EXPECT_THAT(verdict.candidates[0].outcome, StartsWith("50% of answers (34 to 66) differ by token 32"));
  }
  EXPECT_THAT(verdict_text(by(4)), HasSubstr("changed by 4"));
  // All changed by token 21: nothing is known of token 256 but that.
  EXPECT_THAT(answer({with(run("tp2", 40, 40), plan(2))}),
              HasSubstr("100% of answers (91 to 100) differ by token 21;"));
}

TEST(Answer, GivenTextsHaveRowsNotAnswers) {
  Measurement score = run("tp2", 30, 6);
  score.reference.run.mode = score.candidate.run.mode = "score";
  EXPECT_THAT(answer({with(score, plan(2))}),
              HasSubstr("another token is the most likely one in 6 of 894 rows (6 texts of 30)"));
  Measurement same = run("tp2", 30, 0);
  same.reference.run.mode = same.candidate.run.mode = "score";
  EXPECT_THAT(answer({with(same, plan(2))}),
              HasSubstr("the same most likely token everywhere in all 30 prompts"));
  Measurement follow = run("tp2", 30, 6);
  follow.candidate.run.mode = "follow";
  EXPECT_THAT(answer({with(follow, plan(2))}),
              HasSubstr("20% of answers (8 to 39) would differ by token 32"));
  Measurement more = run("tp4", 30, 9);
  more.candidate.run.mode = "follow";
  EXPECT_THAT(answer({with(follow, plan(2)), with(more, plan(4))}),
              HasSubstr("20% to 30% of answers would differ; the most with tp4: 30%"));
}

TEST(Answer, WhatIsMissingIsSaid) {
  // Not run, or not usable: in the answer itself, and no pass.
  const std::vector<NotJudged> missing{{"tp3", "TP=3", "interrupted"}, {"tp4", "TP=4", "interrupted"}};
  const auto verdict = judged({with(equal_measurement("pp2", 36, 32), plan(1, 2))}, missing);
  EXPECT_THAT(verdict.answer, StartsWith("Yes, to the bit, for what was compared in all 36 prompts"));
  EXPECT_THAT(verdict.answer, HasSubstr("Not judged: tp3 and tp4, interrupted."));
  EXPECT_NE(verdict.state, State::pass);
  EXPECT_THAT(verdict_text(verdict), HasSubstr("  not judged: interrupted\n"));
  EXPECT_THAT(answer({}, missing), StartsWith("Nothing was compared. Not judged: tp3 and tp4, interrupted"));

  Measurement partial = equal_measurement("pp2", 12, 32);
  partial.candidate.complete = false;
  partial.missing_in_candidate = {"p12", "p13"};
  EXPECT_THAT(answer({with(partial, plan(1, 2))}),
              StartsWith("Not known yet. pp2: no difference as far as compared"));
  EXPECT_THAT(judged({with(partial, plan(1, 2))}).candidates[0].outcome,
              HasSubstr("bit-equal in 12 of 14 prompts; 2 prompts in one file only; a record is partial"));

  Measurement predicted = with(run("tp4 (predicted)", 36, 19), plan(1));
  Plan profile = plan(1);
  profile.shards = 4;
  predicted.candidate.run.plan = plan_to_json(profile);
  predicted.candidate.predicted = true;
  const auto text = answer({predicted});
  EXPECT_THAT(text, HasSubstr("With tensor parallelism over 4 GPUs, 53% of answers"));
  EXPECT_THAT(text, HasSubstr("Predicted on fewer devices, not run: tp4."));
}

TEST(Answer, RowsWithoutADistributionComeFirst) {
  Measurement broken = run("tp2", 36, 0);
  broken.prompts[5].steps[5].kl = analysis::kNoValue;
  const auto verdict = judged({with(broken, plan(2))});
  EXPECT_THAT(verdict.answer, StartsWith("No. NaN or infinite logits: tp2 (1 row)."));
  EXPECT_THAT(verdict_text(verdict), HasSubstr("NaN in 1 row"));
  EXPECT_THAT(verdict_text(verdict), Not(HasSubstr("nan")));
  // The largest of the other rows is not the largest.
  const auto json = nlohmann::json::parse(verdict_json(verdict)).at("candidates")[0].at("statistics");
  EXPECT_TRUE(json.at("metrics").at("kl").at("max").is_null());
  EXPECT_TRUE(json.at("metrics").at("rms").at("max").is_number());
}

TEST(Answer, WhatCouldGoUnseenInVeryFewPrompts) {
  EXPECT_EQ(unseen_in(36, 0.95), "fewer than 9.74% of prompts");
  EXPECT_EQ(unseen_in(1, 0.9999), "not quite all prompts");
}

TEST(Answer, AnErrorWithoutAValueIsNoRatio) {
  Candidate candidate = judged({with(run("tp2", 36, 0), plan(2))}).candidates[0];
  candidate.excess_error.emplace();
  candidate.excess_error->ratio.value = std::numeric_limits<double>::infinity();
  EXPECT_THAT(distance_of(candidate, {}),
              HasSubstr("against the truth is infinite times the reference's own"));
  candidate.excess_error->ratio.value = analysis::kNoValue;
  EXPECT_THAT(distance_of(candidate, {}), HasSubstr("against the truth has no value: NaN in the truth"));
}

TEST(Answer, APlanOfAnotherVersionIsCalledByName) {
  Measurement unknown = run("new", 36, 19);
  unknown.candidate.run.plan = "{}";
  EXPECT_THAT(answer({unknown}), StartsWith("No. With new, 53% of answers"));
}

// Of the candidate that moves the model most, and the yardstick that is nearest to it.
TEST(Answer, SaysHowManyTimesAYardstickTheModelIsMoved) {
  const auto moved = [](const std::string& name, double kl) {
    return measurement(name, 40, 32, [=](int, int row) { return differing_step(row, kl); });
  };
  Thresholds thresholds = preset("serving");
  thresholds.bootstrap.resamples = 200;
  Evidence evidence;
  evidence.candidates = {with(moved("tp2", 1e-4), plan(2)), with(moved("tp4", 3e-4), plan(4)),
                         with(equal_measurement("pp2", 40, 32), plan(1, 2))};
  evidence.yardsticks = {moved("int8", 1e-4)};
  EXPECT_THAT(judge(evidence, thresholds).answer,
              HasSubstr(" By mean KL, tp4 moves this model 3 times (3 to 3) as much as int8 does."));
  evidence.yardsticks = {moved("int8", 5e-5), moved("int4", 2e-3), moved("fp8", 2e-4),
                         equal_measurement("float32", 40, 32)};
  const auto several = judge(evidence, thresholds);
  EXPECT_THAT(several.answer,
              HasSubstr(" By mean KL, tp4 moves this model 1.5 times (1.5 to 1.5) as much as fp8 "
                        "does, the nearest of int8, int4, fp8 and float32."));
  const auto json = nlohmann::json::parse(verdict_json(several));
  const auto& beside = json.at("candidates")[1].at("yardsticks");
  ASSERT_EQ(beside.size(), 4U);
  EXPECT_EQ(beside[1].at("name"), "int4");
  EXPECT_NEAR(beside[1].at("kl").at("ratio").at("value").get<double>(), 0.15, 1e-9);
  EXPECT_THAT(several.candidates[1].distance,
              HasSubstr("6x as much as int8, 0.15x as much as int4, 1.5x as much as fp8"));
  // Nothing to say: equal bits on one side.
  evidence.candidates = {with(equal_measurement("pp2", 40, 32), plan(1, 2))};
  EXPECT_THAT(judge(evidence, thresholds).answer, Not(HasSubstr("as much as")));
  evidence.candidates = {with(moved("tp2", 1e-4), plan(2))};
  evidence.yardsticks = {equal_measurement("float32", 40, 32)};
  EXPECT_THAT(judge(evidence, thresholds).answer, Not(HasSubstr("as much as")));
}

TEST(Answer, NamesWhatWeightsAreQuantizedTo) {
  Plan quantized = plan(1);
  quantized.quantize = Quantization::int8;
  EXPECT_THAT(judged({with(run("a", 100, 40), quantized)}).answer,
              StartsWith("No. With int8 weights, 40% of answers"));
  Measurement back = with(run("a", 100, 40), plan(1));
  back.reference.run.plan = plan_to_json(quantized);
  EXPECT_THAT(judged({back}).answer, StartsWith("No. With unquantized weights instead of int8, "));
}

// A record from before launches were captured by default is no other plan.
TEST(Answer, SaysThatTheLaunchIsAllThatDiffers) {
  Plan captured = plan(1);
  captured.launch = Launch::captured;
  EXPECT_THAT(judged({with(run("a", 100, 40), captured)}).answer,
              StartsWith("No. With the same plan, launched captured, 40% of answers"));
  Plan sharded = plan(2);
  sharded.launch = Launch::captured;  // that it is sharded says more
  EXPECT_THAT(judged({with(run("a", 100, 40), sharded)}).answer, Not(HasSubstr("launched")));
}

}  // namespace
}  // namespace shardrift::verdict
