// Element-wise sums of 16-bit floats as a collective's hop makes them: both operands widened exactly to
// float32, added, rounded to nearest even. float32 holds the sum of two 16-bit floats well enough that this
// is the one correctly rounded result (double rounding is harmless: 24 >= 2 · 11 + 2, Figueroa 1995).
#pragma once
#include <cstdint>

namespace shardrift {

// inout[i] = in[i] + inout[i]
void add_float16(const std::uint16_t* in, std::uint16_t* inout, std::int64_t count);
void add_bfloat16(const std::uint16_t* in, std::uint16_t* inout, std::int64_t count);

}  // namespace shardrift
