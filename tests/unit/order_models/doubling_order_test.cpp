// The tree that halving and doubling adds every element by, against the exchange itself.
#include "parallel/order_models/doubling_order.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "common/error.hpp"
#include "parallel/order_models/openmpi_order.hpp"

namespace shardrift {
namespace {

// What a rank holds of the message's parts, each as the text of the sum that it is by now.
struct Holder {
  int first = 0;  // parts [first, last) are still its own
  int last = 0;
  std::vector<std::string> parts;
};

// The reduce-scatter as published: the surplus joins its neighbour, then partners at distance 1, 2, 4, … keep
// a half each of the parts they share, the lower rank the lower half, and add what the other sends of it.
std::vector<std::string> exchanged(int ranks) {
  const int power = static_cast<int>(halving_parts(ranks));
  std::vector<Holder> holders;
  for (int r = 0; r < ranks; ++r) {
    std::string own = std::to_string(r);
    if (r < 2 * (ranks - power)) {
      own = fmt::format("({}+{})", r, r + 1);
      ++r;
    }
    holders.push_back({0, power, std::vector<std::string>(static_cast<std::size_t>(power), own)});
  }
  for (int distance = 1; distance < power; distance *= 2) {
    const auto before = holders;
    for (int r = 0; r < power; ++r) {
      auto& mine = holders[static_cast<std::size_t>(r)];
      const int partner = r ^ distance;
      const int middle = (mine.first + mine.last) / 2;
      (r < partner ? mine.last : mine.first) = middle;
      for (auto p = static_cast<std::size_t>(mine.first); p < static_cast<std::size_t>(mine.last); ++p)
        mine.parts[p] =
            fmt::format("({}+{})", mine.parts[p], before[static_cast<std::size_t>(partner)].parts[p]);
    }
  }
  std::vector<std::string> sums(static_cast<std::size_t>(power));
  for (const auto& holder : holders) {
    EXPECT_EQ(holder.last - holder.first, 1);  // one part each
    const auto& sum = holder.parts[static_cast<std::size_t>(holder.first)];
    sums[static_cast<std::size_t>(holder.first)] = sum.substr(1, sum.size() - 2);
  }
  return sums;
}

TEST(HalvingDoubling, EveryPartOfTheExchangeIsAddedByOneTree) {
  for (int ranks = 2; ranks <= 17; ++ranks)
    for (const auto& sum : exchanged(ranks))
      EXPECT_EQ(tree_from_string(sum), doubling_tree(ranks)) << ranks << ": " << sum;
}

TEST(HalvingDoubling, Trees) {
  const auto text = [](std::int64_t count, int ranks) {
    return describe(halving_doubling_map(count, ranks));
  };
  EXPECT_EQ(text(9, 2), "[0, 9) 0+1");
  EXPECT_EQ(text(9, 3), "[0, 9) (0+1)+2");
  EXPECT_EQ(text(9, 4), "[0, 9) (0+1)+(2+3)");
  EXPECT_EQ(text(9, 8), "[0, 9) ((0+1)+(2+3))+((4+5)+(6+7))");
  EXPECT_EQ(text(9, 6), "[0, 9) ((0+1)+(2+3))+(4+5)");
  // One algorithm in two libraries, of which one was probed.
  for (int ranks = 2; ranks <= 7; ++ranks)
    EXPECT_EQ(halving_doubling_map(100, ranks),
              openmpi_all_reduce_map(100, DType::float32, ranks, OpenMpiAllReduce::rabenseifner));
}

TEST(HalvingDoubling, Refusals) {
  EXPECT_NO_THROW(halving_doubling_map(4, 7));
  EXPECT_THROW(halving_doubling_map(3, 7), Error);
  EXPECT_THROW(halving_doubling_map(100, 1), Error);
  EXPECT_THROW(halving_doubling_map(100, 65), Error);
}

}  // namespace
}  // namespace shardrift
