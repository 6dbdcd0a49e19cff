#include "parallel/reduction/sum_tree.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <set>

#include "common/error.hpp"

namespace shardrift {
namespace {

using ::testing::HasSubstr;

std::string text_of(const SumTree& tree) {
  return to_string(tree);
}

TEST(SumTree, NamedOrders) {
  EXPECT_EQ(text_of(linear_tree(1)), "0");
  EXPECT_EQ(text_of(linear_tree(2)), "0+1");
  EXPECT_EQ(text_of(linear_tree(4)), "((0+1)+2)+3");
  EXPECT_EQ(text_of(chain_tree(4)), "((2+3)+1)+0");
  EXPECT_EQ(text_of(balanced_tree(4)), "(0+1)+(2+3)");
  EXPECT_EQ(text_of(balanced_tree(5)), "((0+1)+2)+(3+4)");
  EXPECT_EQ(text_of(ring_tree(4, 0)), "((1+2)+3)+0");
  EXPECT_EQ(text_of(ring_tree(4, 1)), "((2+3)+0)+1");
  EXPECT_EQ(text_of(ring_tree(4, 2)), "((0+3)+1)+2");
  EXPECT_EQ(text_of(ring_tree(4, 3)), "((0+1)+2)+3");
  EXPECT_EQ(ring_tree(4, 3), linear_tree(4));
  EXPECT_EQ(text_of(left_to_right({2, 0, 3, 1})), "((0+2)+3)+1");
  EXPECT_EQ(ring_tree(1, 0).shards(), 1);
}

// a + b = b + a: two shards have one order, however it is written.
TEST(SumTree, TheCanonicalFormForgetsWhichOperandCameFirst) {
  EXPECT_EQ(linear_tree(2), chain_tree(2));
  EXPECT_EQ(ring_tree(2, 0), ring_tree(2, 1));
  EXPECT_EQ(text_of(tree_from_string("0+(3+(2+1))")), "((1+2)+3)+0");
  EXPECT_EQ(text_of(tree_from_string("(3+2)+(1+0)")), "(0+1)+(2+3)");
  EXPECT_EQ(tree_from_string("3+((0+1)+2)"), linear_tree(4));
  // (2+3)+1 and 0 are no reordering of (0+1)+(2+3).
  EXPECT_NE(tree_from_string("((2+3)+1)+0"), tree_from_string("(0+1)+(2+3)"));
  // A long chain needs less of the stack than a small balanced sum, which therefore comes first.
  EXPECT_EQ(text_of(tree_from_string("((((0+1)+2)+3)+8)+((4+5)+(6+7))")), "((4+5)+(6+7))+((((0+1)+2)+3)+8)");
}

TEST(SumTree, AllBinaryTreesAreDifferentAndComeBackFromTheirText) {
  std::int64_t expected = 1;
  for (int shards = 1; shards <= 6; ++shards) {
    if (shards > 2) expected *= 2 * shards - 3;
    ASSERT_EQ(tree_count(shards), expected);
    std::set<std::string> seen;
    for (std::int64_t index = 0; index < tree_count(shards); ++index) {
      const SumTree tree = tree_by_index(shards, index);
      ASSERT_EQ(tree.shards(), shards);
      const std::string text = to_string(tree);
      ASSERT_TRUE(seen.insert(text).second) << text;
      ASSERT_EQ(tree_from_string(text), tree) << text;
    }
  }
  EXPECT_EQ(tree_count(8), 135135);
  EXPECT_EQ(tree_by_index(5, 0), linear_tree(5));
  std::set<std::string> eight;
  for (std::int64_t index = 0; index < tree_count(8); index += 7)
    eight.insert(to_string(tree_by_index(8, index)));
  EXPECT_EQ(eight.size(), 135135U / 7);
}

// Every order that has a name is one of the 15 trees of four shards.
TEST(SumTree, NamedOrdersAreAmongTheFifteen) {
  std::set<std::string> all;
  for (int index = 0; index < 15; ++index) all.insert(to_string(tree_by_index(4, index)));
  for (int chunk = 0; chunk < 4; ++chunk) EXPECT_TRUE(all.contains(to_string(ring_tree(4, chunk))));
  EXPECT_TRUE(all.contains(to_string(chain_tree(4))));
  EXPECT_TRUE(all.contains(to_string(balanced_tree(4))));
}

TEST(SumTree, TheStackStaysSmallForAnyTree) {
  std::mt19937 random(1);
  EXPECT_EQ(stack_depth(balanced_tree(64)), SumTree::kMaxStack);
  EXPECT_EQ(stack_depth(chain_tree(64)), 2);
  EXPECT_EQ(stack_depth(linear_tree(1)), 1);
  for (int repeat = 0; repeat < 2000; ++repeat) {  // join random pairs until one tree is left
    std::vector<std::string> parts;
    for (int s = 0; s < 64; ++s) parts.push_back(std::to_string(s));
    while (parts.size() > 1) {
      std::shuffle(parts.begin(), parts.end(), random);
      const std::string second = parts.back();
      parts.pop_back();
      parts.back() = "(" + parts.back() + "+" + second + ")";
    }
    const std::string text = parts.front().substr(1, parts.front().size() - 2);
    const SumTree tree = tree_from_string(text);
    ASSERT_LE(stack_depth(tree), SumTree::kMaxStack) << text;
    ASSERT_EQ(tree_from_string(to_string(tree)), tree);
  }
  // Chains hung into chains: greater height first would need more than 7 here.
  std::string text = "0";
  int next = 1;
  for (int size = 1; next + size <= 64; ++size) {
    std::string chain = std::to_string(next++);
    for (int i = 1; i < size; ++i) chain = "(" + chain + "+" + std::to_string(next++) + ")";
    text = "(" + text + "+" + chain + ")";
  }
  EXPECT_LE(stack_depth(tree_from_string(text.substr(1, text.size() - 2))), 3);
}

TEST(SumTree, LeftToRightOrdersAreKnownByTheirProgram) {
  for (const auto& order : {std::vector<int>{2, 0, 3, 1}, std::vector<int>{0}, std::vector<int>{1, 0}}) {
    const SumTree tree = left_to_right(order);
    EXPECT_TRUE(is_left_to_right(tree));
    std::vector<int> read;
    for (int i = 0; i < tree.shards(); ++i)
      read.push_back(tree.program[static_cast<std::size_t>(left_to_right_position(i))]);
    EXPECT_EQ(left_to_right(read), tree);
  }
  EXPECT_FALSE(is_left_to_right(balanced_tree(4)));
}

TEST(SumTree, RefusesWhatIsNoTree) {
  for (const auto* text : {"", "1", "0+", "+", "0+1+2", "(0+1)", "((0+1)+2", "(0+1)+2)", "0+0", "0+2",
                           "(0)+1", "0 + 1", "-1+0", "0+01", "a", "0+(1+2)x", "0+64", "99999999999+0"})
    EXPECT_THROW(tree_from_string(text), Error) << text;
  EXPECT_THROW(tree_from_string(std::string(100000, '(')), Error);
  try {
    tree_from_string("0+1+2");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), HasSubstr("'0+1+2'"));
  }
  for (const auto& order : {std::vector<int>{0, 0}, {0, 2}, {-1, 0}, {}})
    EXPECT_THROW(left_to_right(order), Error);
  EXPECT_THROW(tree_by_index(4, 15), Error);
  EXPECT_THROW(tree_by_index(4, -1), Error);
  EXPECT_THROW(tree_by_index(9, 0), Error);
  EXPECT_THROW(ring_tree(4, 4), Error);
  EXPECT_THROW(linear_tree(65), Error);
}

}  // namespace
}  // namespace shardrift
