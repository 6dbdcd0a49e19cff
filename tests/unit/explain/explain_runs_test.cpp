// The first operation that differs and growth, on records whose differences are chosen.
#include "analysis/explain/explain_runs.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "analysis/explain/explain_presenters.hpp"
#include "tests/unit/explain/traced_runs.hpp"

namespace shardrift::analysis {
namespace {

using record::Operation;
using record::testing::Scratch;
using record::testing::write_record;
using testing::change_sum;
using ::testing::Contains;
using testing::explanation_of;
using ::testing::HasSubstr;
using testing::score_run;
using testing::scored_prompt;
using testing::set_hidden;

class ExplainRuns : public ::testing::Test {
 protected:
  Explanation explain(const record::RunInfo& candidate = score_run()) {
    const std::string number = std::to_string(explained_++);
    const auto a = scratch_ / ("a" + number + ".h5");
    const auto b = scratch_ / ("b" + number + ".h5");
    write_record(a, score_run(), {a_, long_a_});
    write_record(b, candidate, {b_, long_b_});
    return explanation_of(a, b);
  }
  const OperationDifference& operation(const Explanation& explanation, const record::Point& point) {
    for (const auto& one : explanation.operations)
      if (one.point == point) return one;
    throw std::runtime_error("no such operation");
  }

  testing::Rows three_{{1, 0, 0, 0, 0}, {0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}};
  testing::Rows five_{{1, 0, 0, 0, 0}, {0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}, {0, 0, 0, 1, 0}, {0, 0, 0, 0, 1}};
  record::PromptRecord a_ = scored_prompt(score_run(), "p0", 0, three_);
  record::PromptRecord long_a_ = scored_prompt(score_run(), "p1", 1, five_);
  record::PromptRecord b_ = a_;
  record::PromptRecord long_b_ = long_a_;
  Scratch scratch_;
  int explained_ = 0;
};

TEST_F(ExplainRuns, EqualRunsHaveNoFirstDifference) {
  const auto explanation = explain();
  EXPECT_FALSE(explanation.first);
  EXPECT_FALSE(explanation.first_stream());
  EXPECT_EQ(explanation.operations.size(), 29U);
  for (const auto& one : explanation.operations) {
    EXPECT_EQ(one.rows, 8);
    EXPECT_EQ(one.rows_differ, 0);
  }
  ASSERT_EQ(explanation.streams.size(), 3U);
  EXPECT_NEAR(explanation.streams[1].rms_reference, 2 * std::sqrt(14.0 / 3), 1e-12);
  EXPECT_EQ(explanation.streams[1].relative(), 0);
  EXPECT_TRUE(explanation.notes.empty());
  EXPECT_THAT(explanation_text(explanation), HasSubstr("no operation differs"));
}

TEST_F(ExplainRuns, TheFirstOperationIsTheEarliestOfAllRows) {
  change_sum(b_, {Operation::mlp_sum, 1}, 0);
  change_sum(b_, {Operation::logits, 0}, 0);
  change_sum(long_b_, {Operation::gate_up, 0}, 3);
  change_sum(long_b_, {Operation::mlp_sum, 1}, 3);
  change_sum(long_b_, {Operation::rope, 1}, 4);
  const auto explanation = explain();
  ASSERT_TRUE(explanation.first);
  EXPECT_EQ(explanation.first->point, (record::Point{Operation::gate_up, 0}));
  EXPECT_EQ(explanation.first->prompt, "p1");
  EXPECT_EQ(explanation.first->position, 3);
  EXPECT_EQ(operation(explanation, {Operation::mlp_sum, 1}).rows_differ, 2);
  EXPECT_EQ(operation(explanation, {Operation::mlp_sum, 1}).first_here, 1);
  EXPECT_EQ(operation(explanation, {Operation::gate_up, 0}).first_here, 1);
  EXPECT_EQ(operation(explanation, {Operation::rope, 1}).first_here, 1);
  const auto text = explanation_text(explanation);
  EXPECT_THAT(text, HasSubstr("first difference: gate_up of layer 0, in 1 of 8 rows; prompt p1, position 4"));
  EXPECT_THAT(text, HasSubstr("equal in every row until then: mlp_norm of layer 0"));
  EXPECT_THAT(text, HasSubstr("2 rows first differ in another layer"));
}

TEST_F(ExplainRuns, PartialsCountOnlyBetweenEqualShards) {
  change_sum(b_, {Operation::attention_partials, 0}, 1);
  change_sum(b_, {Operation::attention_sum, 0}, 1);
  EXPECT_EQ(explain().first->point.operation, Operation::attention_partials);
  const auto cut = explain(score_run(R"(,"shards":4,"reduction":"linear")"));
  EXPECT_EQ(cut.first->point.operation, Operation::attention_sum);
  EXPECT_FALSE(cut.partials_compared);
  EXPECT_EQ(operation(cut, {Operation::attention_partials, 0}).rows, 0);
  EXPECT_THAT(cut.notes, Contains(HasSubstr("cut the model differently")));
  EXPECT_FALSE(explain(score_run(R"(,"expert_parallel":true)")).partials_compared);
}

TEST_F(ExplainRuns, OtherDtypesAreNotCompared) {
  change_sum(b_, {Operation::qkv, 0}, 1);
  set_hidden(b_, 1, 0, 0, 3);
  const auto explanation = explain(score_run(R"(,"dtype":"bfloat16")"));
  EXPECT_TRUE(explanation.operations.empty());
  EXPECT_THAT(explanation.notes, Contains(HasSubstr("one run computes in float32, the other in bfloat16")));
  EXPECT_EQ(explanation.first_stream(), 1);  // values still are
  EXPECT_THAT(explanation_text(explanation), HasSubstr("the residual stream after layer 0"));
}

TEST_F(ExplainRuns, WithoutTracesTheLogitsAreLeft) {
  b_.checksums = {};
  b_.hidden = {};
  long_b_ = b_;
  long_b_.prompt = long_a_.prompt;
  auto rows = five_;
  rows[4][4] = 3;
  long_b_ = scored_prompt(score_run(), "p1", 1, rows);
  long_b_.checksums = {};
  const auto explanation = explain();
  EXPECT_THAT(explanation.notes,
              Contains(HasSubstr("no checksums of operations in both files: record them")));
  EXPECT_THAT(explanation.notes, Contains(HasSubstr("no hidden states in both files for 1 of 2 prompts")));
  ASSERT_EQ(explanation.prompt_lengths.size(), 2U);
  EXPECT_EQ(explanation.prompt_lengths[0].rows_bit_equal, 3);
}

TEST_F(ExplainRuns, GrowthByLayerIsRelativeRms) {
  set_hidden(b_, 1, 0, 0, 2.5F);  // 2 -> 2.5
  set_hidden(b_, 2, 0, 1, 7.0F);  // 6 -> 7
  set_hidden(b_, 2, 2, 2, NAN);   // left out of the squares
  const auto explanation = explain();
  const auto& streams = explanation.streams;
  EXPECT_EQ(streams[0].rows_differ, 0);
  EXPECT_EQ(streams[1].rows_differ, 1);
  EXPECT_EQ(streams[1].elements_differ, 1);
  EXPECT_NEAR(streams[1].rms_difference, std::sqrt(0.25 / 24), 1e-12);
  EXPECT_NEAR(streams[1].relative(), std::sqrt(0.25 / 24) / (2 * std::sqrt(14.0 / 3)), 1e-12);
  EXPECT_EQ(streams[1].row_median, 0);  // one row of eight differs
  const double changed = std::sqrt(0.25 / 3) / (2 * std::sqrt(14.0 / 3));
  EXPECT_NEAR(streams[1].row_high, 0.3 * changed, 1e-12);  // index 6.3 of 0 to 7
  EXPECT_EQ(streams[2].elements, 23);
  EXPECT_EQ(streams[2].elements_differ, 2);
  EXPECT_NEAR(streams[2].rms_difference, std::sqrt(1.0 / 23), 1e-12);
  EXPECT_EQ(explanation.first_stream(), 1);
}

TEST_F(ExplainRuns, GrowthByPositionAndLength) {
  auto rows = five_;
  rows[1][1] = 3;  // Δ = 2 in one of 5 logits
  rows[4][0] = 4;  // another choice
  long_b_ = scored_prompt(score_run(), "p1", 1, rows);
  change_sum(long_b_, {Operation::qkv, 0}, 1);
  const auto explanation = explain();
  ASSERT_EQ(explanation.positions.size(), 5U);
  EXPECT_EQ(explanation.positions[1].prompts, 2);
  EXPECT_EQ(explanation.positions[1].rows, 2);
  EXPECT_EQ(explanation.positions[1].rows_bit_equal, 1);
  EXPECT_NEAR(explanation.positions[1].rms, std::sqrt(4.0 / 10), 1e-12);
  EXPECT_EQ(explanation.positions[1].max_abs, 2);
  EXPECT_EQ(explanation.positions[4].flips, 1);
  EXPECT_GT(explanation.positions[4].kl_mean, 0);
  ASSERT_EQ(explanation.ranges.size(), 4U);  // 0, 1, 2-3, 4-7
  EXPECT_EQ(explanation.ranges[2].begin, 2);
  EXPECT_EQ(explanation.ranges[2].end, 4);
  EXPECT_EQ(explanation.ranges[2].rows, 3);
  EXPECT_EQ(explanation.ranges[2].prompts, 2);
  ASSERT_EQ(explanation.prompt_lengths.size(), 2U);
  EXPECT_EQ(explanation.prompt_lengths[1].begin, 5);
  EXPECT_EQ(explanation.prompt_lengths[1].rows, 5);
  EXPECT_NEAR(explanation.prompt_lengths[1].rms, std::sqrt((4.0 + 16.0) / 25), 1e-12);
  EXPECT_EQ(explanation.prompt_lengths[1].first->point.operation, Operation::qkv);
}

// Prompts of 3 and 5 equal tokens: the first begins the second.
TEST_F(ExplainRuns, KernelsChosenByLengthShowWithinOneRun) {
  const auto same = explain();
  ASSERT_EQ(same.reference_lengths.size(), 1U);
  EXPECT_EQ(same.reference_lengths[0].shorter, 3);
  EXPECT_EQ(same.reference_lengths[0].longer, 5);
  EXPECT_EQ(same.reference_lengths[0].rows, 3);
  EXPECT_FALSE(same.reference_lengths[0].first);
  change_sum(long_b_, {Operation::gate_up, 1}, 0);
  change_sum(long_b_, {Operation::attention_partials, 0}, 2);
  change_sum(long_b_, {Operation::qkv, 0}, 4);  // a row that the shorter prompt has not
  const auto explanation = explain();
  EXPECT_FALSE(explanation.reference_lengths[0].first);
  ASSERT_TRUE(explanation.candidate_lengths[0].first);
  EXPECT_EQ(*explanation.candidate_lengths[0].first, (record::Point{Operation::attention_partials, 0}));
  EXPECT_EQ(explanation.candidate_lengths[0].rows_differ, 2);
  EXPECT_THAT(explanation_text(explanation), HasSubstr("3 -> 5     3  -"));
  const auto json = nlohmann::json::parse(explanation_json(explanation));
  EXPECT_EQ(json.at("candidate_lengths")[0].at("first").at("operation"), "attention_partials");
  EXPECT_EQ(json.at("reference_lengths")[0].at("first"), nullptr);
  long_a_.prompt.tokens[1] = 2;  // another text
  long_b_.prompt.tokens[1] = 2;
  EXPECT_TRUE(explain().candidate_lengths.empty());
}

TEST_F(ExplainRuns, TheJsonHasTheSameNumbers) {
  change_sum(long_b_, {Operation::gate_up, 1}, 3);
  set_hidden(b_, 2, 0, 1, 7.0F);
  const auto json = nlohmann::json::parse(explanation_json(explain()));
  EXPECT_EQ(json.at("schema"), "shardrift explain 1");
  EXPECT_EQ(json.at("first_difference").at("operation"), "gate_up");
  EXPECT_EQ(json.at("first_difference").at("layer"), 1);
  EXPECT_EQ(json.at("operations").size(), 29U);
  EXPECT_EQ(json.at("operations")[0].at("layer"), nullptr);
  EXPECT_EQ(json.at("layers").size(), 3U);
  EXPECT_EQ(json.at("layers")[0].at("layer"), nullptr);
  EXPECT_GT(json.at("layers")[2].at("relative"), 0);
  EXPECT_EQ(json.at("positions").size(), 5U);
  EXPECT_EQ(json.at("prompt_lengths")[1].at("tokens"), 5);
}

}  // namespace
}  // namespace shardrift::analysis
