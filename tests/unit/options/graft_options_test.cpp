// A graft's command line: a candidate's plan on one device, the tokens, and what is put in.
#include "options/graft_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.hpp"

namespace shardrift {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

GraftOptions parsed(std::vector<std::string> words) {
  bool helped = false;
  words.insert(words.end(), {"--model", "m", "--output", "o.json", "--graft", "mlp_sum:all"});
  return parse_graft_options(words, helped);
}

TEST(GraftOptions, TakesAPlanAsARunDoes) {
  const auto options = parsed(
      {"--prompts", "p", "--shards", "4", "--reduction", "tree", "--dtype", "bfloat16", "--batch", "3"});
  EXPECT_EQ(options.run.plan.shards, 4);
  EXPECT_EQ(options.run.plan.reduction.order, ReductionOrder::tree);
  EXPECT_EQ(options.run.plan.logits_dtype, DType::bfloat16);
  EXPECT_EQ(options.run.mode, Mode::score);
  EXPECT_EQ(options.run.run_ahead, RunAhead::off);
  EXPECT_EQ(options.from, GraftSource::reference);
  EXPECT_EQ(parsed({"--follow", "r.h5"}).run.mode, Mode::follow);
  EXPECT_EQ(parsed({"--follow", "r.h5", "--mode", "score"}).run.mode, Mode::score);
  EXPECT_EQ(parsed({"--prompts", "p", "--from", "candidate"}).from, GraftSource::candidate);
  // Outputs are looked at on their way: nothing is captured unless asked for, and that is refused.
  EXPECT_EQ(parsed({"--prompts", "p", "--device", "cuda"}).run.plan.launch, Launch::eager);
}

TEST(GraftOptions, WhatCannotBeIsRefused) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{}, "either --prompts"},
      {{"--prompts", "p", "--follow", "r.h5"}, "either --prompts"},
      {{"--prompts", "p", "--mode", "greedy"}, "use --mode score or follow"},
      {{"--prompts", "p", "--mode", "follow"}, "--follow REF.h5"},
      {{"--prompts", "p", "--tensor-parallel", "2"}, "--tensor-parallel 2"},
      {{"--prompts", "p", "--pipeline", "2"}, "--pipeline 2"},
      {{"--prompts", "p", "--replicas", "2"}, "--replicas 2"},
      {{"--prompts", "p", "--launch", "captured"}, "cannot be looked into"},
      {{"--prompts", "p", "--from", "nobody"}, "--from"},
      {{"--prompts", "p", "--checksums"}, "see shardrift-run graft --help"},
      {{"--prompts", "p", "--in-flight", "2"}, "see shardrift-run graft --help"}};
  for (const auto& [words, says] : cases) {
    try {
      parsed(words);
      ADD_FAILURE() << says;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage) << says;
      EXPECT_THAT(error.what(), HasSubstr(says));
    }
  }
  bool helped = false;
  EXPECT_THROW(parse_graft_options({"--model", "m", "--output", "o", "--prompts", "p"}, helped), Error);
  EXPECT_THAT(graft_help(), HasSubstr("--graft"));
}

// What is refused, or has one value, is not in the help; explain --graft gives the values that can be.
TEST(GraftOptions, HelpHasNoFlagOfSeveralRanks) {
  for (const auto* flag : {"--tensor-parallel arg", "--pipeline arg", "--replicas arg", "--stage-layers arg",
                           "--launch arg", "--collective arg", "--nccl-", "--mpi-"})
    EXPECT_THAT(graft_help(), Not(HasSubstr(flag)));
  EXPECT_THAT(graft_help(), HasSubstr("--shards arg"));
  EXPECT_EQ(parsed({"--prompts", "p", "--tensor-parallel", "1", "--launch", "eager"}).run.plan.pipeline, 1);
}

TEST(GraftOptions, NoPinsOfCollectivesItDoesNotMake) {
  EXPECT_THROW(parsed({"--prompts", "p", "--nccl-channels", "2"}), Error);
}

}  // namespace
}  // namespace shardrift
