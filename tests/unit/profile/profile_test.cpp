// Which map a profile gives, and what it refuses.
#include <gmock/gmock.h>

#include "tests/unit/profile/example_profile.hpp"

namespace shardrift {
namespace {

using testing::as_probed;
using testing::example_profile;
using testing::h100_map;
using ::testing::HasSubstr;
using testing::message_of;
constexpr auto kAllReduce = CollectiveOperation::all_reduce;

TEST(Profile, ProbedCountsGiveTheProbedMap) {
  const auto profile = example_profile();
  for (const auto& one : profile.probed)
    EXPECT_EQ(profile.map_for(kAllReduce, one.probe.dtype, one.probe.count), one.probe.map());
  EXPECT_EQ(profile.map_for(kAllReduce, DType::tf32, 4096), h100_map(4096, DType::float32));
}

TEST(Profile, OtherCountsGoThroughTheModel) {
  const auto profile = example_profile();
  EXPECT_EQ(profile.map_for(kAllReduce, DType::bfloat16, 100 * 4096), h100_map(100 * 4096, DType::bfloat16));
}

// Between 2.1 MB (ll) and 4.2 MB (ll128) nothing was probed, and the two deal the message differently. (ll128
// and simple mostly do not: where they change over rarely matters.)
TEST(Profile, CutOversThatWereNotSeenAreRefused) {
  auto profile = example_profile();
  profile.file = "p.json";
  const auto message =
      message_of([&] { static_cast<void>(profile.map_for(kAllReduce, DType::bfloat16, 400 * 4096)); });
  EXPECT_THAT(message, HasSubstr("p.json"));
  EXPECT_THAT(message, HasSubstr("1638400 bfloat16"));
  EXPECT_THAT(message,
              HasSubstr("mpirun -np 4 shardrift-run probe --device cuda --dtype bfloat16 --count 1638400 "
                        "--save-profile p.json"));
}

TEST(Profile, AModelThatFailsOnceIsNotUsed) {
  auto profile = example_profile();
  auto wrong = as_probed(uniform_map(linear_tree(4), 5000), DType::bfloat16);
  profile.add(wrong);
  EXPECT_THAT(message_of([&] { static_cast<void>(profile.map_for(kAllReduce, DType::bfloat16, 8192)); }),
              HasSubstr("does not reproduce the probe of 5000 elements"));
  EXPECT_EQ(profile.map_for(kAllReduce, DType::bfloat16, 5000), wrong.probe.map());
  EXPECT_EQ(agrees(profile.model, *profile.find(kAllReduce, DType::bfloat16, 5000)), false);
  EXPECT_EQ(agrees(profile.model, *profile.find(kAllReduce, DType::bfloat16, 4096)), true);
  EXPECT_EQ(profile.map_for(kAllReduce, DType::float32, 8192),
            h100_map(8192, DType::float32));  // not concerned
}

TEST(Profile, WhatWasNeverProbedIsRefused) {
  auto profile = example_profile();
  EXPECT_THAT(message_of([&] { static_cast<void>(profile.map_for(kAllReduce, DType::float16, 4096)); }),
              HasSubstr("nothing of this operation and dtype was probed"));
  EXPECT_THAT(
      message_of([&] {
        static_cast<void>(profile.map_for(CollectiveOperation::reduce_scatter, DType::bfloat16, 4096));
      }),
      HasSubstr("--operation reduce-scatter"));
  profile.model = std::monostate{};
  EXPECT_THAT(message_of([&] { static_cast<void>(profile.map_for(kAllReduce, DType::bfloat16, 8192)); }),
              HasSubstr("no order model"));
}

TEST(Profile, NoBinaryTreeIsRefused) {
  auto profile = example_profile();
  auto odd = as_probed(uniform_map(linear_tree(4), 100), DType::bfloat16);
  odd.probe.segments = {{0, 50, 0}, {50, 100, kNotBinary}};
  profile.add(odd);
  EXPECT_THAT(message_of([&] { static_cast<void>(profile.map_for(kAllReduce, DType::bfloat16, 100)); }),
              HasSubstr("element 50"));
  auto wide = as_probed(uniform_map(linear_tree(4), 200), DType::float32);
  wide.probe.accumulator = Accumulator::float64;
  profile.add(wide);
  EXPECT_THAT(message_of([&] { static_cast<void>(profile.map_for(kAllReduce, DType::float32, 200)); }),
              HasSubstr("does not round at every add"));
}

// Of our own all-reduces the order is known at every size, and so is where it rounds.
TEST(Profile, OfOurOwnAddsInFloat32) {
  CollectiveProfile profile;
  profile.library = "shardrift";
  profile.transport = "two-shot";
  profile.ranks = 3;
  profile.model = PeerModel{Collective::two_shot};
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    auto one = as_probed(peer_map(Collective::two_shot, 100, dtype, 3), dtype);
    one.probe.accumulator = peer_accumulator(dtype);
    EXPECT_EQ(agrees(profile.model, one), true);
    profile.add(one);
    EXPECT_EQ(profile.map_for(kAllReduce, dtype, 100), one.probe.map());
    EXPECT_EQ(profile.map_for(kAllReduce, dtype, 4096), peer_map(Collective::two_shot, 4096, dtype, 3));
    EXPECT_EQ(profile.map_for(kAllReduce, dtype, 100, true), one.probe.map());  // ours add alike in a graph
  }
  EXPECT_EQ(profile.accumulator(DType::bfloat16), Accumulator::float32);
  EXPECT_EQ(profile.accumulator(DType::tf32), Accumulator::message);
  EXPECT_EQ(describe(profile.model), "two-shot, float32 sums");
  EXPECT_THAT(message_of([&] { static_cast<void>(profile.map_for(kAllReduce, DType::float16, 4)); }),
              HasSubstr("probe --device cpu --collective two-shot --dtype float16 --count 4"));
  // A probe that says otherwise is no prediction, and no model's.
  auto hops = as_probed(peer_map(Collective::two_shot, 100, DType::bfloat16, 3), DType::bfloat16);
  EXPECT_EQ(agrees(profile.model, hops), false);
  profile.add(hops);
  EXPECT_THAT(message_of([&] { static_cast<void>(profile.map_for(kAllReduce, DType::bfloat16, 100)); }),
              HasSubstr("does not add in float32 and round once"));
  auto linear = as_probed(uniform_map(linear_tree(3), 100), DType::float32);
  EXPECT_EQ(agrees(profile.model, linear), false);
  linear.operation = CollectiveOperation::reduce_scatter;
  EXPECT_EQ(agrees(profile.model, linear), std::nullopt);
}

// An engine's own all-reduce has no model: its probes say where it rounds, and who probed it why it has no
// order.
TEST(Profile, OfAnEngineRoundsAsItWasSeen) {
  CollectiveProfile profile;
  profile.library = "vLLM custom all-reduce";
  profile.transport = "python";
  profile.ranks = 4;
  auto once = as_probed(uniform_map(linear_tree(4), 100), DType::bfloat16);
  once.probe.accumulator = Accumulator::float32;
  profile.add(once);
  profile.add(as_probed(uniform_map(linear_tree(4), 200), DType::bfloat16));
  auto odd = as_probed(uniform_map(linear_tree(4), 300), DType::bfloat16);
  odd.probe.segments = {{0, 300, kNotBinary}};
  odd.probe.trees.clear();
  odd.seen = "nondeterministic: 12.5% of the elements changed";
  profile.add(odd);
  EXPECT_EQ(profile.accumulator(DType::bfloat16), Accumulator::float32);
  EXPECT_EQ(profile.accumulator(DType::float32), Accumulator::message);
  EXPECT_EQ(profile.map_for(kAllReduce, DType::bfloat16, 100), once.probe.map());
  const auto refusal = [&](std::int64_t count) {
    return message_of([&] { static_cast<void>(profile.map_for(kAllReduce, DType::bfloat16, count)); });
  };
  EXPECT_THAT(refusal(200),
              HasSubstr("does not add in float32 and round once, as others of this profile do"));
  EXPECT_THAT(refusal(300),
              HasSubstr("cannot be predicted: nondeterministic: 12.5% of the elements changed"));
  EXPECT_THAT(refusal(400),
              HasSubstr("probe_collective.py in its workers, with counts=[400], dtypes=[\"bfloat16\"]"));
  const auto read = profile_from_json(profile_to_json(profile), "engine.json");
  ASSERT_NE(read.find(kAllReduce, DType::bfloat16, 300), nullptr);
  EXPECT_EQ(read.find(kAllReduce, DType::bfloat16, 300)->seen, odd.seen);
}

// What is captured may take another order: eager probes say nothing of it, nor does a model that a captured
// probe contradicts.
TEST(Profile, CapturedSumsAreMessagesOfTheirOwn) {
  auto profile = example_profile();
  const auto captured_map = [&](std::int64_t count) {
    return profile.map_for(kAllReduce, DType::bfloat16, count, true);
  };
  EXPECT_FALSE(profile.knows_captured(kAllReduce, DType::bfloat16));
  EXPECT_THAT(
      message_of([&] { static_cast<void>(captured_map(4096)); }),
      HasSubstr("no order for the captured all-reduce of 4096 bfloat16 elements over 4 ranks: nothing of "
                "this operation and dtype was probed in a CUDA graph; probe it on that machine: mpirun -np "
                "4 shardrift-run probe --device cuda --launch captured --dtype bfloat16 --count 4096"));
  auto alike = as_probed(h100_map(4096, DType::bfloat16), DType::bfloat16);
  alike.captured = true;
  profile.add(alike);
  EXPECT_TRUE(profile.knows_captured(kAllReduce, DType::bfloat16));
  EXPECT_FALSE(profile.knows_captured(kAllReduce, DType::float32));
  EXPECT_FALSE(profile.knows_captured(CollectiveOperation::reduce_scatter, DType::bfloat16));
  EXPECT_EQ(captured_map(4096), alike.probe.map());
  EXPECT_EQ(captured_map(8192), h100_map(8192, DType::bfloat16));  // by the model
  auto other = as_probed(uniform_map(linear_tree(4), 5000), DType::bfloat16);
  other.captured = true;
  profile.add(other);
  EXPECT_EQ(captured_map(5000), other.probe.map());
  EXPECT_THAT(message_of([&] { static_cast<void>(captured_map(8192)); }),
              HasSubstr("does not reproduce the probe of 5000 elements"));
  EXPECT_EQ(profile.map_for(kAllReduce, DType::bfloat16, 5000), h100_map(5000, DType::bfloat16));
  EXPECT_EQ(profile_to_json(profile_from_json(profile_to_json(profile), "p")), profile_to_json(profile));
}

// Two ranks add once, whoever launches it.
TEST(Profile, TwoRanksHaveOneOrderCapturedOrNot) {
  CollectiveProfile profile;
  profile.ranks = 2;
  profile.transport = profile.library = "nccl";
  EXPECT_FALSE(profile.knows_captured(kAllReduce, DType::bfloat16));
  const auto one = as_probed(uniform_map(linear_tree(2), 64), DType::bfloat16);
  profile.add(one);
  EXPECT_TRUE(profile.knows_captured(kAllReduce, DType::bfloat16));
  EXPECT_EQ(profile.map_for(kAllReduce, DType::bfloat16, 64, true), one.probe.map());
}

TEST(Profile, AddReplacesTheSameMessage) {
  auto profile = example_profile();
  const auto before = profile.probed.size();
  profile.add(as_probed(uniform_map(linear_tree(4), 4096), DType::bfloat16));
  EXPECT_EQ(profile.probed.size(), before);
  EXPECT_EQ(profile.map_for(kAllReduce, DType::bfloat16, 4096), uniform_map(linear_tree(4), 4096));
}

TEST(Profile, AnotherMachineIsRefused) {
  const auto profile = example_profile();
  require_same_machine(profile, example_profile());
  const auto refusal = [&](auto&& change) {
    auto other = example_profile();
    change(other);
    return message_of([&] { require_same_machine(profile, other); });
  };
  EXPECT_THAT(refusal([](auto& p) { p.library_version = "2.29.2"; }), HasSubstr("2.29.2"));
  EXPECT_THAT(refusal([](auto& p) { p.ranks = 3; }), HasSubstr("ranks"));
  EXPECT_THAT(refusal([](auto& p) { p.device = "H200"; }), HasSubstr("device"));
  EXPECT_THAT(refusal([](auto& p) { p.machine = "node2"; }), HasSubstr("machine"));
  EXPECT_THAT(refusal([](auto& p) { p.variables.clear(); }), HasSubstr("NCCL_NVLS_ENABLE"));
  EXPECT_THAT(refusal([](auto& p) { p.variables["NCCL_ALGO"] = "tree"; }), HasSubstr("NCCL_ALGO"));
}

}  // namespace
}  // namespace shardrift
