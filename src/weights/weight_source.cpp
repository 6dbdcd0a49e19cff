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
    : checkpoint_(checkpoint),
      model_(model),
      architecture_(architecture),
      wrapping_(wrapping_of(model, checkpoint)) {}

TensorView WeightSource::whole(Part part, std::int64_t layer) {
  return rows(part, layer, {0, shape_of(model_, part, layer).rows});
}

TensorView WeightSource::rows(Part part, std::int64_t layer, Range rows) {
  const PartShape shape = shape_of(model_, part, layer);
  const auto name = wrapped(wrapping_, name_in(architecture_, part, layer));
  const PackedRows packed =
      architecture_.packed != nullptr ? architecture_.packed(model_, part) : PackedRows{};
  const auto tensor = checkpoint_.tensor(name, stored_shape(architecture_, model_, part, layer));
  if (packed.tensor_rows == 0) {
    auto view = some_rows(tensor, shape.cols, rows);
    view.vector = shape.vector;
    return view;
  }
  TensorView joined{.name = tensor.name, .dtype = tensor.dtype, .shape = {rows.size(), shape.cols}};
  joined.vector = shape.vector;
  unpacked_.clear();
  std::int64_t begin = 0;  // of this range, in the part's own rows
  for (const Range& range : packed.rows) {
    const Range wanted{std::max(rows.begin, begin), std::min(rows.end, begin + range.size())};
    if (wanted.begin < wanted.end) {
      const Range cut{range.begin + wanted.begin - begin, range.begin + wanted.end - begin};
      const auto some = some_rows(tensor, shape.cols, cut);
      joined.cuts.emplace_back(cut.begin, cut.end);
      unpacked_.insert(unpacked_.end(), some.data, some.data + some.bytes);
    }
    begin += range.size();
  }
  joined.data = unpacked_.data();
  joined.bytes = unpacked_.size();
  return joined;
}

}  // namespace shardrift
