#include "parallel/order_models/nccl_symmetric.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/error.hpp"

namespace shardrift {
namespace {

constexpr int kMostBlocks = 64;
constexpr int kWarps = 4;                  // cells are dealt in fours
constexpr std::int64_t kScheduled = 1024;  // bytes: what the scheduler deals to blocks
constexpr std::int64_t kLongCell = 2048;   // bytes: 4 packs of 16 for each of a warp's 32 threads
constexpr std::int64_t kShortCell = 512;   // 4 packs of 4
constexpr std::int64_t kThreads = 32;      // of a warp, an element each

std::int64_t rounded_up(std::int64_t value, std::int64_t grain) {
  return (value + grain - 1) / grain * grain;
}

// What a kernel costs, in microseconds, as NCCL reckons it.
struct Cost {
  double bytes = 0;    // that a rank sends or receives
  double latency = 0;  // of the kernel alone
  double at(int blocks) const {
    constexpr double kGigabyte = (1 << 30) / 1e6;  // a second, in bytes a microsecond
    constexpr double kBlock = 65 * kGigabyte;
    constexpr double kPeak = 320 * kGigabyte;
    // Smoothly no more than the peak, and no less than one microsecond's worth is free.
    const double bandwidth =
        kPeak - kBlock * std::log1p((std::exp(kPeak / kBlock) - 1) * std::exp(-blocks * kBlock / kBlock));
    const double over = bytes / bandwidth - 1;
    return latency + (over >= 100 ? over : std::log1p(std::exp(over)));
  }
};

struct Priced {
  float microseconds = 0;
  int blocks = 0;
};

// The fewest blocks within 2.5 % of what the most would take.
Priced priced(const Cost& cost) {
  Priced best{static_cast<float>(cost.at(kMostBlocks)), kMostBlocks};
  for (int blocks = 1; blocks < kMostBlocks; ++blocks)
    if (cost.at(blocks) <= 1.025 * static_cast<double>(best.microseconds))
      return {static_cast<float>(cost.at(blocks)), blocks};
  return best;
}

// Every block held is worth another 2.5 %.
float penalised(const Priced& price) {
  return price.microseconds * (1.0F + 0.025F * static_cast<float>(price.blocks));
}

class CellDealer {
 public:
  CellDealer(std::int64_t count, int ranks) : map_(count), left_(count) {
    std::vector<int> order(static_cast<std::size_t>(ranks));
    for (int owner = 0; owner < ranks; ++owner) {
      for (int k = 0; k < ranks; ++k) order[static_cast<std::size_t>(k)] = (owner + k) % ranks;
      owners_.push_back(left_to_right(order));
    }
  }
  // The next `elements` in cells of so many, the last perhaps short; cell 0 is rank 0's.
  void deal(std::int64_t elements, std::int64_t cell) {
    left_ -= elements;
    for (std::size_t owner = 0; elements > 0; owner = (owner + 1) % owners_.size()) {
      map_.append(std::min(cell, elements), owners_[owner]);
      elements -= cell;
    }
  }
  std::int64_t left() const { return left_; }
  OrderMap finish() { return map_.finish(); }

 private:
  OrderMapBuilder map_;
  std::int64_t left_;
  std::vector<SumTree> owners_;
};

}  // namespace

NcclSymmetricKernel nccl_symmetric_kernel(std::int64_t bytes, int ranks) {
  const std::int64_t whole = rounded_up(bytes, kScheduled);
  // Low latency: every rank is sent all of everyone's, which costs nine times its bytes.
  const auto low_latency = priced({static_cast<double>(ranks * whole) * 9, 4.5});
  const auto cells = priced({static_cast<double>(2 * whole * (ranks - 1) / ranks), 7.8});
  const bool small = bytes < (std::int64_t{2} << 30) && !(penalised(cells) < penalised(low_latency));
  const std::int64_t pieces = whole / kScheduled;
  const int most = small ? low_latency.blocks : cells.blocks;
  const std::int64_t each = std::max<std::int64_t>(1, (pieces + most - 1) / most);
  return {small, static_cast<int>(std::max<std::int64_t>(1, (pieces + each - 1) / each))};
}

OrderMap nccl_symmetric_cells(std::int64_t count, DType dtype, int ranks, int blocks) {
  const auto size = static_cast<std::int64_t>(size_of(dtype));
  CellDealer dealer(count, ranks);
  for (const auto cell : {kLongCell, kShortCell}) {
    const std::int64_t round = kWarps * cell * ranks * blocks / size;
    dealer.deal(dealer.left() / round * round, cell / size);
  }
  dealer.deal(dealer.left(), kThreads);
  return dealer.finish();
}

OrderMap nccl_symmetric_map(std::int64_t count, DType dtype, int ranks) {
  if (ranks < 2 || ranks > SumTree::kMaxShards)
    throw usage_error("--reduction nccl-symmetric over {} ranks: 2 to {} can sum", ranks,
                      SumTree::kMaxShards);
  if (dtype == DType::float64)
    throw usage_error(
        "--reduction nccl-symmetric: NCCL {} sums float64 messages by its other kernels; use --reduction "
        "profile with a profile of them",
        kNcclSymmetricVersion);
  const auto kernel = nccl_symmetric_kernel(count * static_cast<std::int64_t>(size_of(dtype)), ranks);
  if (kernel.low_latency) return uniform_map(linear_tree(ranks), count);
  return nccl_symmetric_cells(count, dtype, ranks, kernel.blocks);
}

}  // namespace shardrift
