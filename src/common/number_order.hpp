// Floating-point numbers ordered by their stored bits. Integers, because loops over them are compiled to
// vectors whatever NaN and -0 would ask of a comparison of numbers.
#pragma once
#include <limits>

namespace shardrift {

// A number's bits as an integer of the same order: IEEE 754 numbers are sorted by sign and magnitude.
template <typename Signed>
constexpr Signed ordered(Signed bits) {
  return bits < 0 ? static_cast<Signed>(bits ^ std::numeric_limits<Signed>::max()) : bits;
}

// 0 and -0 are equal: the key of either, so that the first of them is taken.
template <typename Signed>
constexpr Signed same_zeros(Signed key) {
  return key == -1 ? Signed{0} : key;
}

}  // namespace shardrift
