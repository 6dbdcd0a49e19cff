#include "weights/weight_source.hpp"

#include <algorithm>

#include "common/error.hpp"

namespace shardrift {
namespace {

// Rows [begin, end) of a dense tensor, without copying.
TensorView some_rows(TensorView tensor, std::int64_t cols, Range rows) {
  const auto row_bytes = static_cast<std::size_t>(cols) * size_of(tensor.dtype);
  tensor.data += static_cast<std::size_t>(rows.begin) * row_bytes;
  tensor.bytes = static_cast<std::size_t>(rows.size()) * row_bytes;
  tensor.shape = {rows.size(), cols};
  tensor.first_row += rows.begin;
  return tensor;
}

}  // namespace

WeightSource::WeightSource(const Checkpoint& checkpoint, const ModelConfig& model)
    : WeightSource(checkpoint, model, architecture_of(model)) {}
WeightSource::WeightSource(const Checkpoint& checkpoint, const ModelConfig& model,
                           const Architecture& architecture)
    : checkpoint_(checkpoint), model_(model), architecture_(architecture) {}

TensorView WeightSource::whole(Part part, std::int64_t layer) {
  return rows(part, layer, {0, shape_of(model_, part).rows});
}

TensorView WeightSource::rows(Part part, std::int64_t layer, Range rows) {
  const PartShape shape = shape_of(model_, part);
  const auto name = name_in(architecture_, part, layer);
  const PackedRows packed =
      architecture_.packed != nullptr ? architecture_.packed(model_, part) : PackedRows{};
  if (packed.tensor_rows == 0) {
    const std::vector<std::int64_t> stored =
        shape.vector ? std::vector{shape.rows * shape.cols} : std::vector{shape.rows, shape.cols};
    return some_rows(checkpoint_.tensor(name, stored), shape.cols, rows);
  }
  const auto tensor = checkpoint_.tensor(name, {packed.tensor_rows, shape.cols});
  unpacked_.clear();
  std::int64_t begin = 0;  // of this range, in the part's own rows
  for (const Range& range : packed.rows) {
    const Range wanted{std::max(rows.begin, begin), std::min(rows.end, begin + range.size())};
    if (wanted.begin < wanted.end) {
      const auto some = some_rows(tensor, shape.cols,
                                  {range.begin + wanted.begin - begin, range.begin + wanted.end - begin});
      unpacked_.insert(unpacked_.end(), some.data, some.data + some.bytes);
    }
    begin += range.size();
  }
  return {tensor.name, tensor.dtype, {rows.size(), shape.cols}, unpacked_.data(), unpacked_.size()};
}

}  // namespace shardrift
