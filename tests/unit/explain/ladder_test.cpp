// A ladder's numbers, on records whose logits are chosen.
#include "analysis/explain/ladder.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "analysis/explain/explain_presenters.hpp"
#include "tests/unit/explain/ladder_files.hpp"

namespace shardrift::analysis {
namespace {

using record::Operation;
using record::testing::error_of;
using record::testing::write_record;
using testing::change_sum;
using ::testing::HasSubstr;
using testing::score_run;
using testing::scored_prompt;

using testing::kHops;
using testing::kReal;
using testing::kShards;

class LadderOf : public testing::LadderFiles {};

TEST_F(LadderOf, StepsTotalsAndShares) {
  write("reference", "", {{1, 0, 0, 0, 0}, {0, 1, 0, 0, 0}});
  write("shards", kShards, {{3, 0, 0, 0, 0}, {0, 1, 0, 0, 0}});  // +2
  write("hops", kHops, {{3, 0, 1, 0, 0}, {0, 1, 0, 0, 0}});      // and +1 elsewhere
  write("real", kReal, {{2, 0, 1, 0, 0}, {0, 1, 1.5, 0, 0}});    // -1, +1.5: another choice
  const auto ladder = measure_ladder({file("reference"), file("shards"), file("hops"), file("real")});
  EXPECT_EQ(ladder.rows, 2);
  EXPECT_EQ(ladder.elements, 10);
  ASSERT_EQ(ladder.rungs.size(), 4U);
  EXPECT_NEAR(ladder.rungs[1].step.rms, std::sqrt(4.0 / 10), 1e-12);
  EXPECT_EQ(ladder.rungs[1].step.elements_differ, 1);
  EXPECT_EQ(ladder.rungs[1].step.rows_differ, 1);
  EXPECT_NEAR(ladder.rungs[2].step.rms, std::sqrt(1.0 / 10), 1e-12);
  EXPECT_NEAR(ladder.rungs[2].total.rms, std::sqrt(5.0 / 10), 1e-12);
  EXPECT_NEAR(ladder.rungs[3].total.rms, std::sqrt((1 + 1 + 2.25) / 10), 1e-12);
  EXPECT_EQ(ladder.rungs[3].step.flips, 1);
  EXPECT_EQ(ladder.rungs[3].total.flips, 1);
  EXPECT_EQ(ladder.rungs[2].step.flips, 0);
  EXPECT_GT(ladder.rungs[3].step.kl_mean, 0);
  // Squares of the steps: 4, 1, 1 + 1.5²; of the whole: 1 + 1 + 1.5².
  EXPECT_NEAR(ladder.rungs[1].share, 4 / 8.25, 1e-12);
  EXPECT_NEAR(ladder.rungs[2].share, 1 / 8.25, 1e-12);
  EXPECT_NEAR(ladder.rungs[3].share, 3.25 / 8.25, 1e-12);
  EXPECT_NEAR(ladder.additivity, 8.25 / 4.25, 1e-12);
  // 3.0F and 2.0F differ in one bit, 0 and 1.5F in 8 bits.
  ASSERT_NE(ladder.residue(), nullptr);
  EXPECT_EQ(ladder.residue()->bits, 1 + 8);
  EXPECT_EQ(ladder.residue()->elements_differ, 2);
  EXPECT_THAT(ladder_text(ladder), HasSubstr("residue: 9 bits in 2 of 10 logits"));
}

// What the last run does not repeat itself is a rung of its own.
TEST_F(LadderOf, RepeatsOfTheLastRun) {
  write("reference", "", {{1, 0, 0, 0, 0}, {0, 1, 0, 0, 0}});
  write("real", kReal, {{4, 0, 0, 0, 0}, {0, 1, 0, 0, 0}});
  write("again", kReal, {{5, 0, 0, 0, 0}, {0, 1, 0, 0, 0}});
  write("third", kReal, {{4, 0, 2, 0, 0}, {0, 1, 0, 0, 0}});
  const auto files = std::vector{file("reference"), file("real")};
  EXPECT_FALSE(measure_ladder(files).repeats);
  const auto ladder = measure_ladder(files, {scratch_ / "again.h5", scratch_ / "third.h5"});
  ASSERT_TRUE(ladder.repeats);
  EXPECT_EQ(ladder.repeats->rows, 4);
  EXPECT_EQ(ladder.repeats->rows_differ, 2);
  EXPECT_NEAR(ladder.repeats->largest.rms, std::sqrt(4.0 / 10), 1e-12);
  EXPECT_NEAR(ladder.repeats->rms_above, std::sqrt((9.0 - 4.0) / 10), 1e-12);
  EXPECT_GE(ladder.repeats->kl_above, 0);
  EXPECT_EQ(ladder.rungs.size(), 2U);
  EXPECT_THAT(ladder_text(ladder), HasSubstr("'real' once more, 2 times: the bits of 2/4 rows move"));
  const auto json = nlohmann::json::parse(ladder_json(ladder)).at("run_to_run");
  EXPECT_EQ(json.at("rows_differ"), 2);
}

TEST_F(LadderOf, CompleteExplanationHasNoResidue) {
  write("reference", "", {{1, 0, 0, 0, 0}});
  write("hops", kHops, {{3, 0, 0, 0, 0}});
  write("real", kReal, {{3, 0, 0, 0, 0}});
  const auto ladder = measure_ladder({file("reference"), file("hops"), file("real")});
  EXPECT_EQ(ladder.residue()->bits, 0);
  EXPECT_EQ(ladder.rungs[1].share, 1);
  EXPECT_EQ(ladder.rungs[2].share, 0);
  EXPECT_THAT(ladder_text(ladder), HasSubstr("residue: 0 bits: the explanation is complete"));
  const auto json = nlohmann::json::parse(ladder_json(ladder));
  EXPECT_EQ(json.at("complete"), true);
  EXPECT_EQ(json.at("residue").at("bits"), 0);
  EXPECT_EQ(json.at("rungs")[1].at("kind"), "hops");
  EXPECT_EQ(json.at("rungs")[1].at("share"), 1);
}

TEST_F(LadderOf, EqualEndsHaveNoShares) {
  write("reference", "", {{1, 0, 0, 0, 0}});
  write("hops", kHops, {{1, 0, 0, 0, 0}});
  const auto ladder = measure_ladder({file("reference"), file("hops")});
  EXPECT_TRUE(std::isnan(ladder.rungs[1].share));
  EXPECT_EQ(ladder.residue(), nullptr);
  EXPECT_THAT(ladder_text(ladder), HasSubstr("no real run"));
  EXPECT_EQ(nlohmann::json::parse(ladder_json(ladder)).at("residue"), nullptr);
}

TEST_F(LadderOf, FirstOperationsOfEachStep) {
  write("reference", "", {{1, 0, 0, 0, 0}});
  auto shards = scored_prompt(score_run(), "p0", 0, {{1, 0, 0, 0, 0}});
  change_sum(shards, {Operation::qkv, 1}, 0);
  write_record(scratch_ / "shards.h5", score_run(kShards), {shards});
  change_sum(shards, {Operation::attention_partials, 0}, 0);
  change_sum(shards, {Operation::mlp_sum, 0}, 0);
  write_record(scratch_ / "hops.h5", score_run(kHops), {shards});
  const auto ladder = measure_ladder({file("reference"), file("shards"), file("hops")});
  EXPECT_EQ(ladder.rungs[1].first->point, (record::Point{Operation::qkv, 1}));
  EXPECT_EQ(ladder.rungs[2].first->point, (record::Point{Operation::attention_partials, 0}));
}

// Greedy files part after a flip: only rows that all runs were fed alike count.
TEST_F(LadderOf, GreedyRowsEndAtTheFirstFlip) {
  const auto greedy = [&](const std::string& name, const testing::Rows& rows) {
    auto run = score_run();
    run.mode = "greedy";
    write_record(scratch_ / (name + ".h5"), run, {testing::greedy_prompt(run, "p0", 0, rows)});
  };
  greedy("reference", {{1, 0, 0, 0, 0}, {0, 1, 0, 0, 0}, {1, 0, 0, 0, 0}});
  greedy("hops", {{1, 0, 0, 0, 0}, {0, 1, 2, 0, 0}, {7, 0, 0, 0, 0}});
  const auto ladder = measure_ladder({file("reference"), file("hops")});
  EXPECT_EQ(ladder.rows, 2);
  EXPECT_EQ(ladder.rungs[1].step.flips, 1);
}

TEST_F(LadderOf, FilesThatDoNotBelongTogether) {
  write("reference", "", {{1, 0, 0, 0, 0}});
  write("hops", kHops, {{1, 0, 0, 0, 0}, {1, 0, 0, 0, 0}});
  EXPECT_THAT(error_of([&] {
                measure_ladder({file("reference"), file("hops")});
              }).what(),
              HasSubstr("other tokens"));
  write_record(scratch_ / "shards.h5", score_run("", DType::bfloat16),
               {scored_prompt(score_run("", DType::bfloat16), "p0", 0, {{1, 0, 0, 0, 0}})});
  EXPECT_THAT(error_of([&] {
                measure_ladder({file("reference"), file("shards")});
              }).what(),
              HasSubstr("one thing at a time"));
  auto bare = scored_prompt(score_run(), "p0", 0, {{1, 0, 0, 0, 0}});
  bare.logits.clear();
  write_record(scratch_ / "real.h5", score_run(kReal), {bare});
  EXPECT_THAT(error_of([&] {
                measure_ladder({file("reference"), file("real")});
              }).what(),
              HasSubstr("no logits"));
  EXPECT_EQ(error_of([&] { measure_ladder({file("reference")}); }).code(), ExitCode::usage);
}

}  // namespace
}  // namespace shardrift::analysis
