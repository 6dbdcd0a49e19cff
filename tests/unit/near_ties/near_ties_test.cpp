// Which steps a change of order reaches, and how near a tie they are: by hand-made profiles and logits.
#include "analysis/near_ties/near_ties.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "analysis/measure/measure.hpp"
#include "analysis/near_ties/near_ties_presenters.hpp"
#include "common/error.hpp"
#include "tests/unit/analysis/example_runs.hpp"

namespace shardrift::analysis {
namespace {

using record::testing::write_record;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Rows;

constexpr std::int64_t kHidden = 4;
constexpr std::int64_t kPrompt = 9;  // tokens of greedy_prompt

ModelConfig config_of(std::int64_t layers = 2) {
  ModelConfig config;
  config.hidden = kHidden;
  config.intermediate = 8;
  config.layers = layers;
  config.query_heads = 2;
  config.head_dim = 2;
  config.specs.resize(static_cast<std::size_t>(layers));
  return config;
}

const SumTree kA = left_to_right({0, 1, 2}), kB = left_to_right({1, 2, 0});

// A message of `count` elements, those in [begin, end) by kB, the others by kA.
ProbedCollective probed(std::int64_t count, std::int64_t begin = 0, std::int64_t end = 0,
                        DType dtype = DType::float32) {
  OrderMapBuilder builder(count);
  if (begin > 0) builder.append(begin, kA);
  if (end > begin) builder.append(end - begin, kB);
  if (count > end) builder.append(count - end, kA);
  const OrderMap map = builder.finish();
  ProbedCollective one;
  one.probe = {3, count, dtype, 3, map.segments, map.trees, Accumulator::message, -1};
  return one;
}

CollectiveProfile profile_of(std::vector<ProbedCollective> all) {
  CollectiveProfile profile;
  profile.library = "nccl";
  profile.ranks = 3;
  for (auto& one : all) profile.add(std::move(one));
  return profile;
}

class NearTiesTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(scratch_); }
  void TearDown() override { std::filesystem::remove_all(scratch_); }

  // Row 0 ends a prefill pass of the prompt, which begins at row `at` of it; the others are decoded alone.
  record::PromptRecord prompt(const record::RunInfo& run, const std::string& id, std::int64_t index,
                              const Rows& rows, std::int64_t at = 0, std::int64_t pass = kPrompt) const {
    auto one = testing::greedy_prompt(run, id, index, rows);
    for (auto& row : one.rows) row.forward_rows = 1;
    one.rows[0].phase = record::Phase::prefill;
    one.rows[0].forward_rows = static_cast<std::int32_t>(pass);
    one.rows[0].batch_row = static_cast<std::int32_t>(at + kPrompt - 1);
    return one;
  }
  record::Reader written(const record::RunInfo& run, const std::vector<record::PromptRecord>& prompts,
                         const std::string& name = "ref") const {
    write_record(scratch_ / (name + ".h5"), run, prompts);
    return record::Reader::open(scratch_ / (name + ".h5"));
  }

  const std::filesystem::path scratch_ =
      std::filesystem::temp_directory_path() / ("shardrift-near-ties-" + std::to_string(getpid()));
  const Rows kRows{{5, 0, 0, 0, 0}, {5, 4.999999, 0, 0, 0}, {5, 0, 0, 0, 1}};
};

TEST_F(NearTiesTest, AnotherDecodeMessageReachesDecodedSteps) {
  const auto run = testing::small_run();
  const auto ref = written(run, {prompt(run, "p", 0, kRows)});
  const auto before = profile_of({probed(kPrompt * kHidden), probed(kHidden)});
  const auto after = profile_of({probed(kPrompt * kHidden), probed(kHidden, 1, 2)});
  const auto ties = near_ties(ref, config_of(), before, after);
  EXPECT_EQ(ties.rows, 3);
  EXPECT_EQ(ties.reached, 2);
  ASSERT_EQ(ties.near.size(), 1U);  // the second step: 1e-6 apart; the others' margins are 4 and more
  EXPECT_EQ(ties.near[0].step, 1);
  EXPECT_EQ(ties.near[0].chosen, 0);
  EXPECT_EQ(ties.near[0].second, 1);
  EXPECT_EQ(ties.near[0].second_text, run.model.vocab[1]);
  ASSERT_EQ(ties.messages.size(), 2U);
  EXPECT_EQ(ties.messages[0].rows, 2);
  EXPECT_EQ(ties.messages[0].diff.elements(), 1);
  EXPECT_FALSE(ties.messages[1].diff.differs());
  // The rule, by hand: u = 2^-24; 2 + 0.09 · 20 adds a layer.
  double sum = 0, squares = 0;
  for (const double x : {5.0, static_cast<double>(4.999999F), 0.0, 0.0, 0.0}) {
    sum += x;
    squares += x * x;
  }
  const double sigma = std::sqrt(squares / 5 - sum / 5 * (sum / 5));
  const double s = std::ldexp(1.0, -24) * std::sqrt(2 * (2 + 0.09 * 20) * 2) * sigma;
  const double d = std::ldexp(1.0, -21);  // of float32 numbers from 4 on
  const double both = std::sqrt(s * s + d * d / 3);
  EXPECT_NEAR(ties.near[0].scale, both, 1e-9 * both);
  EXPECT_NEAR(ties.near[0].probability, std::erfc(ties.near[0].margin / both / std::sqrt(2.0)) / 2, 1e-12);
  // The same order: nothing is reached.
  const auto none = near_ties(ref, config_of(), before, before);
  EXPECT_EQ(none.reached, 0);
  EXPECT_TRUE(none.near.empty());
  EXPECT_THAT(near_ties_answer(none, nullptr), HasSubstr("none can flip"));
  // Rounded once from a wider dtype: the other order seldom shows, and is no reason to expect a flip.
  const auto once = [](ProbedCollective one) {
    one.probe.accumulator = Accumulator::float64;
    return one;
  };
  const auto seldom =
      near_ties(ref, config_of(), profile_of({once(probed(kPrompt * kHidden)), once(probed(kHidden))}),
                profile_of({once(probed(kPrompt * kHidden)), once(probed(kHidden, 1, 2))}));
  EXPECT_EQ(seldom.seldom, 2);
  EXPECT_EQ(seldom.reached, 0);
  EXPECT_EQ(seldom.expected, 0);
  EXPECT_THAT(near_ties_answer(seldom, nullptr),
              HasSubstr("2 of the record's 3 steps depend on sums that are added in another order, but in a "
                        "wider dtype and rounded once"));
}

// Elements of a prefill message are rows of the pass: a prompt whose rows are added as before is not reached.
TEST_F(NearTiesTest, OnlyThePromptsWhoseRowsAreAddedOtherwise) {
  const auto run = testing::small_run();
  const std::int64_t pass = 2 * kPrompt;
  const auto ref =
      written(run, {prompt(run, "p0", 0, kRows, 0, pass), prompt(run, "p1", 1, kRows, kPrompt, pass)});
  const auto before = profile_of({probed(pass * kHidden), probed(kHidden)});
  const auto first = profile_of({probed(pass * kHidden, 0, 1), probed(kHidden)});
  EXPECT_EQ(near_ties(ref, config_of(), before, first).reached, 3);  // all of p0: its KV cache is another
  const auto ties = near_ties(ref, config_of(), before, first);
  for (const auto& one : ties.near) EXPECT_EQ(one.prompt, "p0");
  const auto last = profile_of({probed(pass * kHidden, pass * kHidden - 1, pass * kHidden), probed(kHidden)});
  for (const auto& one : near_ties(ref, config_of(), before, last).near) EXPECT_EQ(one.prompt, "p1");
  // Sums that round elsewhere are other sums, every element of them.
  auto rounded = before;
  for (auto& one : rounded.probed) one.probe.accumulator = Accumulator::float64;
  EXPECT_EQ(near_ties(ref, config_of(), before, rounded).reached, 6);
}

TEST_F(NearTiesTest, WhatAProfileDoesNotKnowMayBeAnything) {
  const auto run = testing::small_run();
  const auto ref = written(run, {prompt(run, "p", 0, kRows)});
  const auto before = profile_of({probed(kPrompt * kHidden), probed(kHidden)});
  const auto after = profile_of({probed(kPrompt * kHidden)});
  const auto ties = near_ties(ref, config_of(), before, after);
  EXPECT_EQ(ties.reached, 2);
  EXPECT_EQ(ties.not_known, 2);
  EXPECT_THAT(near_ties_text(ties, nullptr, 4), HasSubstr("not known to B"));
  EXPECT_THAT(near_ties_answer(ties, nullptr),
              HasSubstr("2 of the record's 3 steps depend on a sum that may be added in another order; "));
}

// 16-bit logits stand on a lattice: at the top's spacing two of them move by themselves.
TEST_F(NearTiesTest, NarrowLogitsAndExactTies) {
  auto run = testing::small_run(DType::bfloat16);
  run.plan.insert(run.plan.size() - 1, R"(,"dtype":"bfloat16","logits_dtype":"bfloat16")");
  const auto ref = written(run, {prompt(run, "p", 0, {{20, 20, 0, 0, 0}, {20, 19.875, 0, 0, 0}})});
  const auto before =
      profile_of({probed(kPrompt * kHidden, 0, 0, DType::bfloat16), probed(kHidden, 0, 0, DType::bfloat16)});
  const auto after =
      profile_of({probed(kPrompt * kHidden, 0, 1, DType::bfloat16), probed(kHidden, 0, 0, DType::bfloat16)});
  const auto ties = near_ties(ref, config_of(), before, after);
  ASSERT_EQ(ties.near.size(), 2U);
  EXPECT_EQ(ties.near[0].margin, 0);
  // A tie that stays is decided as before.
  EXPECT_NEAR(ties.near[0].probability, std::erfc(0.0625 / ties.near[0].scale / std::sqrt(2.0)) / 2, 1e-12);
  EXPECT_GT(ties.near[1].scale, 0.125 / std::sqrt(3.0));  // bfloat16 numbers from 16 on are 1/8 apart
  EXPECT_NEAR(ties.expected, ties.near[0].probability + ties.near[1].probability, 1e-12);
}

TEST_F(NearTiesTest, ARunSaysWhichFlipAndWhetherTheyWereNamed) {
  const auto run = testing::small_run();
  const auto ref = written(run, {prompt(run, "p", 0, kRows)});
  auto moved = kRows;
  moved[1][1] = 5.000001;  // the near tie
  moved[2][4] = 6;         // one that no rounding flips
  auto flipped = prompt(run, "p", 0, moved);
  for (std::size_t i = 0; i < kRows.size(); ++i) flipped.rows[i].input_id = 1;
  auto info = run;
  info.mode = "follow";
  auto same = prompt(run, "p", 0, kRows);
  for (auto& row : same.rows) row.input_id = 1;
  const auto in_a = written(info, {same}, "a"), in_b = written(info, {flipped}, "b");
  const auto before = profile_of({probed(kPrompt * kHidden), probed(kHidden)});
  const auto after = profile_of({probed(kPrompt * kHidden), probed(kHidden, 1, 2)});
  const auto ties = near_ties(ref, config_of(), before, after);
  const auto between = measure(in_a, in_b, {.use_kept = false, .keep = false});
  const auto with_record = measure(ref, in_a, {.use_kept = false, .keep = false});
  const auto ran = order_run(ties, between, &with_record);
  EXPECT_EQ(ran.rows, 3);
  EXPECT_EQ(ran.rows_differ, 2);
  ASSERT_EQ(ran.flips.size(), 2U);
  EXPECT_TRUE(ran.flips[0].named);
  EXPECT_FALSE(ran.flips[1].named);
  EXPECT_EQ(ran.named(), 1);
  const auto text = near_ties_text(ties, &ran, 4);
  EXPECT_THAT(near_ties_answer(ties, &ran),
              HasSubstr("2 of 3 steps choose another token; 1 among the 1 named"));
  EXPECT_THAT(text, HasSubstr("p token 2: 0 in A, 1 in B"));  // from 1
  EXPECT_THAT(text, HasSubstr("(not named)"));
  EXPECT_EQ(order_run_json(ran).at("flips").size(), 2U);
  EXPECT_EQ(near_ties_json(ties).at("near").size(), 1U);
}

TEST_F(NearTiesTest, WhatCannotBeSaidIsRefused) {
  const auto run = testing::small_run();
  const auto ref = written(run, {prompt(run, "p", 0, kRows)});
  const auto profile = profile_of({probed(kHidden)});
  auto four = profile;
  four.ranks = 4;
  EXPECT_THROW(near_ties(ref, config_of(), profile, four), Error);
  const auto two = testing::small_run(DType::float32, 2);
  EXPECT_THROW(near_ties(written(two, {prompt(two, "p", 0, kRows)}, "two"), config_of(), profile, profile),
               Error);
  auto engine = run;
  engine.plan = R"({"engine":"another"})";
  try {
    near_ties(written(engine, {prompt(engine, "p", 0, kRows)}, "engine"), config_of(), profile, profile);
    FAIL() << "passes of another engine";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("(--run)"));
  }
  auto top = run;
  top.level = "top";
  const auto bare = written(top, {testing::greedy_prompt(top, "p", 0, kRows, false)}, "top");
  try {
    near_ties(bare, config_of(), profile, profile);
    FAIL() << "margins of a record without logits";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("has no logits"));
    EXPECT_EQ(error.code(), ExitCode::bad_data);
  }
}

}  // namespace
}  // namespace shardrift::analysis
