// The matrices of the unsharded model, as they are to be computed with, out of whatever the checkpoint
// stores: found by the architecture's names, taken out of packed tensors. Whole rows, because what is done to
// a weight as a whole (to dequantize it, to quantize it) is done here, before any slice is cut: so every
// number of shards sees the same weights.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "parallel/plan/plan.hpp"
#include "weights/architectures/architecture.hpp"
#include "weights/codings/matrix_coding.hpp"
#include "weights/safetensors.hpp"
#include "weights/wrapping.hpp"

namespace shardrift {

class WeightSource {
 public:
  // All must outlive it. Without an architecture: the one the model names.
  WeightSource(const Checkpoint& checkpoint, const ModelConfig& model);
  WeightSource(const Checkpoint& checkpoint, const ModelConfig& model, const Architecture& architecture);

  // From here on the linears inside layers are quantized and dequantized (weights/quantize.hpp), in float32.
  // Throws usage_error where the checkpoint is quantized already.
  void quantize(Quantization kind);

  // Rows [rows.begin, rows.end) of the part, all its columns, in the checkpoint's dtype, in that which its
  // coding decodes to, or float32 where they are quantized; valid until the next call. Throws bad_data naming
  // the tensor: missing, of another shape than config.json asks for, or coded wrongly; where it is quantized
  // also a number that is infinite or NaN.
  TensorView rows(Part part, std::int64_t layer, Range rows, std::int64_t expert = 0);
  // The scales of the rows that were asked for last, where they are quantized: [rows, scales_of_row].
  const float* scales() const { return scales_of_rows_; }
  TensorView whole(Part part, std::int64_t layer = 0, std::int64_t expert = 0);

 private:
  TensorView plain_rows(Part part, std::int64_t layer, Range rows, std::int64_t expert);
  TensorView quantized_rows(Part part, std::int64_t layer, Range rows, std::int64_t expert);
  TensorView decoded(const std::string& name, const std::vector<std::int64_t>& matrix, Range rows);
  TensorView transposed_rows(const TensorView& tensor, std::int64_t cols, std::int64_t height,
                             const std::vector<std::int64_t>& rows);

  const Checkpoint& checkpoint_;
  const ModelConfig& model_;
  const Architecture& architecture_;
  Wrapping wrapping_;
  std::unique_ptr<MatrixCoding> coding_;  // null: all is plain
  std::vector<std::byte> decoded_;
  std::vector<std::byte> unpacked_;
  Quantization quantization_ = Quantization::none;
  std::vector<float> quantized_;
  std::vector<float> scales_;
  const float* scales_of_rows_ = nullptr;
};

}  // namespace shardrift
