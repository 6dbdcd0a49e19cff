#include "parallel/reduction/narrow_sum.hpp"

#include "common/dtype.hpp"

namespace shardrift {

void add_float16(const std::uint16_t* in, std::uint16_t* inout, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    inout[i] = float16_from_float(float_from_float16(in[i]) + float_from_float16(inout[i]));
}

void add_bfloat16(const std::uint16_t* in, std::uint16_t* inout, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    inout[i] = bfloat16_from_float(float_from_bfloat16(in[i]) + float_from_bfloat16(inout[i]));
}

}  // namespace shardrift
