#include "weights/codings/coded_tensors.hpp"

#include <algorithm>
#include <cmath>

#include "common/json_file.hpp"
#include "weights/codings/numbers.hpp"

namespace shardrift {
namespace {

constexpr std::string_view kWeight = ".weight";

template <typename Items, typename Text>
std::string alternatives(const Items& items, const Text& text) {
  std::string list;
  for (const auto& item : items) list += (list.empty() ? "" : " or ") + text(item);
  return list;
}

// Where element `index` is: "[3, 5]".
std::string place_of(const StoredTensor& tensor, std::size_t index) {
  std::string place;
  for (auto dim = tensor.shape.rbegin(); dim != tensor.shape.rend(); ++dim) {
    const auto size = static_cast<std::size_t>(std::max<std::int64_t>(*dim, 1));
    place = fmt::format("{}{}{}", index % size, place.empty() ? "" : ", ", place);
    index /= size;
  }
  return "[" + place + "]";
}

}  // namespace

std::int64_t elements(const Shape& shape) {
  std::int64_t count = 1;
  for (const auto dim : shape) count *= dim;
  return count;
}

DType dtype_of_name(std::string_view safetensors_dtype) {
  if (safetensors_dtype == "F32") return DType::float32;
  if (safetensors_dtype == "F16") return DType::float16;
  if (safetensors_dtype == "BF16") return DType::bfloat16;
  if (safetensors_dtype == "F64") return DType::float64;
  throw failure("{} is no dtype of decoded weights", safetensors_dtype);
}

std::string module_of(const std::string& matrix) {
  return matrix.ends_with(kWeight) ? matrix.substr(0, matrix.size() - kWeight.size()) : std::string();
}

std::string CodedTensors::where(const std::string& name) const {
  const auto file = checkpoint_.file_of(name);
  return (file.empty() ? checkpoint_.directory() : file).string();
}

StoredTensor CodedTensors::get(const std::string& name, const std::string& matrix,
                               std::initializer_list<std::string_view> dtypes) const {
  auto tensor = checkpoint_.raw(name);
  if (!tensor)
    throw bad_data("{}: the checkpoint has no tensor {}, without which {} cannot be decoded", where(name),
                   name, matrix);
  if (dtypes.size() != 0 && std::find(dtypes.begin(), dtypes.end(), tensor->dtype) == dtypes.end())
    throw wrong(name, "is {}, {} is expected", tensor->dtype,
                alternatives(dtypes, [](std::string_view dtype) { return std::string(dtype); }));
  return *std::move(tensor);
}

StoredTensor CodedTensors::get(const std::string& name, const std::string& matrix,
                               std::initializer_list<std::string_view> dtypes,
                               const std::vector<Shape>& shapes) const {
  auto tensor = get(name, matrix, dtypes);
  if (std::find(shapes.begin(), shapes.end(), tensor.shape) == shapes.end()) throw unfit(tensor, shapes);
  return tensor;
}

Error CodedTensors::unfit(const StoredTensor& tensor, const std::vector<Shape>& expected) const {
  return wrong(tensor.name, "has shape {}, {} is expected", shown(tensor.shape),
               alternatives(expected, [](const Shape& shape) { return shown(shape); }));
}

Error CodedTensors::indivisible(const std::string& matrix, const Shape& shape, std::string_view what,
                                std::int64_t by) const {
  return bad_data("{}: {} of shape {} cannot be decoded: {} of {} do not divide it",
                  checkpoint_.directory().string(), matrix, shown(shape), what, by);
}

float number_at(const StoredTensor& tensor, std::size_t index) {
  const auto& dtype = tensor.dtype;
  if (dtype == "F32") return word_at<float>(tensor.data, index);
  if (dtype == "F16") return float_from_float16(word_at<std::uint16_t>(tensor.data, index));
  if (dtype == "BF16") return float_from_bfloat16(word_at<std::uint16_t>(tensor.data, index));
  return float_from_e8m0(word_at<std::uint8_t>(tensor.data, index));
}

std::int64_t integer_at(const StoredTensor& tensor, std::size_t index) {
  const auto& dtype = tensor.dtype;
  if (dtype == "I64") return word_at<std::int64_t>(tensor.data, index);
  if (dtype == "I32") return word_at<std::int32_t>(tensor.data, index);
  if (dtype == "I8") return word_at<std::int8_t>(tensor.data, index);
  return word_at<std::uint8_t>(tensor.data, index);
}

float scale_at(const CodedTensors& tensors, const StoredTensor& scales, std::size_t index) {
  const float scale = number_at(scales, index);
  if (!(scale > 0) || std::isinf(scale))
    throw tensors.wrong(scales.name, "has {} at {}; scales are positive and finite", scale,
                        place_of(scales, index));
  return scale;
}

}  // namespace shardrift
