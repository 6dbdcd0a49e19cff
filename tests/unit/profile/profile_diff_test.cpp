// Two profiles side by side: which elements are added in another order.
#include "parallel/profile/profile_diff.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/error.hpp"

namespace shardrift {
namespace {

ProbedCollective probed(const OrderMap& map, DType dtype, bool captured = false) {
  ProbedCollective one;
  one.probe.ranks = map.shards();
  one.probe.count = map.count;
  one.probe.dtype = dtype;
  one.probe.segments = map.segments;
  one.probe.trees = map.trees;
  one.probe.accumulator = Accumulator::message;
  one.captured = captured;
  return one;
}

CollectiveProfile profile_of(std::vector<ProbedCollective> all, const std::string& version = "1") {
  CollectiveProfile profile;
  profile.library = "nccl";
  profile.library_version = version;
  profile.ranks = 3;
  profile.file = version + ".json";
  for (auto& one : all) profile.add(std::move(one));
  return profile;
}

OrderMap map_of(const std::vector<std::pair<std::int64_t, SumTree>>& pieces) {
  std::int64_t count = 0;
  for (const auto& [elements, tree] : pieces) count += elements;
  OrderMapBuilder builder(count);
  for (const auto& [elements, tree] : pieces) builder.append(elements, tree);
  return builder.finish();
}

// What no fold can predict is not told by the trees alone: ranks with orders of their own, sums cut off.
TEST(ProfileDiff, WhatNoFoldPredictsIsNoSameOrder) {
  const auto map = uniform_map(left_to_right({0, 1, 2}), 8);
  auto own = probed(map, DType::float32);
  own.seen = "ranks hold different sums";
  auto cut = own;
  cut.seen = "cuts off";
  const auto plain = probed(map, DType::float32);
  for (const auto& [a, b] : {std::pair(own, plain), std::pair(plain, own), std::pair(own, cut)}) {
    const auto message = diff_profiles(profile_of({a}), profile_of({b})).messages.at(0);
    EXPECT_TRUE(message.differs());
    EXPECT_FALSE(message.seldom());
    EXPECT_EQ(message.seen_a, a.seen);
    EXPECT_EQ(message.seen_b, b.seen);
    EXPECT_EQ(message.elements(), 0);
  }
  EXPECT_FALSE(diff_profiles(profile_of({own}), profile_of({own})).differs());
}

TEST(ProfileDiff, NamesTheElementsOfAnotherOrder) {
  const SumTree a = left_to_right({0, 1, 2}), b = left_to_right({1, 2, 0}), c = left_to_right({0, 2, 1});
  const auto before = profile_of({probed(map_of({{10, a}, {10, b}}), DType::bfloat16)});
  const auto after = profile_of({probed(map_of({{5, a}, {10, c}, {5, b}}), DType::bfloat16)}, "2");
  const auto diff = diff_profiles(before, after);
  ASSERT_EQ(diff.messages.size(), 1U);
  const auto& message = diff.messages[0];
  EXPECT_TRUE(message.differs());
  EXPECT_EQ(message.elements(), 10);
  ASSERT_EQ(message.others.size(), 2U);
  EXPECT_EQ(message.others[0].begin, 5);
  EXPECT_EQ(message.others[0].end, 10);
  EXPECT_EQ(message.others[0].a, to_string(a));
  EXPECT_EQ(message.others[0].b, to_string(c));
  EXPECT_EQ(message.others[1].begin, 10);
  EXPECT_EQ(message.others[1].end, 15);
  EXPECT_EQ(message.others[1].a, to_string(b));
  ASSERT_EQ(diff.fields.size(), 1U);
  EXPECT_EQ(diff.fields[0].name, "version");
}

TEST(ProfileDiff, OperandsOfOneAddMayChangeSides) {
  const auto before = profile_of({probed(uniform_map(left_to_right({0, 1, 2}), 8), DType::float32)});
  const auto after = profile_of({probed(uniform_map(tree_from_string("2+(1+0)"), 8), DType::float32)});
  EXPECT_FALSE(diff_profiles(before, after).differs());
}

TEST(ProfileDiff, RoundingElsewhereIsAnotherSum) {
  const auto before = profile_of({probed(uniform_map(linear_tree(3), 8), DType::bfloat16)});
  auto once = probed(uniform_map(linear_tree(3), 8), DType::bfloat16);
  once.probe.accumulator = Accumulator::float32;
  const auto diff = diff_profiles(before, profile_of({once}));
  EXPECT_TRUE(diff.differs());
  EXPECT_EQ(diff.messages[0].elements(), 0);
  EXPECT_NE(diff.messages[0].rounds_a, diff.messages[0].rounds_b);
}

// One add: rounded to float32 first, and then to the message's dtype, it has the same bits.
TEST(ProfileDiff, OfTwoRanksItDoesNotMatterWhereTheSumRounds) {
  const auto of_two = [](Accumulator accumulator, DType dtype) {
    auto one = probed(uniform_map(linear_tree(2), 8), dtype);
    one.probe.accumulator = accumulator;
    auto profile = profile_of({});
    profile.ranks = 2;
    profile.add(std::move(one));
    return profile;
  };
  for (const DType dtype : {DType::bfloat16, DType::float16, DType::float32})
    for (const Accumulator other : {Accumulator::float32, Accumulator::float64})
      EXPECT_FALSE(diff_profiles(of_two(Accumulator::message, dtype), of_two(other, dtype)).differs());
}

// Another order of a sum that is rounded once, from a wider dtype: it can show, and seldom does.
TEST(ProfileDiff, AnotherOrderRoundedOnceSeldomShows) {
  const auto once = [](const char* tree, DType dtype, Accumulator accumulator) {
    auto one = probed(uniform_map(tree_from_string(tree), 8), dtype);
    one.probe.accumulator = accumulator;
    return profile_of({one});
  };
  const auto seldom = [&](DType dtype, Accumulator a, Accumulator b) {
    const auto diff = diff_profiles(once("(0+1)+2", dtype, a), once("(1+2)+0", dtype, b));
    EXPECT_TRUE(diff.differs());
    return diff.messages[0].seldom();
  };
  EXPECT_TRUE(seldom(DType::bfloat16, Accumulator::float32, Accumulator::float32));
  EXPECT_TRUE(seldom(DType::float32, Accumulator::float64, Accumulator::float64));
  EXPECT_FALSE(seldom(DType::float32, Accumulator::float32, Accumulator::float32));
  EXPECT_FALSE(seldom(DType::bfloat16, Accumulator::message, Accumulator::message));
  EXPECT_FALSE(seldom(DType::bfloat16, Accumulator::float32, Accumulator::float64));
}

TEST(ProfileDiff, WhatOneDoesNotKnowIsSaidAndIsNoDifference) {
  const auto before = profile_of({probed(uniform_map(linear_tree(3), 8), DType::float32)});
  const auto after = profile_of({probed(uniform_map(linear_tree(3), 16), DType::float32)});
  const auto diff = diff_profiles(before, after);
  ASSERT_EQ(diff.messages.size(), 2U);
  EXPECT_TRUE(diff.messages[0].unknown_to_a.empty());
  EXPECT_FALSE(diff.messages[0].unknown_to_b.empty());
  EXPECT_FALSE(diff.messages[1].unknown_to_a.empty());
  EXPECT_FALSE(diff.differs());
  EXPECT_FALSE(diff.known());
  EXPECT_TRUE(diff_profiles(before, before).known());
}

TEST(ProfileDiff, ASumWithoutATreeIsNeverSaidToBeTheSame) {
  auto one = probed(uniform_map(linear_tree(3), 8), DType::float32);
  one.probe.segments = {{0, 4, 0}, {4, 8, kNotBinary}};
  const auto diff = diff_profiles(profile_of({one}), profile_of({one}));
  ASSERT_EQ(diff.messages.size(), 1U);
  EXPECT_EQ(diff.messages[0].elements(), 4);
}

TEST(ProfileDiff, OtherNumbersOfRanksAreRefused) {
  auto two = profile_of({});
  two.ranks = 2;
  EXPECT_THROW(diff_profiles(profile_of({}), two), Error);
}

// Does the machine add as a program's source says? Its messages against an order by name.
TEST(ProfileDiff, AgainstAnOrderByName) {
  const auto message = probed(uniform_map(linear_tree(3), 64), DType::bfloat16);
  auto once = message;
  once.probe.accumulator = Accumulator::float32;
  const auto seen = profile_of({once, probed(uniform_map(linear_tree(3), 64), DType::float32)});
  EXPECT_FALSE(diff_profiles(seen, profile_of_order("nccl-symmetric", 3)).differs());  // small: 0, 1, 2
  const auto rounds = diff_profiles(profile_of({message}), profile_of_order("nccl-symmetric", 3));
  ASSERT_EQ(rounds.messages.size(), 1U);
  EXPECT_EQ(rounds.messages[0].rounds_a, "message");
  EXPECT_EQ(rounds.messages[0].rounds_b, "float32");
  const auto chain = diff_profiles(profile_of({message}), profile_of_order("chain", 3));
  EXPECT_EQ(chain.messages.at(0).elements(), 64);
  ASSERT_EQ(chain.fields.size(), 1U) << "a name has no library and no machine";
  EXPECT_EQ(chain.fields[0].b, "chain");
  EXPECT_FALSE(diff_profiles(profile_of({message}), profile_of_order("linear", 3)).differs());
}

TEST(ProfileDiff, AnOrderByNameRefusesWhatItDoesNotTake) {
  EXPECT_THROW(profile_of_order("native", 3), Error);
  EXPECT_THROW(profile_of_order("profile", 3), Error);
  EXPECT_THROW(profile_of_order("no-such-order", 3), Error);
  EXPECT_THROW(profile_of_order("vllm-two-stage", 3), Error);  // sums 2, 4, 6 and 8 ranks
  EXPECT_THROW(profile_of_order("perm:0,1", 3), Error);
  const auto two_stage = profile_of_order("vllm-two-stage", 4);
  auto odd = probed(uniform_map(linear_tree(4), 3), DType::bfloat16);  // no multiple of 16 bytes
  CollectiveProfile seen;
  seen.ranks = 4;
  seen.add(odd);
  odd.operation = CollectiveOperation::reduce_scatter;
  seen.add(odd);
  seen.add(probed(uniform_map(linear_tree(4), 2), DType::float64));
  const auto diff = diff_profiles(seen, two_stage);
  ASSERT_EQ(diff.messages.size(), 3U);
  for (const auto* reason : {"float64", "no multiple of 16", "reduce-scatter"})
    EXPECT_EQ(
        std::count_if(diff.messages.begin(), diff.messages.end(),
                      [&](const auto& one) { return one.unknown_to_b.find(reason) != std::string::npos; }),
        1)
        << reason;
  EXPECT_THROW(profile_to_json(two_stage), Error);
}

}  // namespace
}  // namespace shardrift
