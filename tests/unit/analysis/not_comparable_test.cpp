// Records of other engines beside ours: what is left out, and what is said of it before any number.
#include "analysis/measure/not_comparable.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "analysis/measure/measure.hpp"
#include "analysis/measure/measure_all_rows.hpp"
#include "analysis/measure/totals.hpp"
#include "tests/unit/analysis/example_runs.hpp"

namespace shardrift::analysis {
namespace {

using record::PromptRecord;
using record::Reader;
using record::testing::Scratch;
using record::testing::write_record;
using ::testing::ElementsAre;
using testing::greedy_prompt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::small_run;

const testing::Rows kRows{{0, 3, 1, 0, 0}, {0, 0, 2, 1, 0}};

record::RunInfo engine_run(DType dtype = DType::float32) {
  record::RunInfo run = small_run(dtype);
  run.plan = R"({"engine": "vLLM 0.11, TP=4"})";
  run.environment = {};
  run.model.identity.clear();
  run.model.vocab.clear();
  return run;
}

class NotComparable : public ::testing::Test {
 protected:
  Reader write(const std::string& name, const record::RunInfo& run,
               const std::vector<PromptRecord>& prompts) {
    write_record(scratch_ / name, run, prompts);
    return Reader::open(scratch_ / name);
  }
  Reader ours() {
    return write("ours.h5", small_run(),
                 {greedy_prompt(small_run(), "p0", 0, kRows), greedy_prompt(small_run(), "p1", 1, kRows)});
  }
  Scratch scratch_;
};

TEST_F(NotComparable, NothingBetweenOurOwn) {
  const Reader a = ours();
  EXPECT_THAT(not_comparable(measure_all_rows(a, a)), IsEmpty());
  EXPECT_EQ(not_comparable_text({}), "");
}

TEST_F(NotComparable, PromptsOfOtherTokensAreLeftOutByName) {
  const auto run = engine_run();
  auto other = greedy_prompt(run, "p1", 1, kRows);
  other.prompt.tokens.insert(other.prompt.tokens.begin(), 0);  // a BOS token more
  for (auto& row : other.rows) ++row.position;
  const Reader a = ours();
  const Reader b = write("b.h5", run, {greedy_prompt(run, "p0", 0, kRows), other});
  for (const bool kept : {false, true}) {  // the second time from the metrics file
    const auto measurement = measure(a, b, {.use_kept = kept});
    ASSERT_EQ(measurement.prompts.size(), 1U);
    ASSERT_EQ(measurement.left_out.size(), 1U);
    EXPECT_EQ(measurement.left_out[0].id, "p1");
    EXPECT_EQ(measurement.left_out[0].why, "9 and 10 tokens, at position 1 1 against 0");
    EXPECT_FALSE(measurement.whole());
    EXPECT_EQ(equality_of(measurement), Equality::inconclusive);
    EXPECT_EQ(closeness_of(measurement, 100), Closeness::inconclusive);
    EXPECT_THAT(not_comparable(measurement), ElementsAre(HasSubstr("tokens: 1 of 2 prompts is left out"),
                                                         HasSubstr("weights: b does not say of which")));
  }
}

// Written by hand: import refuses them.
TEST_F(NotComparable, ProbabilitiesAreSaidFirstAndNothingIsEqual) {
  const testing::Rows odds{{0.125, 0.5, 0.125, 0.125, 0.125}, {0, 0, 0.75, 0.25, 0}};
  const auto run = engine_run();
  const Reader a = write("a.h5", run, {greedy_prompt(run, "p0", 0, odds)});
  const Reader b = write("b.h5", run, {greedy_prompt(run, "p0", 0, odds)});
  for (const bool kept : {false, true}) {
    const auto measurement = measure(a, b, {.use_kept = kept});
    EXPECT_THAT(not_comparable(measurement)[0],
                HasSubstr("probabilities: the rows of a and b are no logits but sum to 1"));
    EXPECT_TRUE(measurement.prompts[0].bit_equal);
    EXPECT_EQ(equality_of(measurement), Equality::inconclusive);
    EXPECT_EQ(closeness_of(measurement, 100), Closeness::inconclusive);
  }
  // One side alone; what differs still does.
  const auto beside = measure_all_rows(write("c.h5", run, {greedy_prompt(run, "p0", 0, kRows)}), b);
  EXPECT_THAT(not_comparable(beside)[0], HasSubstr("the rows of b are no logits"));
  EXPECT_EQ(equality_of(beside), Equality::differs);
  // One row that is no distribution: logits, by chance like probabilities elsewhere.
  const auto mixed =
      measure_all_rows(a, write("d.h5", run, {greedy_prompt(run, "p0", 0, {odds[0], kRows[1]})}));
  EXPECT_FALSE(mixed.candidate.probabilities);
  EXPECT_TRUE(mixed.reference.probabilities);
}

TEST_F(NotComparable, PromptsThatOneSideLacksAreNamed) {
  const auto run = small_run();
  const Reader a = ours();
  const Reader b =
      write("b.h5", run, {greedy_prompt(run, "p1", 0, kRows), greedy_prompt(run, "p2", 1, kRows)});
  for (const bool kept : {false, true}) {
    const auto measurement = measure(a, b, {.use_kept = kept});
    ASSERT_EQ(measurement.prompts.size(), 1U);
    EXPECT_TRUE(measurement.prompts[0].bit_equal);
    EXPECT_THAT(measurement.missing_in_candidate, ElementsAre("p0"));
    EXPECT_THAT(measurement.missing_in_reference, ElementsAre("p2"));
    EXPECT_EQ(measurement.all_prompts(), 3U);
    EXPECT_EQ(equality_of(measurement), Equality::inconclusive);
    EXPECT_THAT(not_comparable(measurement),
                ElementsAre("prompts: 1 of 3 prompts is in both records; ours lacks p2; b lacks p0"));
  }
}

// A list that does not begin with what was chosen: damaged, or of another row.
TEST_F(NotComparable, ARecordThatContradictsItselfIsLeftOut) {
  auto run = engine_run();
  run.level = "top";
  const auto top = [&](const std::string& id, std::int64_t index) {
    auto prompt = greedy_prompt(run, id, index, kRows, false);
    prompt.hash.clear();
    return prompt;
  };
  auto worn = top("p1", 1);
  worn.top.ids[0] = (worn.top.ids[0] + 1) % 5;
  const Reader a = ours();
  const Reader b = write("b.h5", run, {top("p0", 0), worn});
  for (const bool kept : {false, true}) {
    const auto measurement = measure(a, b, {.use_kept = kept});
    ASSERT_EQ(measurement.contradictory.size(), 1U);
    EXPECT_EQ(measurement.contradictory[0].why,
              "b: row 0 chose token 1, which is not in its list of the most likely tokens (2)");
    EXPECT_FALSE(measurement.whole());
    EXPECT_THAT(not_comparable(measurement).at(0), HasSubstr("damaged or wrong: 1 of 2 prompts is left out"));
  }
  // Where there are logits, they are what is believed.
  const auto with_logits = small_run();
  auto odd = greedy_prompt(with_logits, "p0", 0, kRows);
  odd.top.ids[0] = (odd.top.ids[0] + 1) % 5;
  const Reader c = write("c.h5", with_logits, {odd, greedy_prompt(with_logits, "p1", 1, kRows)});
  EXPECT_TRUE(measure_all_rows(a, c).whole());
}

// A text that was scored holds in its prompt what another run generated.
TEST_F(NotComparable, AScoredTextIsComparedWithAGeneratedOne) {
  const auto run = engine_run();
  const auto generated = greedy_prompt(run, "p0", 0, kRows);
  auto scored = generated;
  scored.prompt.tokens.push_back(generated.rows[1].input_id);
  const auto with_tokens = [&](std::int32_t last) {
    auto changed = scored;
    changed.prompt.tokens.back() = last;
    changed.rows[1].input_id = last;
    return changed;
  };
  const Reader a = write("a.h5", run, {generated});
  auto run_of_scored = run;
  run_of_scored.mode = "score";
  auto longer = scored;  // a row of the prompt, too
  longer.rows.insert(longer.rows.begin(), longer.rows.front());
  longer.rows[0].position = 7;
  longer.rows[0].input_id = longer.prompt.tokens[7];
  longer.logits.insert(longer.logits.begin(), longer.logits.begin(), longer.logits.begin() + 20);
  longer.top.ids.insert(longer.top.ids.begin(), longer.top.ids.front());
  longer.top.log_probabilities.insert(longer.top.log_probabilities.begin(),
                                      longer.top.log_probabilities.front());
  longer.hash.clear();
  const auto met = measure_all_rows(a, write("longer.h5", run_of_scored, {longer}));
  EXPECT_THAT(not_comparable(met).at(0),
              HasSubstr("rows: a generated a text, longer scored a given one: 2 of 3 rows meet"));
  const auto same = measure_all_rows(a, write("same.h5", run, {scored}));
  EXPECT_EQ(same.prompts.at(0).steps.size(), 2U);
  EXPECT_TRUE(same.left_out.empty());
  const auto other = measure_all_rows(a, write("other.h5", run, {with_tokens(4)}));
  EXPECT_EQ(other.prompts.at(0).steps.size(), 1U);  // up to the token that was another one
}

TEST_F(NotComparable, MostLikelyTokensAlone) {
  auto run = engine_run();
  run.level = "top";
  auto top = greedy_prompt(run, "p0", 0, kRows, false);
  top.hash.clear();  // nobody knows the logits
  const Reader a = write("a.h5", run, {top});
  const Reader b = write("b.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, kRows)});
  const auto measurement = measure_all_rows(b, a);
  EXPECT_EQ(equality_of(measurement), Equality::inconclusive);
  EXPECT_THAT(not_comparable(measurement).at(0),
              HasSubstr("top-k only: a has not every logit of 1 of 1 prompt"));
  testing::Rows flipped = kRows;
  flipped[1][4] = 9;
  auto other = greedy_prompt(run, "p0", 0, flipped, false);
  other.hash.clear();
  const auto differs = measure_all_rows(b, write("c.h5", run, {other}));
  EXPECT_EQ(equality_of(differs), Equality::differs);
  const Step& step =
      differs.prompts.at(0).steps.at(1);  // of lists of one token: a choice's probability, no margin
  EXPECT_FLOAT_EQ(static_cast<float>(step.p_own), std::exp(other.top.log_probabilities[1]));
  EXPECT_TRUE(std::isnan(step.margin_reference));
  EXPECT_TRUE(std::isnan(step.kl));
}

TEST_F(NotComparable, DtypesKindsAndWeights) {
  auto run = engine_run(DType::bfloat16);
  run.model.dtype = "bfloat16";
  run.environment.settings["logits"] = "log-probabilities, of 16 bits";
  run.model.weights = "aa";
  auto reference = small_run();
  reference.model.weights = "bb";
  const Reader a = write("a.h5", reference, {greedy_prompt(reference, "p0", 0, kRows)});
  const Reader b = write("b.h5", run, {greedy_prompt(run, "p0", 0, kRows)});
  EXPECT_THAT(not_comparable(measure_all_rows(a, b)),
              ElementsAre(HasSubstr("logits: float32 against bfloat16"),
                          HasSubstr("computed in float32 against bfloat16"),
                          "logits: those of b are log-probabilities, of 16 bits",
                          HasSubstr("max|Δ|, RMS and elements that differ mean nothing"),
                          HasSubstr("of different weights")));
}

// Only what both say can differ.
TEST_F(NotComparable, WhatAnEngineDoesNotSayIsNoDifference) {
  const auto differences = differences_of(small_run(), engine_run());
  ASSERT_EQ(differences.size(), 1U);
  EXPECT_EQ(differences[0].what, "plan");
  EXPECT_EQ(differences[0].candidate, "vLLM 0.11, TP=4");
  EXPECT_EQ(engine_of(small_run()), "");
  EXPECT_EQ(describe_plan(engine_run()), "vLLM 0.11, TP=4");
}

// Rows of one side only, and texts that part where both chose alike.
TEST_F(NotComparable, RowsThatEndApart) {
  const auto run = engine_run();
  const Reader a = ours();
  auto shorter = greedy_prompt(run, "p1", 1, {kRows[0]});
  const auto cut = measure_all_rows(a, write("cut.h5", run, {greedy_prompt(run, "p0", 0, kRows), shorter}));
  EXPECT_THAT(not_comparable(cut).at(0),
              HasSubstr("rows: cut ends earlier in 1 of 2 prompts: 1 of their 2 rows"));
  EXPECT_EQ(end_of(cut.prompts[0]), RowsEnd::both);
  EXPECT_EQ(end_of(cut.prompts[1]), RowsEnd::fewer);
  EXPECT_EQ(equality_of(cut), Equality::inconclusive);
  auto sampled = run;
  sampled.mode = "follow";
  auto other = greedy_prompt(sampled, "p0", 0, kRows);
  other.rows[1].input_id = other.rows[1].input_id == 4 ? 3 : 4;
  const auto apart = measure_all_rows(a, write("sampled.h5", sampled, {other}));
  EXPECT_THAT(not_comparable(apart).at(1),
              HasSubstr("tokens: 1 of 1 prompt was fed other tokens from some row on"));
  EXPECT_EQ(end_of(apart.prompts[0]), RowsEnd::other_tokens);
  EXPECT_EQ(equality_of(apart), Equality::inconclusive);
}

}  // namespace
}  // namespace shardrift::analysis
