// Quantizing at load (--quantize): the numbers of a matrix are replaced by those that the quantized matrix is
// read back as. Of the whole, unsharded matrix [rows, cols] as the model has it, before any slice is cut, so
// that every number of shards, ranks and stages computes with the same weights. In float32 throughout,
// whatever the run's dtype: divided by the scale, rounded half to even, multiplied by the scale.
#pragma once
#include <array>
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

// Scales as they are kept beside codes: of each row, one, or one of each kScaleColumns columns.
inline constexpr std::int64_t kScaleColumns = 64;
bool has_row_scales(Quantization kind);
std::int64_t scales_of_row(Quantization kind, std::int64_t cols);

// values: such rows, row-major, all finite. Writes their scales, too, [rows, scales_of_row], unless null:
// each value is then what its code stands for (an integer, kNormalFloat, an e4m3) times its scale.
void quantize_rows(Quantization kind, std::span<float> values, std::int64_t cols, float* scales = nullptr);

// bitsandbytes' NF4: the codes' values, in float32 as there.
inline constexpr std::array<float, 16> kNormalFloat{
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};

}  // namespace shardrift
