// Reveals in which order a sum over 2 to 8 ranks adds, for every element of a message at once: FPRev's method
// (arXiv 2411.00442). For every pair of ranks i < j one call: rank i sends M, rank j sends -M, all others a
// small unit, so small that M + unit = M in every accumulator. Units added before M and -M have met vanish;
// what survives at an element counts the ranks outside the smallest subtree that holds i and j. N (N-1) / 2
// such counts are a tree. One more call sums random numbers, to see where the sum rounds and that the tree
// explains every bit.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/dtype.hpp"
#include "parallel/reduction/order_map.hpp"
#include "parallel/reduction/reduction.hpp"

namespace shardrift {

inline constexpr int kMaxProbeRanks = 8;

// Fills the whole partial that one rank contributes: count elements of the message's dtype.
using FillPartial = std::function<void(int rank, void* partial)>;

// One sum of the message, probed from outside: asks `fill` for the partials of the ranks that live here, and
// leaves the sum, count elements in host memory, in `out`. Where it is a collective, every rank calls it
// alike.
using ProbedSum = std::function<void(const FillPartial& fill, void* out)>;

constexpr int kNotBinary = -1;

struct ProbeResult {
  int ranks = 0;
  std::int64_t count = 0;
  DType dtype = DType::float32;
  int calls = 0;                       // sums that were made
  std::vector<OrderSegment> segments;  // as in OrderMap; tree kNotBinary: no binary tree gives what was seen
  std::vector<SumTree> trees;
  // Where the sum rounds: what reproduces the sum of random numbers, bit for bit, of several that do the
  // expected, else the narrowest; nullopt where nothing does, then first_unexplained is the first element
  // that the found trees do not explain (-1: not examined).
  std::optional<Accumulator> accumulator;
  std::int64_t first_unexplained = -1;

  std::int64_t first_not_binary() const;  // -1 where there is none
  // The map that predicts this sum. Throws failure naming the first element that is no binary tree, or that
  // the trees do not explain.
  OrderMap map() const;
};

// `examine` makes the last call, the one of random numbers; `expected` is looked at first. Throws usage_error
// for other than 2 to 8 ranks, failure for a count below 1.
ProbeResult probe_sum(int ranks, std::int64_t count, DType dtype, const ProbedSum& sum, bool examine = true,
                      Accumulator expected = Accumulator::message);

// "[0, 1024) ((1+2)+3)+0 / [1024, 2048) not binary", at most `most` segments.
std::string describe(const ProbeResult& result, int most = 8);

// Random normal numbers of rank `rank` in `dtype`, the same on every machine: what the last call sums.
void fill_random(int rank, std::int64_t count, DType dtype, void* partial);

}  // namespace shardrift
