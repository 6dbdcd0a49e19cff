// What the folds of both devices are tested on: orders, dtypes, accumulators and partials whose sums round,
// carry -0, infinities, NaN and subnormals. Header only: the CPU and the GPU test share it.
#pragma once
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "common/dtype.hpp"
#include "parallel/reduction/reduction.hpp"
#include "parallel/reduction/scalar_fold.hpp"

namespace shardrift::testing {

using Bytes = std::vector<std::byte>;

inline void put_value(double value, DType dtype, std::byte* at) {
  const auto narrow = static_cast<float>(value);
  if (dtype == DType::float64) {
    std::memcpy(at, &value, 8);
  } else if (dtype == DType::float32) {
    std::memcpy(at, &narrow, 4);
  } else {
    const std::uint16_t word =
        dtype == DType::float16 ? float16_from_float(narrow) : bfloat16_from_float(narrow);
    std::memcpy(at, &word, 2);
  }
}

inline double value_at(const Bytes& bytes, DType dtype, std::size_t i) {
  const std::byte* at = bytes.data() + i * size_of(dtype);
  if (dtype == DType::float64) {
    double value = 0;
    std::memcpy(&value, at, 8);
    return value;
  }
  if (dtype == DType::float32) {
    float value = 0;
    std::memcpy(&value, at, 4);
    return value;
  }
  std::uint16_t word = 0;
  std::memcpy(&word, at, 2);
  return dtype == DType::float16 ? float_from_float16(word) : float_from_bfloat16(word);
}

// Normal numbers of like size mostly; one in four elements of a random kind that folds get wrong first.
inline Bytes awkward_words(std::int64_t count, DType dtype, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0.0, 30.0);
  const double tiny = dtype == DType::float16   ? 0x1p-24
                      : dtype == DType::float64 ? std::numeric_limits<double>::denorm_min()
                      : dtype == DType::float32 ? 0x1p-149
                                                : 0x1p-133;
  const double huge = dtype == DType::float16   ? 65504.0
                      : dtype == DType::float64 ? std::numeric_limits<double>::max()
                      : dtype == DType::float32 ? static_cast<double>(std::numeric_limits<float>::max())
                                                : 0x1.FEp127;
  Bytes bytes(static_cast<std::size_t>(count) * size_of(dtype));
  for (std::int64_t i = 0; i < count; ++i) {
    double value = normal(random);
    const double sign = value < 0 ? -1.0 : 1.0;
    switch (random() % 32) {
      case 0:
      case 1:
        value = -0.0;
        break;
      case 2:
        value = sign * tiny * static_cast<double>(random() % 2000);
        break;
      case 3:
        value = sign * huge * (random() % 2 == 0 ? 1.0 : 0.5);
        break;
      case 4:
        value = random() % 16 == 0 ? sign * INFINITY : 0.0;
        break;
      case 5:
        value = random() % 64 == 0 ? NAN : value * 1024;
        break;
      case 6:
        value = sign * std::ldexp(1.0, static_cast<int>(random() % 20) - 10);
        break;
      case 7:
        value /= 4096;
        break;
      default:
        break;
    }
    put_value(value, dtype, bytes.data() + static_cast<std::size_t>(i) * size_of(dtype));
  }
  return bytes;
}

// Index of the first element whose bits differ, NaN equal to NaN whatever its payload; -1 where there is
// none.
inline std::int64_t first_difference(const Bytes& a, const Bytes& b, DType dtype) {
  const std::size_t size = size_of(dtype);
  for (std::size_t i = 0; i < a.size() / size; ++i)
    if (std::memcmp(a.data() + i * size, b.data() + i * size, size) != 0 &&
        !(std::isnan(value_at(a, dtype, i)) && std::isnan(value_at(b, dtype, i))))
      return static_cast<std::int64_t>(i);
  return -1;
}

// Every kind of order for S shards.
inline std::vector<std::string> orders_for(int shards) {
  std::vector<std::string> orders{"linear", "chain", "ring", "tree", "exact"};
  if (shards <= 8)
    for (const auto index : {tree_count(shards) - 1, tree_count(shards) / 2})
      orders.push_back("tree:" + std::to_string(index));
  std::string permutation = "perm:";  // odd shards, then even ones downwards
  for (int s = 1; s < shards; s += 2) permutation += std::to_string(s) + ",";
  for (int s = (shards - 1) / 2 * 2; s >= 0; s -= 2) permutation += std::to_string(s) + (s > 0 ? "," : "");
  orders.push_back(permutation);
  return orders;
}

struct FoldDTypes {
  DType partial;
  DType out;
};
inline std::vector<FoldDTypes> fold_dtypes() {
  std::vector<FoldDTypes> all;
  for (const auto dtype : {DType::float64, DType::float32, DType::float16, DType::bfloat16})
    all.push_back({dtype, dtype});
  all.push_back({DType::float32, DType::float16});
  all.push_back({DType::float32, DType::bfloat16});
  return all;
}

// Calls check(order map, dtypes, accumulator, partials, stride, the reference's result, what it is) on all of
// them.
template <typename F>
void for_each_fold(const std::vector<int>& shard_counts, const std::vector<std::int64_t>& counts, F&& check) {
  unsigned seed = 1;
  for (const int shards : shard_counts) {
    for (const std::int64_t count : counts) {
      for (const auto dtypes : fold_dtypes()) {
        const std::int64_t padded =
            (count + 127) / 128 * 128;  // strides of whole 256-byte lines, as Forward's
        const std::size_t stride = static_cast<std::size_t>(padded) * size_of(dtypes.partial);
        const Bytes partials = awkward_words(padded * shards, dtypes.partial, seed++);
        for (const auto& order : orders_for(shards)) {
          const OrderMap map = local_order_map(reduction_from_text(order), shards, count);
          for (const auto accumulator : {Accumulator::message, Accumulator::float32, Accumulator::float64}) {
            if (dtypes.partial == DType::float64 && accumulator == Accumulator::float32) continue;
            Bytes expected(static_cast<std::size_t>(count) * size_of(dtypes.out));
            scalar_fold(partials.data(), stride, dtypes.partial, map, accumulator, expected.data(),
                        dtypes.out);
            check(map, dtypes, accumulator, partials, stride, expected,
                  order + ", " + std::to_string(shards) + " shards, " + std::to_string(count) +
                      " elements, " + std::string(name_of(dtypes.partial)) + " to " +
                      std::string(name_of(dtypes.out)) + ", " + std::string(name_of(accumulator)));
          }
        }
      }
    }
  }
}

}  // namespace shardrift::testing
