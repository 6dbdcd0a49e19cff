#include "foreign/tensor.hpp"

#include <fmt/ranges.h>

#include <cstring>
#include <limits>

#include "common/error.hpp"

namespace shardrift::foreign {
namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// One prompt's array is often a batch of one.
std::vector<std::int64_t> without_ones(std::vector<std::int64_t> shape, std::size_t dimensions) {
  while (shape.size() > dimensions && shape.front() == 1) shape.erase(shape.begin());
  return shape;
}

std::optional<DType> dtype_from(const std::string& name) {
  if (name == "F64") return DType::float64;
  if (name == "F32") return DType::float32;
  if (name == "F16") return DType::float16;
  if (name == "BF16") return DType::bfloat16;
  return std::nullopt;
}

template <typename Stored>
std::vector<std::int32_t> integers(const Tensor& tensor) {
  std::vector<std::int32_t> ids(tensor.bytes / sizeof(Stored));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    Stored value{};
    std::memcpy(&value, tensor.data + i * sizeof(Stored), sizeof(Stored));
    const bool fits = !std::in_range<std::int32_t>(value) ? false : static_cast<std::int64_t>(value) >= 0;
    if (!fits)
      throw bad_data("{}: {} at place {} is no token id: ids are 0 or more (cut padding off)", tensor.where,
                     value, i);
    ids[i] = static_cast<std::int32_t>(value);
  }
  return ids;
}

}  // namespace

LogitsTensor as_logits(Tensor tensor) {
  const auto shape = without_ones(tensor.shape, 2);
  if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1)
    throw bad_data("{}: shape {}: one prompt's logits are [rows, vocabulary], at least one of each",
                   tensor.where, shape_text(tensor.shape));
  const auto dtype = dtype_from(tensor.dtype);
  if (!dtype)
    throw bad_data("{}: of type {}: logits are float64, float32, float16 or bfloat16 (F64, F32, F16, BF16)",
                   tensor.where, tensor.dtype);
  LogitsTensor logits{std::move(tensor), *dtype, shape[0], shape[1]};
  return logits;
}

void LogitsTensor::read(std::int64_t begin, std::int64_t end, std::vector<std::byte>& words) const {
  const auto row_bytes = static_cast<std::size_t>(vocabulary) * size_of(dtype);
  const std::byte* from = tensor.data + static_cast<std::size_t>(begin) * row_bytes;
  words.assign(from, from + static_cast<std::size_t>(end - begin) * row_bytes);
}

std::vector<std::int32_t> as_tokens(const Tensor& tensor) {
  if (without_ones(tensor.shape, 1).size() != 1 || tensor.bytes == 0)
    throw bad_data("{}: shape {}: one prompt's token ids are [tokens], at least one", tensor.where,
                   shape_text(tensor.shape));
  if (tensor.dtype == "I64") return integers<std::int64_t>(tensor);
  if (tensor.dtype == "I32") return integers<std::int32_t>(tensor);
  if (tensor.dtype == "U32") return integers<std::uint32_t>(tensor);
  if (tensor.dtype == "I16") return integers<std::int16_t>(tensor);
  if (tensor.dtype == "U16") return integers<std::uint16_t>(tensor);
  throw bad_data("{}: of type {}: token ids are integers (I32, I64)", tensor.where, tensor.dtype);
}

}  // namespace shardrift::foreign
