// float64 to a 16-bit float with one rounding, by way of float32: rounded to odd first, then to nearest even.
// Rounding to nearest twice would be wrong where the first rounding lands on a tie of the second.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace shardrift {

// The neighbour of value towards zero, its last bit set where something was cut off: 24 bits and a sticky
// one, which is all that rounding to 11 or 8 bits needs (subnormals included: float32's are finer than both
// types').
inline float odd_float_from(double value) {
  float near = static_cast<float>(value);
  if (std::isnan(value) || static_cast<double>(near) == value) return near;
  auto bits = std::bit_cast<std::uint32_t>(near);
  if (std::abs(static_cast<double>(near)) > std::abs(value)) --bits;  // towards zero; infinity to the largest
  return std::bit_cast<float>(bits | 1U);
}

}  // namespace shardrift
