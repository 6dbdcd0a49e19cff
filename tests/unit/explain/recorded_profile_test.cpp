// The order of a live collective, as its run recorded it, is a profile that predicts it.
#include "analysis/explain/recorded_profile.hpp"

#include <gmock/gmock.h>

#include "tests/unit/record/example_record.hpp"

namespace shardrift::analysis {
namespace {

using record::testing::error_of;
using ::testing::HasSubstr;

record::RunInfo live_run() {
  record::RunInfo run = record::testing::example_run();
  record::CollectiveInfo info;
  info.operation = "all-reduce";
  info.count = 8;
  info.dtype = "bfloat16";
  info.ranks = 3;
  info.library = "mpi";
  info.version = "Open MPI v4.1.4";
  info.source = "probed";
  info.trees = {"(0+1)+2", "(1+2)+0"};
  info.segments = {{0, 5, 1}, {5, 8, 0}};
  run.environment.collectives = {info};
  info.count = 16;
  info.trees = {"(0+1)+2", "not binary"};
  info.segments = {{0, 10, 0}, {10, 16, 1}};
  run.environment.collectives.push_back(info);
  return run;
}

TEST(RecordedProfile, HasTheMapsThatWereSeen) {
  const auto profile = recorded_profile(live_run());
  ASSERT_TRUE(profile);
  const auto read_back = profile_from_json(profile_to_json(*profile), "test");
  EXPECT_EQ(read_back.ranks, 3);
  EXPECT_EQ(read_back.library_version, "Open MPI v4.1.4");
  const OrderMap map = read_back.map_for(CollectiveOperation::all_reduce, DType::bfloat16, 8);
  EXPECT_EQ(describe(map), "[0, 5) (1+2)+0 / [5, 8) (0+1)+2");
  // What is no binary tree stays so, and is refused where it is needed.
  EXPECT_THAT(
      error_of([&] { read_back.map_for(CollectiveOperation::all_reduce, DType::bfloat16, 16); }).what(),
      HasSubstr("no binary tree"));
}

// What a run says of one of ours is enough to fold as it did.
TEST(RecordedProfile, OfOneOfOurOwnRoundsAsItDoes) {
  auto run = live_run();
  run.environment.collectives.resize(1);
  auto& info = run.environment.collectives.front();
  info.library = "shardrift";
  info.algorithm = "two-shot";
  info.trees = {"(0+1)+2"};
  info.segments = {{0, 8, 0}};
  const auto profile = recorded_profile(run);
  ASSERT_TRUE(profile);
  const auto read_back = profile_from_json(profile_to_json(*profile), "test");
  EXPECT_EQ(read_back.transport, "two-shot");
  EXPECT_EQ(read_back.accumulator(DType::bfloat16), Accumulator::float32);
  EXPECT_EQ(read_back.map_for(CollectiveOperation::all_reduce, DType::bfloat16, 8),
            peer_map(Collective::two_shot, 8, DType::bfloat16, 3));
  EXPECT_EQ(recorded_profile(live_run())->accumulator(DType::bfloat16), Accumulator::message);
}

TEST(RecordedProfile, PredictionsAndOneRankHaveNone) {
  EXPECT_FALSE(recorded_profile(record::testing::example_run()));
  auto run = live_run();
  for (auto& info : run.environment.collectives) info.source = "profile";
  EXPECT_FALSE(recorded_profile(run));
}

// A run on one device that folded by a profile holds its maps, and its plan says where it rounded.
TEST(RecordedProfile, OfAFoldIsWhatItFoldedBy) {
  auto run = live_run();
  EXPECT_FALSE(recorded_profile_of_fold(run));
  for (auto& info : run.environment.collectives) info.source = "profile";
  run.environment.collectives.back().source = "model";
  run.plan.insert(run.plan.size() - 1, R"(,"accumulate":"float32")");
  const auto profile = recorded_profile_of_fold(run);
  ASSERT_TRUE(profile);
  const auto read_back = profile_from_json(profile_to_json(*profile), "test");
  EXPECT_EQ(read_back.probed.size(), 2U);
  EXPECT_EQ(read_back.accumulator(DType::bfloat16), Accumulator::float32);
  EXPECT_EQ(describe(read_back.map_for(CollectiveOperation::all_reduce, DType::bfloat16, 8)),
            "[0, 5) (1+2)+0 / [5, 8) (0+1)+2");
}

TEST(RecordedProfile, NonsenseIsBadData) {
  auto run = live_run();
  run.environment.collectives[0].trees[0] = "0+0";
  const auto error = error_of([&] { recorded_profile(run); });
  EXPECT_EQ(error.code(), ExitCode::bad_data);
  EXPECT_THAT(error.what(), HasSubstr("all-reduce of 8 elements"));
  run = live_run();
  run.environment.collectives[0].operation = "broadcast";
  EXPECT_EQ(error_of([&] { recorded_profile(run); }).code(), ExitCode::bad_data);
}

}  // namespace
}  // namespace shardrift::analysis
