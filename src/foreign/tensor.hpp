// Arrays as safetensors and .npy files hold them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/dtype.hpp"

namespace shardrift::foreign {

struct Tensor {
  std::string where;  // "run.safetensors: tensor p0.logits", "logits.npy"
  std::string dtype;  // as safetensors spells it: F32, BF16, I64, …
  std::vector<std::int64_t> shape;
  const std::byte* data = nullptr;  // row-major, little-endian, may be unaligned
  std::uint64_t bytes = 0;
  std::shared_ptr<const void> file;  // keeps `data` there
};

// Rows of logits: [rows, vocabulary], with leading dimensions of 1 left out.
struct LogitsTensor {
  Tensor tensor;
  DType dtype = DType::float32;
  std::int64_t rows = 0;
  std::int64_t vocabulary = 0;
  void read(std::int64_t begin, std::int64_t end, std::vector<std::byte>& words) const;
};
// Throws bad_data: another shape, no rows, a dtype that records do not hold.
LogitsTensor as_logits(Tensor tensor);

// Token ids: [n], with leading dimensions of 1 left out, of any integer type. Throws bad_data: another shape
// or type, an id that int32 does not hold.
std::vector<std::int32_t> as_tokens(const Tensor& tensor);

}  // namespace shardrift::foreign
