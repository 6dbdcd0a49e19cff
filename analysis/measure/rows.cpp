#include "analysis/measure/rows.hpp"

#include <algorithm>
#include <functional>

#include "analysis/measure/lanes.hpp"
#include "common/clones.hpp"

namespace shardrift::analysis {
namespace {

using namespace lanes;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kBlock =
    64;  // elements whose maximum is known: blocks below the k-th maximum are skipped

using Words16 __attribute__((vector_size(16))) = std::uint16_t;
using Words32 __attribute__((vector_size(32))) = std::uint32_t;
using Floats __attribute__((vector_size(32))) = float;

SHARDRIFT_INLINE Floats from_bfloat16(const Words16& words) {
  return (Floats)(__builtin_convertvector(words, Words32) << 16);
}

// binary16 to binary32: the fields in place, the exponent's bias put right by a multiplication, which is
// exact for subnormals too.
SHARDRIFT_INLINE Floats from_float16(const Words16& words) {
  const Words32 wide = __builtin_convertvector(words, Words32);
  const Words32 fields = (wide & 0x7FFFU) << 13;
  const Words32 scaled = (Words32)((Floats)fields * 0x1p112F);
  const Words32 special = fields | 0x7F800000U;  // NaN keeps its payload
  const Words32 value = fields >= 0x0F800000U ? special : scaled;
  return (Floats)(value | ((wide & 0x8000U) << 16));
}

SHARDRIFT_INLINE Floats from_float32(const Floats& words) {
  return words;
}

template <typename Stored, auto widen_eight>
SHARDRIFT_INLINE void widen_words(const std::byte* words, double* out, std::size_t count) {
  constexpr std::size_t kBytes = sizeof(Stored) / kLanes;
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    store(out + i, __builtin_convertvector(widen_eight(load<Stored>(words + i * kBytes)), Doubles));
  if (i == count) return;
  Stored rest{};
  std::memcpy(&rest, words + i * kBytes, (count - i) * kBytes);
  const Doubles wide = __builtin_convertvector(widen_eight(rest), Doubles);
  std::memcpy(out + i, &wide, (count - i) * sizeof(double));
}

SHARDRIFT_CLONES void widen_bfloat16(const std::byte* words, double* out, std::size_t count) {
  widen_words<Words16, from_bfloat16>(words, out, count);
}
SHARDRIFT_CLONES void widen_float16(const std::byte* words, double* out, std::size_t count) {
  widen_words<Words16, from_float16>(words, out, count);
}
SHARDRIFT_CLONES void widen_float32(const std::byte* words, double* out, std::size_t count) {
  widen_words<Floats, from_float32>(words, out, count);
}

// The maximum of every kBlock elements, -infinity where all are NaN.
SHARDRIFT_CLONES void block_maxima(const double* row, std::size_t count, double* out) {
  std::size_t begin = 0;
  for (; begin + kBlock <= count; begin += kBlock) {
    Doubles best = all(-kInfinity);
    for (std::size_t i = 0; i < kBlock; i += kLanes) best = larger(load<Doubles>(row + begin + i), best);
    *out++ = largest_of(best);
  }
  if (begin == count) return;
  double best = -kInfinity;
  for (; begin < count; ++begin) best = row[begin] > best ? row[begin] : best;
  *out = best;
}

SHARDRIFT_CLONES double exp_all(const double* row, std::size_t count, double top, double* out) {
  Doubles sum{};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Doubles value = exp_nonpositive(load<Doubles>(row + i) - top);
    store(out + i, value);
    sum += value;
  }
  if (i < count) {
    const Doubles value = exp_nonpositive(load_some(row + i, count - i, -kInfinity) - top);
    std::memcpy(out + i, &value, (count - i) * sizeof(double));
    sum += value;
  }
  return sum_of(sum);
}

}  // namespace

void widen(DType dtype, const std::byte* words, std::span<double> out) {
  switch (storage_of(dtype)) {
    case DType::float64:
      std::memcpy(out.data(), words, out.size_bytes());
      return;
    case DType::bfloat16:
      return widen_bfloat16(words, out.data(), out.size());
    case DType::float16:
      return widen_float16(words, out.data(), out.size());
    default:
      return widen_float32(words, out.data(), out.size());
  }
}

Top TopFinder::find(std::span<const double> row, std::size_t k) {
  k = std::max<std::size_t>(k, 2);  // the margin needs the second
  block_max_.resize((row.size() + kBlock - 1) / kBlock);
  block_maxima(row.data(), row.size(), block_max_.data());
  // At least k elements are at or above the k-th largest block maximum.
  double least = -kInfinity;
  if (block_max_.size() > k) {
    sorted_max_ = block_max_;
    const auto kth = sorted_max_.begin() + static_cast<std::ptrdiff_t>(k - 1);
    std::nth_element(sorted_max_.begin(), kth, sorted_max_.end(), std::greater<>());
    least = *kth;
  }
  entries_.clear();
  for (std::size_t block = 0; block < block_max_.size(); ++block) {
    if (!(block_max_[block] >= least)) continue;
    const std::size_t end = std::min(row.size(), (block + 1) * kBlock);
    for (std::size_t i = block * kBlock; i < end; ++i)
      if (row[i] >= least) entries_.push_back({row[i], static_cast<std::int64_t>(i)});
  }
  const auto first = std::min(k, entries_.size());
  std::partial_sort(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(first), entries_.end(),
                    [](const Entry& a, const Entry& b) {
                      return a.value > b.value || (a.value == b.value && a.id < b.id);
                    });
  Top top{0, -kInfinity, 0, 0};
  if (!entries_.empty()) {
    top.id = entries_[0].id;
    top.value = entries_[0].value;
    top.count = std::count_if(entries_.begin(), entries_.end(),
                              [&](const Entry& entry) { return entry.value == top.value; });
  }
  const double second = entries_.size() > 1 ? entries_[1].value : -kInfinity;
  top.margin = top.count > 1 ? 0.0 : top.value - second;
  ids_.clear();
  for (std::size_t i = 0; i < first; ++i) ids_.push_back(entries_[i].id);
  std::sort(ids_.begin(), ids_.end());
  return top;
}

std::int64_t TopFinder::above(std::span<const double> row, double value) const {
  std::int64_t count = 0;
  for (std::size_t block = 0; block < block_max_.size(); ++block) {
    if (!(block_max_[block] > value)) continue;
    const std::size_t end = std::min(row.size(), (block + 1) * kBlock);
    for (std::size_t i = block * kBlock; i < end; ++i) count += row[i] > value ? 1 : 0;
  }
  return count;
}

Top top_of(std::span<const double> row) {
  return TopFinder().find(row, 2);
}

double exp_nonpositive(double x) {
  return lanes::exp_nonpositive(all(x))[0];
}

double exp_row(std::span<const double> row, double top, std::span<double> out) {
  return exp_all(row.data(), row.size(), top, out.data());
}

double probability(std::span<const double> row, std::int64_t id) {
  std::vector<double> scratch(row.size());
  const double sum = exp_row(row, top_of(row).value, scratch);
  return scratch[static_cast<std::size_t>(id)] / sum;
}

}  // namespace shardrift::analysis
