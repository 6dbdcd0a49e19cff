// In which order S partials are added: a binary tree whose leaves are the shards 0 … S-1, each exactly once.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shardrift {

// A tree as a stack program in postfix: a value >= 0 pushes that shard's partial, kAdd adds the two newest.
// Every evaluator (CPU, CUDA, scalar reference) runs this program, so they share one definition of an order.
//
// Canonical form, so that equal orders compare equal however they were written (IEEE addition commutes, so
// swapping operands changes no bits but for the payload of a NaN): of the two operands of every add, the one
// whose own sum needs the larger stack comes first; where both need the same, the one with the lowest shard.
// The larger need first is what keeps the stack small: a sum that needs k values has at least 2^(k-1) leaves.
// (The operand of greater height first would not do: 64 shards could then need more than 7.)
struct SumTree {
  static constexpr std::int8_t kAdd = -1;
  static constexpr int kMaxShards = 64;
  static constexpr int kMaxStack = 7;  // 1 + log2(kMaxShards)
  std::vector<std::int8_t> program;

  int shards() const { return static_cast<int>(program.size() + 1) / 2; }
  bool operator==(const SumTree&) const = default;  // same program; trees are kept in one canonical form
};

// "((1+2)+3)+0"; "0" for one shard. Operands as stored: in canonical form.
std::string to_string(const SumTree& tree);
// The reverse, brought to the canonical form. Every add but the outermost is in parentheses; no spaces.
// Throws bad_data naming the text: not a binary tree over 0 … S-1.
SumTree tree_from_string(std::string_view text);

// Values the stack holds at most: 1 for one shard, 2 for every left-to-right order, at most kMaxStack.
int stack_depth(const SumTree& tree);
// One running total to which one shard at a time is added? Its shards then stand at
// left_to_right_position(i).
bool is_left_to_right(const SumTree& tree);
// In a left-to-right program "a b + c + d +", the i-th shard added: program[0], [1], [3], [5], …
inline int left_to_right_position(int i) {
  return i == 0 ? 0 : 2 * i - 1;
}

// ((order[0] + order[1]) + order[2]) + …; order is a permutation of 0 … S-1 (throws usage_error else).
SumTree left_to_right(const std::vector<int>& order);
SumTree linear_tree(int shards);  // 0, 1, …, S-1
SumTree chain_tree(int shards);   // S-1, …, 1, 0
// Balanced over shards: halves of size ceil(n/2) and floor(n/2), each summed alike.
SumTree balanced_tree(int shards);
// Ring chunk c of S: ((c+1) + (c+2) + …) + c, indices modulo S.
SumTree ring_tree(int shards, int chunk);

// The (2S-3)!! binary trees of S shards, in a fixed order documented in sum_tree.cpp; S <= 8 (135135 trees).
std::int64_t tree_count(int shards);
SumTree tree_by_index(int shards, std::int64_t index);  // usage_error outside [0, tree_count)

}  // namespace shardrift
