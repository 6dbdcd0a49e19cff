// How a checkpoint codes matrices that are not stored as plain numbers: codes, with scales in tensors beside
// them. One file a format in this folder. Names and shapes are those that the architecture gives a matrix's
// tensor, always [out, in]; one with a leading dimension of experts, [experts, rows, cols], is the matrix
// [experts · rows, cols] here, a vector [1, n] or (a bias that is sliced) [n, 1].
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/dtype.hpp"
#include "parallel/plan/dealing.hpp"
#include "weights/model_config.hpp"
#include "weights/safetensors.hpp"

namespace shardrift {

class MatrixCoding {
 public:
  virtual ~MatrixCoding() = default;
  virtual std::string description() const = 0;     // for people and records: "GPTQ, 4 bits, groups of 128"
  virtual bool quantized() const { return true; }  // false: numbers are stored, in another order or shifted
  virtual bool holds(const std::string& matrix) const = 0;  // false: it is plain, or not there
  virtual std::vector<std::string> tensors(
      const std::string& matrix) const = 0;                  // of the checkpoint, that it is made of
  virtual DType dtype(const std::string& matrix) const = 0;  // of the decoded numbers
  // Throws bad_data naming file, tensor and value: a tensor beside it missing or of another shape or dtype,
  // sizes that do not divide. Looks at names, shapes and dtypes alone.
  virtual void check(const std::string& matrix, const std::vector<std::int64_t>& shape) const = 0;
  // Rows [rows.begin, rows.end), decoded, dense and row-major, in dtype(). Throws bad_data too for scales
  // that are zero, NaN, infinite or negative, and for indices out of range.
  virtual void decode(const std::string& matrix, const std::vector<std::int64_t>& shape, Range rows,
                      std::byte* out) const = 0;
};

// By config.json's quantization_config. Null: every matrix is plain. Throws bad_data for a format that is not
// known, naming it and those that are. The checkpoint must outlive it.
std::unique_ptr<MatrixCoding> matrix_coding(const ModelConfig& model, const Checkpoint& checkpoint);

// By what the checkpoint is quantized; empty: by nothing. The coding may be null.
std::string quantization_by(const MatrixCoding* coding);

}  // namespace shardrift
