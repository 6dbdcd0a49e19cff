#include "weights/weight_source.hpp"

#include <algorithm>
#include <cstring>

#include "common/error.hpp"
#include "common/not_finite.hpp"
#include "weights/convert.hpp"
#include "weights/quantize.hpp"

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

// Of a matrix in its tensor: where its rows [rows.begin, rows.end) are.
std::vector<std::int64_t> rows_in_tensor(const PackedRows& packed, Range rows, std::int64_t first) {
  std::vector<std::int64_t> places;
  places.reserve(static_cast<std::size_t>(rows.size()));
  std::int64_t before = 0;  // rows of the part in the ranges so far
  for (const Range& range : packed.rows) {
    const std::int64_t count = (range.size() + packed.stride - 1) / packed.stride;
    const std::int64_t begin = std::max(rows.begin - before, std::int64_t{0});
    for (std::int64_t row = begin; row < std::min(rows.end - before, count); ++row)
      places.push_back(first + range.begin + row * packed.stride);
    before += count;
  }
  return places;
}

bool follow_one_another(const std::vector<std::int64_t>& rows) {
  for (std::size_t i = 1; i < rows.size(); ++i)
    if (rows[i] != rows[i - 1] + 1) return false;
  return true;
}

}  // namespace

WeightSource::WeightSource(const Checkpoint& checkpoint, const ModelConfig& model)
    : WeightSource(checkpoint, model, architecture_of(model)) {}
WeightSource::WeightSource(const Checkpoint& checkpoint, const ModelConfig& model,
                           const Architecture& architecture)
    : checkpoint_(checkpoint),
      model_(model),
      architecture_(architecture),
      wrapping_(wrapping_of(model, checkpoint)),
      coding_(matrix_coding(model, checkpoint)) {}

TensorView WeightSource::whole(Part part, std::int64_t layer, std::int64_t expert) {
  return rows(part, layer, {0, shape_of(model_, part, layer).rows}, expert);
}

// Rows of the tensor as a matrix [rows, cols], decoded.
TensorView WeightSource::decoded(const std::string& name, const std::vector<std::int64_t>& matrix,
                                 Range rows) {
  TensorView view{.name = name, .dtype = coding_->dtype(name), .shape = {rows.size(), matrix.back()}};
  view.first_row = rows.begin;
  view.bytes = static_cast<std::size_t>(rows.size() * matrix.back()) * size_of(view.dtype);
  decoded_.resize(view.bytes);
  coding_->check(name, matrix);
  coding_->decode(name, matrix, rows, decoded_.data());
  view.data = decoded_.data();
  return view;
}

// These rows of a plain [in, out] tensor of `height` columns of a matrix each.
TensorView WeightSource::transposed_rows(const TensorView& tensor, std::int64_t cols, std::int64_t height,
                                         const std::vector<std::int64_t>& rows) {
  const std::size_t element = size_of(tensor.dtype);
  unpacked_.resize(rows.size() * static_cast<std::size_t>(cols) * element);
  // Some columns of all rows before the next: what several rows read lies in the same cache lines.
  constexpr std::int64_t kColumns = 64;
  for (std::int64_t begin = 0; begin < cols; begin += kColumns) {
    std::byte* out = unpacked_.data() + static_cast<std::size_t>(begin) * element;
    for (const std::int64_t row : rows) {
      const std::byte* column =
          tensor.data + static_cast<std::size_t>((row / height) * cols * height + row % height) * element;
      for (std::int64_t col = begin; col < std::min(begin + kColumns, cols); ++col)
        std::memcpy(out + static_cast<std::size_t>(col - begin) * element,
                    column + static_cast<std::size_t>(col * height) * element, element);
      out += static_cast<std::size_t>(cols) * element;
    }
  }
  TensorView view{.name = tensor.name, .dtype = tensor.dtype};
  view.transposed = true;
  view.stored_rows = rows;
  return view;
}

void WeightSource::quantize(Quantization kind) {
  refuse_quantized_twice(kind, quantization_by(coding_.get()));
  quantization_ = kind;
}

TensorView WeightSource::rows(Part part, std::int64_t layer, Range rows, std::int64_t expert) {
  return quantization_ != Quantization::none && is_quantized(part) ? quantized_rows(part, layer, rows, expert)
                                                                   : plain_rows(part, layer, rows, expert);
}

TensorView WeightSource::quantized_rows(Part part, std::int64_t layer, Range rows, std::int64_t expert) {
  const PartShape shape = shape_of(model_, part, layer);
  const Range together = rows_quantized_with(quantization_, rows, shape.rows);
  TensorView view = plain_rows(part, layer, together, expert);
  quantized_.resize(static_cast<std::size_t>(together.size() * shape.cols));
  convert(view.data, view.dtype, reinterpret_cast<std::byte*>(quantized_.data()), DType::float32,
          quantized_.size());
  const auto words = std::as_bytes(std::span(quantized_));
  if (const auto at = first_not_finite(words, DType::float32); at >= 0) {
    const bool damaged = first_not_finite({view.data, view.bytes}, view.dtype) >= 0;
    throw bad_data("tensor {}: the weight at {} {}", view.name,
                   view.stored_at(at / shape.cols, at % shape.cols),
                   damaged ? "is infinite or NaN: the checkpoint is damaged"
                           : "overflows in float32, in which --quantize computes: leave --quantize out");
  }
  const std::int64_t of_row = scales_of_row(quantization_, shape.cols);
  scales_.resize(static_cast<std::size_t>(together.size() * of_row));
  scales_of_rows_ = scales_.data() + (rows.begin - together.begin) * of_row;
  quantize_rows(quantization_, quantized_, shape.cols, scales_.data());
  if (together != rows) view = plain_rows(part, layer, rows, expert);  // where these are stored
  const auto row_bytes = static_cast<std::size_t>(shape.cols) * sizeof(float);
  view.dtype = DType::float32;
  view.data = words.data() + static_cast<std::size_t>(rows.begin - together.begin) * row_bytes;
  view.bytes = static_cast<std::size_t>(rows.size()) * row_bytes;
  return view;
}

TensorView WeightSource::plain_rows(Part part, std::int64_t layer, Range rows, std::int64_t expert) {
  const PartShape shape = shape_of(model_, part, layer);
  const auto name = wrapped(wrapping_, name_in(architecture_, part, layer, expert));
  PackedRows packed = packed_in(architecture_, model_, part);
  if (packed.tensor_rows == 0) {
    packed.tensor_rows = shape.rows;
    packed.rows = {{0, shape.rows}};
  }
  const auto places = rows_in_tensor(packed, rows, packed.experts == 0 ? 0 : expert * packed.tensor_rows);
  const bool coded = coding_ != nullptr && coding_->holds(name);
  const auto plain =
      coded ? TensorView{} : checkpoint_.tensor(name, stored_shape(architecture_, model_, part, layer));
  const auto run_of = [&](Range run) {
    return coded ? decoded(name, matrix_shape(architecture_, model_, part, layer), run)
                 : some_rows(plain, shape.cols, run);
  };

  TensorView view;
  if (places.empty()) {
    view = run_of({0, 0});
  } else if (packed.transposed && !coded) {
    view = transposed_rows(plain, shape.cols, packed.tensor_rows, places);
  } else if (follow_one_another(places)) {
    view = run_of({places.front(), places.back() + 1});
  } else {
    // The rows between are decoded, too.
    const auto [low, high] = std::minmax_element(places.begin(), places.end());
    const auto run = run_of({*low, *high + 1});
    const std::size_t row_bytes = static_cast<std::size_t>(shape.cols) * size_of(run.dtype);
    unpacked_.clear();
    for (const std::int64_t place : places) {
      const std::byte* row = run.data + static_cast<std::size_t>(place - *low) * row_bytes;
      unpacked_.insert(unpacked_.end(), row, row + row_bytes);
    }
    view = {.name = name, .dtype = run.dtype};
    view.stored_rows = places;
  }
  if (!view.stored_rows.empty()) {
    view.data = unpacked_.data();
    view.bytes = unpacked_.size();
  }
  view.name = checkpoint_.shown_name(name);
  view.shape = {rows.size(), shape.cols};
  view.vector = shape.vector;
  view.expert_rows = packed.experts == 0 ? 0 : packed.tensor_rows;
  return view;
}

}  // namespace shardrift
