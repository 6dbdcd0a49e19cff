// Quantizing at load (--quantize): the numbers of a matrix are replaced by those that the quantized matrix is
// read back as. Of the whole, unsharded matrix [rows, cols] as the model has it, before any slice is cut, so
// that every number of shards, ranks and stages computes with the same weights. In float32 throughout,
// whatever the run's dtype: divided by the scale, rounded half to even, multiplied by the scale.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "parallel/plan/dealing.hpp"
#include "parallel/plan/plan.hpp"
#include "weights/part.hpp"

namespace shardrift {

// The linears inside layers, experts' too. As quantizers do, embedding, head, norms, biases and routers are
// left as they are.
bool is_quantized(Part part);

// Throws usage_error where both quantize: `coding`, the checkpoint's own (codings/matrix_coding.hpp); empty:
// none. flag: by which the kind was asked for.
inline constexpr std::string_view kQuantizeFlag = "--quantize";
void refuse_quantized_twice(Quantization kind, const std::string& coding,
                            std::string_view flag = kQuantizeFlag);

// Of `rows` of a matrix all those that share a scale with them.
Range rows_quantized_with(Quantization kind, Range rows, std::int64_t matrix_rows);

// values: such rows, row-major, all finite.
void quantize_rows(Quantization kind, std::span<float> values, std::int64_t cols);

}  // namespace shardrift
