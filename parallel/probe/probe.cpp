#include "parallel/probe/probe.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "common/error.hpp"
#include "parallel/reduction/scalar_fold.hpp"

namespace shardrift {
namespace {

// M and unit of a dtype. M + 7 units = M must hold in the dtype and in any wider accumulator but float64
// under 16-bit floats of small range; 0 to 6 units must be exact in the dtype.
struct Numbers {
  double mass;
  double unit;
};

Numbers numbers_of(DType dtype) {
  switch (storage_of(dtype)) {
    case DType::float64:
      return {0x1p1000, 1};
    case DType::float16:
      // The whole range: the largest power of two, and the smallest normal number (a subnormal could be
      // flushed). 2^29 apart: absorbed by float32's 24 bits; a float64 accumulator would not, and is named
      // not binary.
      return {0x1p15, 0x1p-14};
    default:
      return {0x1p120, 1};  // float32, bfloat16: 8 bits hold the counts
  }
}

std::uint64_t word_of(double value, DType dtype) {
  std::uint64_t word = 0;
  const auto narrow = static_cast<float>(value);
  switch (storage_of(dtype)) {
    case DType::float64:
      std::memcpy(&word, &value, sizeof value);
      break;
    case DType::float16:
      word = float16_from_float(narrow);
      break;
    case DType::bfloat16:
      word = bfloat16_from_float(narrow);
      break;
    default:
      std::memcpy(&word, &narrow, sizeof narrow);
  }
  return word;
}

double value_at(const std::byte* data, DType dtype) {
  std::uint16_t half = 0;
  switch (storage_of(dtype)) {
    case DType::float64: {
      double value = 0;
      std::memcpy(&value, data, sizeof value);
      return value;
    }
    case DType::float16:
      std::memcpy(&half, data, sizeof half);
      return static_cast<double>(float_from_float16(half));
    case DType::bfloat16:
      std::memcpy(&half, data, sizeof half);
      return static_cast<double>(float_from_bfloat16(half));
    default: {
      float value = 0;
      std::memcpy(&value, data, sizeof value);
      return static_cast<double>(value);
    }
  }
}

void fill_constant(double value, std::int64_t count, DType dtype, void* partial) {
  const std::uint64_t word = word_of(value, dtype);
  const std::size_t bytes = size_of(dtype);
  auto* out = static_cast<std::byte*>(partial);
  std::memcpy(out, &word, bytes);  // little-endian; then double what is there
  const std::size_t all = bytes * static_cast<std::size_t>(count);
  for (std::size_t have = bytes; have < all;) {
    const std::size_t more = std::min(have, all - have);
    std::memcpy(out + have, out, more);
    have += more;
  }
}

constexpr std::uint8_t kNonsense = 0xFF;  // no whole number of units from 0 to N-2

// What survived of one pair's call, as a number of units.
std::uint8_t units_of(double value, double unit, int ranks) {
  const double units = value / unit;
  const bool whole = units >= 0 && units <= ranks - 2 && units == std::floor(units);
  return whole ? static_cast<std::uint8_t>(units) : kNonsense;
}

// Elements that answered every call alike are of one class; few classes exist, whatever the message's size.
class Classes {
 public:
  explicit Classes(std::int64_t count) : of_(static_cast<std::size_t>(count)), answers_(1) {}

  void add(const std::vector<std::byte>& sums, DType dtype, double unit, int ranks) {
    std::map<std::pair<std::int32_t, std::uint8_t>, std::int32_t> next;
    std::vector<std::vector<std::uint8_t>> answers;
    std::pair<std::int32_t, std::uint8_t> last{-1, 0};
    std::int32_t last_class = 0;
    const std::size_t bytes = size_of(dtype);
    for (std::size_t e = 0; e < of_.size(); ++e) {
      const std::pair key{of_[e], units_of(value_at(&sums[e * bytes], dtype), unit, ranks)};
      if (key != last) {  // neighbours are mostly alike
        const auto [place, fresh] = next.try_emplace(key, static_cast<std::int32_t>(answers.size()));
        if (fresh) {
          answers.push_back(answers_[static_cast<std::size_t>(key.first)]);
          answers.back().push_back(key.second);
        }
        last = key;
        last_class = place->second;
      }
      of_[e] = last_class;
    }
    answers_ = std::move(answers);
  }
  const std::vector<std::int32_t>& of() const { return of_; }
  const std::vector<std::vector<std::uint8_t>>& answers() const { return answers_; }

 private:
  std::vector<std::int32_t> of_;
  std::vector<std::vector<std::uint8_t>> answers_;  // by class, one for each pair so far
};

// The leaves under the smallest subtree of every pair, back to a tree.
class TreeFinder {
 public:
  TreeFinder(int ranks, const std::vector<std::uint8_t>& answers) {
    std::size_t pair = 0;
    for (int i = 0; i < ranks; ++i)
      for (int j = i + 1; j < ranks; ++j) {
        const std::uint8_t outside = answers[pair++];
        sound_ = sound_ && outside != kNonsense;
        leaves(i, j) = leaves(j, i) = ranks - outside;
      }
    for (int i = 0; i < ranks; ++i) all_.push_back(i);
  }

  std::optional<SumTree> find() const {
    std::string text;
    if (!sound_ || !spell(all_, true, text)) return std::nullopt;
    return tree_from_string(text);
  }

 private:
  int& leaves(int i, int j) { return leaves_[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)]; }
  int leaves(int i, int j) const { return leaves_[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)]; }

  // members form one subtree: those that meet the first only at its root are the other operand. A sum of
  // three or more operands at once (a multicast, a wide accumulator) leaves such a group without a consistent
  // split.
  bool spell(const std::vector<int>& members, bool outermost, std::string& text) const {
    if (members.size() == 1) {
      text += std::to_string(members.front());
      return true;
    }
    const auto size = static_cast<int>(members.size());
    std::vector<int> near{members.front()};
    std::vector<int> far;
    for (std::size_t k = 1; k < members.size(); ++k)
      (leaves(members.front(), members[k]) < size ? near : far).push_back(members[k]);
    if (far.empty()) return false;
    for (const int i : near)
      for (const int j : far)
        if (leaves(i, j) != size) return false;
    if (!within(near) || !within(far)) return false;
    if (!outermost) text += '(';
    if (!spell(near, false, text)) return false;
    text += '+';
    if (!spell(far, false, text)) return false;
    if (!outermost) text += ')';
    return true;
  }
  bool within(const std::vector<int>& members) const {
    for (const int i : members)
      for (const int j : members)
        if (i != j && leaves(i, j) > static_cast<int>(members.size())) return false;
    return true;
  }

  std::array<std::array<int, kMaxProbeRanks>, kMaxProbeRanks> leaves_{};
  std::vector<int> all_;
  bool sound_ = true;
};

void name_segments(const Classes& classes, ProbeResult& result) {
  std::vector<std::optional<std::int32_t>> tree_of(classes.answers().size());
  std::int32_t last = 0;
  for (std::int64_t e = 0; e < result.count; ++e) {
    const auto kind = static_cast<std::size_t>(classes.of()[static_cast<std::size_t>(e)]);
    if (!tree_of[kind]) {
      const auto tree = TreeFinder(result.ranks, classes.answers()[kind]).find();
      const auto known =
          tree ? std::find(result.trees.begin(), result.trees.end(), *tree) : result.trees.end();
      tree_of[kind] = tree ? static_cast<std::int32_t>(known - result.trees.begin()) : kNotBinary;
      if (tree && known == result.trees.end()) result.trees.push_back(*tree);
    }
    if (e == 0 || *tree_of[kind] != last) result.segments.push_back({e, e, *tree_of[kind]});
    last = *tree_of[kind];
    result.segments.back().end = e + 1;
  }
}

// First byte-wise difference as an element, or -1.
std::int64_t first_other(const std::vector<std::byte>& a, const std::vector<std::byte>& b,
                         std::size_t element) {
  const auto at = std::mismatch(a.begin(), a.end(), b.begin()).first;
  return at == a.end() ? -1 : (at - a.begin()) / static_cast<std::ptrdiff_t>(element);
}

// One sum of random numbers, folded by the found map with every accumulator.
void examine_rounding(const ProbedSum& sum, Accumulator expected, ProbeResult& result) {
  const std::size_t bytes = size_of(result.dtype) * static_cast<std::size_t>(result.count);
  std::vector<std::byte> live(bytes);
  sum([&](int rank, void* partial) { fill_random(rank, result.count, result.dtype, partial); }, live.data());
  ++result.calls;
  if (result.first_not_binary() >= 0) return;
  std::vector<std::byte> partials(bytes * static_cast<std::size_t>(result.ranks));
  for (int rank = 0; rank < result.ranks; ++rank)
    fill_random(rank, result.count, result.dtype, &partials[static_cast<std::size_t>(rank) * bytes]);
  const OrderMap map{result.count, result.segments, result.trees};
  std::vector<std::byte> folded(bytes);
  for (const auto accumulator :
       {expected, Accumulator::message, Accumulator::float32, Accumulator::float64}) {
    const bool narrower = accumulator == Accumulator::float32 && result.dtype == DType::float64;
    if (narrower) continue;
    scalar_fold(partials.data(), bytes, result.dtype, map, accumulator, folded.data(), result.dtype);
    const auto first = first_other(live, folded, size_of(result.dtype));
    if (first < 0) {
      result.accumulator = accumulator;
      result.first_unexplained = -1;
      return;
    }
    result.first_unexplained = std::max(result.first_unexplained, first);
  }
}

}  // namespace

std::int64_t ProbeResult::first_not_binary() const {
  for (const auto& segment : segments)
    if (segment.tree == kNotBinary) return segment.begin;
  return -1;
}

OrderMap ProbeResult::map() const {
  if (const auto first = first_not_binary(); first >= 0)
    throw failure(
        "element {} of a sum of {} {} elements over {} ranks is added by no binary tree (NVLink multicast, "
        "or an "
        "accumulator wider than float32); pin the ring: --nccl-algorithm ring",
        first, count, name_of(dtype), ranks);
  if (first_unexplained >= 0)
    throw failure("element {} of a sum of {} {} elements over {} ranks is not explained by its tree",
                  first_unexplained, count, name_of(dtype), ranks);
  return {count, segments, trees};
}

ProbeResult probe_sum(int ranks, std::int64_t count, DType dtype, const ProbedSum& sum, bool examine,
                      Accumulator expected) {
  if (ranks < 2 || ranks > kMaxProbeRanks)
    throw usage_error("a sum over {} ranks cannot be probed: 2 to {} can", ranks, kMaxProbeRanks);
  if (count < 1) throw failure("a sum of {} elements cannot be probed", count);
  ProbeResult result{ranks, count, storage_of(dtype), 0, {}, {}, std::nullopt, -1};
  const auto [mass, unit] = numbers_of(dtype);
  Classes classes(count);
  std::vector<std::byte> sums(size_of(dtype) * static_cast<std::size_t>(count));
  for (int i = 0; i < ranks; ++i)
    for (int j = i + 1; j < ranks; ++j) {
      const auto value = [=, mass = mass, unit = unit](int rank) {
        if (rank == i) return mass;
        return rank == j ? -mass : unit;
      };
      sum([&](int rank, void* partial) { fill_constant(value(rank), count, dtype, partial); }, sums.data());
      ++result.calls;
      classes.add(sums, dtype, unit, ranks);
    }
  name_segments(classes, result);
  if (examine) examine_rounding(sum, expected, result);
  return result;
}

std::string describe(const ProbeResult& result, int most) {
  std::string text;
  for (const auto& segment : result.segments) {
    if (!text.empty()) text += " / ";
    if (most-- <= 0) return text + fmt::format("… {} segments in all", result.segments.size());
    text += fmt::format("[{}, {}) {}", segment.begin, segment.end,
                        segment.tree == kNotBinary
                            ? std::string("not binary")
                            : to_string(result.trees[static_cast<std::size_t>(segment.tree)]));
  }
  return text;
}

void fill_random(int rank, std::int64_t count, DType dtype, void* partial) {
  // splitmix64 of (rank, element): the sum of four uniform numbers is normal enough, and exact arithmetic
  // makes it the same everywhere.
  const std::size_t bytes = size_of(dtype);
  auto* out = static_cast<std::byte*>(partial);
  for (std::int64_t e = 0; e < count; ++e) {
    std::uint64_t z = (static_cast<std::uint64_t>(rank + 1) << 48U) + static_cast<std::uint64_t>(e);
    z = (z + 0x9E3779B97F4A7C15U) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    z ^= z >> 31U;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z ^= z >> 27U;
    const auto sign_and_fraction = static_cast<double>(static_cast<std::int64_t>(z)) * 0x1p-63;
    const int scale = static_cast<int>(z & 7U) - 4;  // magnitudes spread over a few powers of two
    const std::uint64_t word = word_of(std::ldexp(sign_and_fraction, scale), dtype);
    std::memcpy(out + static_cast<std::size_t>(e) * bytes, &word, bytes);
  }
}

}  // namespace shardrift
