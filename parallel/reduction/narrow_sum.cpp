#include "parallel/reduction/narrow_sum.hpp"

#include <array>

#include "parallel/reduction/sum_in_turn.hpp"

namespace shardrift {

void add_float16(const std::uint16_t* in, std::uint16_t* inout, std::int64_t count) {
  sum_in_turn(std::array<const void*, 2>{in, inout}, count, DType::float16, inout);
}

void add_bfloat16(const std::uint16_t* in, std::uint16_t* inout, std::int64_t count) {
  sum_in_turn(std::array<const void*, 2>{in, inout}, count, DType::bfloat16, inout);
}

}  // namespace shardrift
