// Element types of weights, activations and logits, without torch.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace shardrift {

// tf32 is a way to multiply float32 numbers on a GPU, not a storage type: its elements are float32.
enum class DType { float64, float32, tf32, float16, bfloat16 };

std::size_t size_of(DType dtype);              // bytes of one element
std::string_view name_of(DType dtype);         // "float32", …
DType dtype_from_name(std::string_view name);  // throws usage_error on another name
DType storage_of(DType dtype);                 // tf32 -> float32, others themselves

// Exact widening of the 16-bit types. Source: IEEE 754 binary16; bfloat16 is the upper half of binary32.
float float_from_bfloat16(std::uint16_t bits);
float float_from_float16(std::uint16_t bits);
// Round to nearest even; NaN stays NaN.
std::uint16_t bfloat16_from_float(float value);
std::uint16_t float16_from_float(float value);

}  // namespace shardrift
