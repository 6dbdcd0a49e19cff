#include "parallel/reduction/sum_tree.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

#include "common/error.hpp"

namespace shardrift {
namespace {

// A subtree while a tree is being built: its canonical program and what decides its place.
struct Part {
  std::vector<std::int8_t> program;
  int stack = 1;   // values its evaluation holds at most
  int lowest = 0;  // its lowest shard
};

Part leaf(int shard) {
  return {{static_cast<std::int8_t>(shard)}, 1, shard};
}

Part sum(Part a, Part b) {
  if (b.stack > a.stack || (b.stack == a.stack && b.lowest < a.lowest)) std::swap(a, b);
  const int stack = std::max(a.stack, b.stack + 1);  // b is evaluated above a's result
  a.program.insert(a.program.end(), b.program.begin(), b.program.end());
  a.program.push_back(SumTree::kAdd);
  return {std::move(a.program), stack, std::min(a.lowest, b.lowest)};
}

void require_shards(int shards) {
  if (shards < 1 || shards > SumTree::kMaxShards)
    throw failure("a sum of {} shards: 1 to {} are possible", shards, SumTree::kMaxShards);
}

Part balanced(int first, int count) {
  if (count == 1) return leaf(first);
  const int half = (count + 1) / 2;
  return sum(balanced(first, half), balanced(first + half, count - half));
}

// sum := operand '+' operand; operand := number | '(' sum ')'
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  SumTree tree() {
    // No tree of 64 shards has a longer text, so recursion and memory end with it.
    if (text_.size() > std::size_t{6} * SumTree::kMaxShards) refuse();
    const bool lone = text_.find('+') == std::string_view::npos;
    SumTree tree{(lone ? operand() : binary()).program};
    if (next_ != text_.size()) refuse();
    std::vector<bool> seen(static_cast<std::size_t>(tree.shards()));
    for (const auto step : tree.program) {
      if (step == SumTree::kAdd) continue;
      const int shard{step};
      if (shard >= tree.shards() || seen[static_cast<std::size_t>(shard)]) refuse();
      seen[static_cast<std::size_t>(shard)] = true;
    }
    return tree;
  }

 private:
  Part binary() {
    Part first = operand();
    take('+');
    return sum(std::move(first), operand());
  }

  Part operand() {
    if (next_ < text_.size() && text_[next_] == '(') {
      ++next_;
      Part inner = binary();
      take(')');
      return inner;
    }
    int shard = -1;
    const char* begin = text_.data() + next_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), shard);
    if (error != std::errc() || shard < 0 || shard >= SumTree::kMaxShards) refuse();
    if (end - begin > 1 && *begin == '0') refuse();  // "00": one spelling a shard
    next_ += static_cast<std::size_t>(end - begin);
    return leaf(shard);
  }

  void take(char c) {
    if (next_ >= text_.size() || text_[next_] != c) refuse();
    ++next_;
  }

  [[noreturn]] void refuse() const {
    throw bad_data(
        "'{}' is not a sum tree: write each shard of 0 … S-1 once and every add but the outermost in "
        "parentheses, as in ((1+2)+3)+0",
        text_.substr(0, 400));
  }

  std::string_view text_;
  std::size_t next_ = 0;
};

// Rebuilds `part`'s tree with `shard` added above the node that program position `at` ends.
Part inserted(const std::vector<std::int8_t>& program, std::size_t at, int shard) {
  std::vector<Part> stack;
  for (std::size_t i = 0; i < program.size(); ++i) {
    if (program[i] == SumTree::kAdd) {
      Part second = std::move(stack.back());
      stack.pop_back();
      stack.back() = sum(std::move(stack.back()), std::move(second));
    } else {
      stack.push_back(leaf(program[i]));
    }
    if (i == at) stack.back() = sum(std::move(stack.back()), leaf(shard));
  }
  return std::move(stack.back());
}

}  // namespace

std::string to_string(const SumTree& tree) {
  std::vector<std::string> stack;
  const auto operand = [](const std::string& text) {
    return text.find('+') == std::string::npos ? text : "(" + text + ")";
  };
  for (const auto step : tree.program) {
    if (step != SumTree::kAdd) {
      stack.push_back(std::to_string(step));
      continue;
    }
    const std::string second = operand(stack.back());
    stack.pop_back();
    stack.back() = operand(stack.back()) + "+" + second;
  }
  return stack.empty() ? std::string() : stack.back();
}

SumTree tree_from_string(std::string_view text) {
  return Parser(text).tree();
}

int stack_depth(const SumTree& tree) {
  int depth = 0;
  int deepest = 0;
  for (const auto step : tree.program) {
    depth += step == SumTree::kAdd ? -1 : 1;
    deepest = std::max(deepest, depth);
  }
  return deepest;
}

bool is_left_to_right(const SumTree& tree) {
  return stack_depth(tree) <= 2;  // canonical: the second operand of every add is a single shard
}

SumTree left_to_right(const std::vector<int>& order) {
  const auto shards = static_cast<int>(order.size());
  std::vector<bool> seen(order.size());
  for (const int shard : order) {
    if (shards > SumTree::kMaxShards || shard < 0 || shard >= shards || seen[static_cast<std::size_t>(shard)])
      throw usage_error("--reduction perm:{}: not an order of {} shards: name each of 0 to {} once",
                        fmt::join(order, ","), shards, shards - 1);
    seen[static_cast<std::size_t>(shard)] = true;
  }
  require_shards(shards);
  Part total = leaf(order.front());
  for (std::size_t i = 1; i < order.size(); ++i) total = sum(std::move(total), leaf(order[i]));
  return {std::move(total.program)};
}

SumTree linear_tree(int shards) {
  require_shards(shards);
  std::vector<int> order(static_cast<std::size_t>(shards));
  std::iota(order.begin(), order.end(), 0);
  return left_to_right(order);
}

SumTree chain_tree(int shards) {
  require_shards(shards);
  std::vector<int> order(static_cast<std::size_t>(shards));
  std::iota(order.rbegin(), order.rend(), 0);
  return left_to_right(order);
}

SumTree balanced_tree(int shards) {
  require_shards(shards);
  return {balanced(0, shards).program};
}

SumTree ring_tree(int shards, int chunk) {
  require_shards(shards);
  if (chunk < 0 || chunk >= shards) throw failure("a ring of {} shards has no chunk {}", shards, chunk);
  std::vector<int> order;
  order.reserve(static_cast<std::size_t>(shards));
  for (int hop = 1; hop <= shards; ++hop) order.push_back((chunk + hop) % shards);
  return left_to_right(order);
}

// Trees are counted by growing them one shard at a time. A tree of k shards has 2k - 1 nodes; shard k goes
// above any one of them (node + k takes the node's place), which gives (2k-1) different trees, and removing
// shard k again leads back: so every tree is met once. The nodes are numbered from the end of the canonical
// program, node 0 being the root; the index has the place of shard 1 as its most significant digit (one
// place), then that of shard 2 (of 3 places), and the last shard's (of 2S - 3) as its least significant one.
// Tree 0 is therefore the linear order ((0+1)+2)+3, tree 1 of 4 shards ((0+1)+3)+2.
std::int64_t tree_count(int shards) {
  if (shards < 1 || shards > 8)
    throw usage_error("--reduction tree:K counts the trees of 1 to 8 shards, not of {}: use tree or perm:…",
                      shards);
  std::int64_t count = 1;
  for (int k = 2; k < shards; ++k) count *= 2 * k - 1;
  return count;
}

SumTree tree_by_index(int shards, std::int64_t index) {
  const std::int64_t count = tree_count(shards);
  if (index < 0 || index >= count)
    throw usage_error("--reduction tree:{}: {} shard{} {} {} tree{}, use tree:0 to tree:{}", index, shards,
                      shards == 1 ? "" : "s", shards == 1 ? "has" : "have", count, count == 1 ? "" : "s",
                      count - 1);
  std::vector<std::int64_t> places(static_cast<std::size_t>(shards), 0);
  for (int k = shards - 1; k >= 1; --k) {
    places[static_cast<std::size_t>(k)] = index % (2 * k - 1);
    index /= 2 * k - 1;
  }
  Part tree = leaf(0);
  for (int k = 1; k < shards; ++k) {
    const auto nodes = static_cast<std::int64_t>(tree.program.size());
    tree =
        inserted(tree.program, static_cast<std::size_t>(nodes - 1 - places[static_cast<std::size_t>(k)]), k);
  }
  return {std::move(tree.program)};
}

}  // namespace shardrift
