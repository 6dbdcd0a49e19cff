// Most formats alike: a row is codes of a few bits, and groups of its columns have a scale and a zero. The
// format says where they lie; this makes numbers of them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/dtype.hpp"
#include "parallel/plan/dealing.hpp"

namespace shardrift {

struct ScaledCodes {
  std::int64_t cols = 0;
  int bits = 8;                        // of a code, at most 8
  std::int64_t group_size = 0;         // columns of a group, one after another; the last may be short
  std::vector<std::int32_t> group_of;  // else each column's group
  std::int64_t groups = 0;             // of a row
  const float* values = nullptr;       // what codes stand for; null: code - zero
  DType dtype = DType::float32;  // float32, float16 or bfloat16: value · scale, in float32, is rounded to it

  // The codes of these rows, one below the other. Asked for in runs of at most kTileRows rows, which do not
  // go beyond a multiple of it: in some formats several rows lie in one word.
  std::function<void(Range rows, std::uint8_t* codes)> unpack;
  // A row's scale and zero of each group. Zeros come in as 0.
  std::function<void(std::int64_t row, float* scales, std::int32_t* zeros)> groups_of_row;
};

inline constexpr std::int64_t kTileRows = 64;

void decode(const ScaledCodes& matrix, Range rows, std::byte* out);

// Codes of `bits` bits, packed from the lowest bit of the first word on: `count` from code number `first`.
// Word i is words[i · stride].
void unpack_words(const std::byte* words, std::int64_t stride, int bits, std::int64_t first,
                  std::int64_t count, std::uint8_t* codes);

}  // namespace shardrift
