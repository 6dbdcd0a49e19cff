#include "parallel/order_models/doubling_order.hpp"

#include <fmt/core.h>

#include <bit>
#include <string>
#include <vector>

#include "common/error.hpp"

namespace shardrift {

std::int64_t halving_parts(int ranks) {
  return static_cast<std::int64_t>(std::bit_floor(static_cast<unsigned>(ranks)));
}

SumTree doubling_tree(int ranks) {
  const int pairs = ranks - static_cast<int>(halving_parts(ranks));
  std::vector<std::string> terms;
  for (int r = 0; r < 2 * pairs; r += 2) terms.push_back(fmt::format("({}+{})", r, r + 1));
  for (int r = 2 * pairs; r < ranks; ++r) terms.push_back(std::to_string(r));
  while (terms.size() > 1) {
    std::vector<std::string> halved;
    for (std::size_t i = 0; i < terms.size(); i += 2)
      halved.push_back(terms.size() == 2 ? terms[i] + "+" + terms[i + 1]
                                         : fmt::format("({}+{})", terms[i], terms[i + 1]));
    terms = std::move(halved);
  }
  return tree_from_string(terms.front());
}

OrderMap halving_doubling_map(std::int64_t count, int ranks) {
  if (ranks < 2 || ranks > SumTree::kMaxShards)
    throw usage_error("--reduction halving-doubling over {} ranks: 2 to {} can sum", ranks,
                      SumTree::kMaxShards);
  if (count < halving_parts(ranks))
    throw usage_error(
        "--reduction halving-doubling: a message of {} elements cannot be cut into {}, one for each rank, "
        "and is summed otherwise: use --reduction chain, as OpenMPI sums it",
        count, halving_parts(ranks));
  return uniform_map(doubling_tree(ranks), count);
}

}  // namespace shardrift
