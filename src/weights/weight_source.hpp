// The matrices of the unsharded model, as they are to be computed with, out of whatever the checkpoint
// stores: found by the architecture's names, taken out of packed tensors. Whole rows, because what is done to
// a weight as a whole (to dequantize it, to quantize it) is done here, before any slice is cut: so every
// number of shards sees the same weights.
#pragma once
#include <cstdint>
#include <vector>

#include "weights/architectures/architecture.hpp"
#include "weights/safetensors.hpp"
#include "weights/wrapping.hpp"

namespace shardrift {

class WeightSource {
 public:
  // All must outlive it. Without an architecture: the one the model names.
  WeightSource(const Checkpoint& checkpoint, const ModelConfig& model);
  WeightSource(const Checkpoint& checkpoint, const ModelConfig& model, const Architecture& architecture);

  // Rows [rows.begin, rows.end) of the part, all its columns, in the checkpoint's dtype; valid until the next
  // call. Throws bad_data naming the tensor: missing, or of another shape than config.json asks for.
  TensorView rows(Part part, std::int64_t layer, Range rows);
  TensorView whole(Part part, std::int64_t layer = 0);

 private:
  const Checkpoint& checkpoint_;
  const ModelConfig& model_;
  const Architecture& architecture_;
  Wrapping wrapping_;
  std::vector<std::byte> unpacked_;
};

}  // namespace shardrift
