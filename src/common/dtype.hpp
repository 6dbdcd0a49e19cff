// Element types of weights, activations and logits, without torch.
#pragma once
#include <cstddef>
#include <cstdint>

#include "common/named_enum.hpp"

namespace shardrift {

// tf32 is a way to multiply float32 numbers on a GPU, not a storage type: its elements are float32.
enum class DType { float64, float32, tf32, float16, bfloat16 };
constexpr auto names_of(DType) {
  return std::to_array<Named<DType>>({{DType::float64, "float64"},
                                      {DType::float32, "float32"},
                                      {DType::tf32, "tf32"},
                                      {DType::float16, "float16"},
                                      {DType::bfloat16, "bfloat16"}});
}

std::size_t size_of(DType dtype);  // bytes of one element
DType storage_of(DType dtype);     // tf32 -> float32, others themselves

// Exact widening of the 16-bit types. Source: IEEE 754 binary16; bfloat16 is the upper half of binary32.
float float_from_bfloat16(std::uint16_t bits);
float float_from_float16(std::uint16_t bits);
// Round to nearest even; NaN stays NaN.
std::uint16_t bfloat16_from_float(float value);
std::uint16_t float16_from_float(float value);

// The value as an element of that dtype: rounded once to float32, then to 16 bits.
double rounded_to(DType dtype, double value);

}  // namespace shardrift
