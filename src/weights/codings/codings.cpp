#include "common/error.hpp"
#include "weights/codings/matrix_coding.hpp"

namespace shardrift {

std::unique_ptr<MatrixCoding> matrix_coding(const ModelConfig& model, const Checkpoint& checkpoint) {
  if (model.quantization.empty()) return nullptr;
  throw bad_data(
      "{}: quantization_config in config.json: this version reads unquantized checkpoints only (use the "
      "original one)",
      checkpoint.directory().string());
}

}  // namespace shardrift
