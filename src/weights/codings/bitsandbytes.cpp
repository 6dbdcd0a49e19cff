// bitsandbytes: nf4 and fp4 (codes of a table of 16 numbers, a largest magnitude for each block of the matrix
// laid out in one row), and LLM.int8() (int8 with a largest magnitude for each row).
#include <array>
#include <cmath>

#include "common/json_file.hpp"
#include "weights/codings/formats.hpp"
#include "weights/codings/linear_coding.hpp"
#include "weights/codings/numbers.hpp"

namespace shardrift {
namespace {

constexpr std::array<std::string_view, 2> kStates = {".weight.quant_state.bitsandbytes__nf4",
                                                     ".weight.quant_state.bitsandbytes__fp4"};
constexpr std::int64_t kMostBlock = 4096;

// A largest magnitude; zero is one, where the codes are all alike: of nothing but zeros.
float magnitude_at(const CodedTensors& tensors, const StoredTensor& magnitudes, std::size_t index,
                   bool uniform) {
  return number_at(magnitudes, index) == 0 && uniform ? 0.0F : scale_at(tensors, magnitudes, index);
}

class FourBitCoding : public LinearCoding {
 public:
  FourBitCoding(const JsonObject& config, const Checkpoint& checkpoint, std::string type)
      : LinearCoding(config, checkpoint), type_(std::move(type)) {}

  std::string description() const override { return "bitsandbytes " + type_; }
  bool holds(const std::string& matrix) const override {
    return !module_of(matrix).empty() &&
           (!state_name(matrix).empty() || has(matrix, ".weight.absmax") || stored_dtype(matrix) == "U8");
  }
  DType dtype(const std::string& matrix) const override { return state(matrix).dtype; }

  void decode(const std::string& matrix, const Shape& shape, Range rows, std::byte* out) const override {
    const Parts from = parts(matrix, shape);
    const Magnitudes magnitudes = read_magnitudes(from, elements(shape), shape[1], rows);
    std::array<float, 16> table;
    for (std::size_t code = 0; code < table.size(); ++code) {
      table[code] = number_at(from.map, code);
      if (!std::isfinite(table[code]))
        throw tensors_.wrong(from.map.name, "has {} at [{}]", table[code], code);
    }
    with_rounding(from.state.dtype, [&]<typename Rounding>(Rounding) {
      auto* words = reinterpret_cast<typename Rounding::Word*>(out);
      const std::int64_t end = rows.end * shape[1], size = from.state.block;
      for (std::int64_t at = rows.begin * shape[1]; at < end;) {
        const std::int64_t block_end = std::min(at / size * size + size, end);
        const float magnitude = magnitudes.of_block[static_cast<std::size_t>(at / size - magnitudes.first)];
        std::array<typename Rounding::Word, 16> rounded;
        for (std::size_t code = 0; code < table.size(); ++code)
          rounded[code] = Rounding::from(table[code] * magnitude);
        for (; at < block_end; ++at) *words++ = rounded[code_at(from.weight, at)];
      }
    });
  }

 protected:
  void check_tensors(const std::string& matrix, const Shape& shape) const override { parts(matrix, shape); }
  std::vector<std::string_view> suffixes() const override {
    return {".weight",
            ".weight.absmax",
            ".weight.quant_map",
            ".weight.nested_absmax",
            ".weight.nested_quant_map",
            kStates[0],
            kStates[1]};
  }

 private:
  struct State {  // what quant_state says
    std::string name;
    Shape shape;
    std::int64_t block = 0;
    DType dtype = DType::float32;
    std::int64_t nested_block = 0;  // 0: magnitudes are stored plainly
    float nested_offset = 0;
  };
  struct Parts {
    State state;
    StoredTensor weight, magnitudes, map, nested_magnitudes, nested_map;
  };
  struct Magnitudes {
    std::int64_t first = 0;  // block
    std::vector<float> of_block;
  };

  // Two codes a byte, the first in its upper half.
  static std::size_t code_at(const StoredTensor& weight, std::int64_t element) {
    const auto byte = word_at<std::uint8_t>(weight.data, static_cast<std::size_t>(element / 2));
    return element % 2 == 0 ? byte >> 4 : byte & 15U;
  }

  std::string state_name(const std::string& matrix) const {
    for (const auto suffix : kStates)
      if (has(matrix, suffix)) return name(matrix, suffix);
    return {};
  }

  State state(const std::string& matrix) const {
    auto tensor_name = state_name(matrix);
    if (tensor_name.empty()) tensor_name = name(matrix, ".weight.quant_state.bitsandbytes__" + type_);
    const auto tensor = tensors_.get(tensor_name, matrix, {"U8"});
    const auto where = tensors_.checkpoint().file_of(tensor_name).string() + ": tensor " + tensor_name;
    const auto json = parse_json_object(
        {reinterpret_cast<const char*>(tensor.data), static_cast<std::size_t>(tensor.bytes)}, where);
    const JsonObject read(json, where);
    State state{.name = tensor_name};
    for (const auto& dim : read.list("shape", 1, 4))
      state.shape.push_back(read.integer_of("shape", dim, 0, std::int64_t{1} << 32));
    state.block = read.integer("blocksize", 1, kMostBlock);
    const auto dtype = read.text("dtype");
    if (dtype != "float32" && dtype != "float16" && dtype != "bfloat16")
      throw read.wrong("dtype", dtype, "float32, float16 or bfloat16 is expected");
    state.dtype = *from_name<DType>(dtype);
    if (read.get("nested_blocksize") != nullptr) {
      state.nested_block = read.integer("nested_blocksize", 1, kMostBlock);
      state.nested_offset = static_cast<float>(read.number("nested_offset"));
      if (!std::isfinite(state.nested_offset))
        throw read.wrong("nested_offset", read.number("nested_offset"), "a finite number is expected");
    }
    return state;
  }

  Parts parts(const std::string& matrix, const Shape& shape) const {
    Parts parts{.state = state(matrix)};
    const State& state = parts.state;
    if (state.shape != shape)
      throw tensors_.wrong(state.name, "says that {} has shape {}, config.json asks for {}", matrix,
                           shown(state.shape), shown(shape));
    parts.weight = tensors_.get(matrix, matrix, {"U8", "BF16", "F16", "F32"});  // bnb_4bit_quant_storage
    const std::int64_t count = elements(shape), blocks = (count + state.block - 1) / state.block;
    if (static_cast<std::int64_t>(parts.weight.bytes) != (count + 1) / 2)
      throw tensors_.wrong(matrix, "has {} bytes, the 4-bit codes of a matrix of shape {} take {}",
                           parts.weight.bytes, shown(shape), (count + 1) / 2);
    const auto absmax = name(matrix, ".weight.absmax");
    parts.map = tensors_.get(name(matrix, ".weight.quant_map"), matrix, {"F32"}, {{16}});
    if (state.nested_block == 0) {
      parts.magnitudes = tensors_.get(absmax, matrix, {"F32"}, {{blocks}});
      return parts;
    }
    parts.magnitudes = tensors_.get(absmax, matrix, {"U8"}, {{blocks}});
    parts.nested_magnitudes = tensors_.get(name(matrix, ".weight.nested_absmax"), matrix, {"F32"},
                                           {{(blocks + state.nested_block - 1) / state.nested_block}});
    parts.nested_map = tensors_.get(name(matrix, ".weight.nested_quant_map"), matrix, {"F32"}, {{256}});
    return parts;
  }

  Magnitudes read_magnitudes(const Parts& from, std::int64_t count, std::int64_t cols, Range rows) const {
    const State& state = from.state;
    Magnitudes magnitudes{.first = rows.begin * cols / state.block};
    const std::int64_t end = (rows.end * cols + state.block - 1) / state.block;
    for (std::int64_t block = magnitudes.first; block < end; ++block) {
      const auto index = static_cast<std::size_t>(block);
      if (state.nested_block != 0) {
        magnitudes.of_block.push_back(nested_magnitude(from, index));
        continue;
      }
      const bool uniform = number_at(from.magnitudes, index) == 0 && is_uniform(from, block, count);
      magnitudes.of_block.push_back(magnitude_at(tensors_, from.magnitudes, index, uniform));
    }
    return magnitudes;
  }

  // Quantized themselves, so that a small one may come out as zero or below.
  float nested_magnitude(const Parts& from, std::size_t block) const {
    const auto group = block / static_cast<std::size_t>(from.state.nested_block);
    const float factor = number_at(from.nested_map, word_at<std::uint8_t>(from.magnitudes.data, block));
    const float product = factor * magnitude_at(tensors_, from.nested_magnitudes, group, true);
    const float magnitude = product + from.state.nested_offset;
    if (!std::isfinite(magnitude))
      throw tensors_.wrong(from.nested_map.name, "gives {} a magnitude of {}", from.magnitudes.name,
                           magnitude);
    return magnitude;
  }

  static bool is_uniform(const Parts& from, std::int64_t block, std::int64_t count) {
    const std::int64_t begin = block * from.state.block;
    for (std::int64_t at = begin; at < std::min(begin + from.state.block, count); ++at)
      if (code_at(from.weight, at) != code_at(from.weight, begin)) return false;
    return true;
  }

  std::string type_;
};

class Int8Coding : public LinearCoding {
 public:
  Int8Coding(const JsonObject& config, const Checkpoint& checkpoint) : LinearCoding(config, checkpoint) {}

  std::string description() const override { return "bitsandbytes int8, weights only"; }
  bool holds(const std::string& matrix) const override {
    return has(matrix, ".SCB") || stored_dtype(matrix) == "I8";
  }
  DType dtype(const std::string& /*matrix*/) const override { return DType::float32; }

  // code · SCB · (1 / 127), each product rounded to float32: bitsandbytes' int8_vectorwise_dequant.
  void decode(const std::string& matrix, const Shape& shape, Range rows, std::byte* out) const override {
    const auto [weight, magnitudes] = parts(matrix, shape);
    auto* values = reinterpret_cast<float*>(out);
    for (std::int64_t row = rows.begin; row < rows.end; ++row, values += shape[1]) {
      const std::byte* codes = weight.data + row * shape[1];
      const bool uniform =
          std::all_of(codes, codes + shape[1], [&](std::byte code) { return code == *codes; });
      const float magnitude = magnitude_at(tensors_, magnitudes, static_cast<std::size_t>(row), uniform);
      for (std::int64_t col = 0; col < shape[1]; ++col)
        values[col] =
            static_cast<float>(static_cast<std::int8_t>(codes[col])) * magnitude * 7.874015718698502e-3F;
    }
  }

 protected:
  void check_tensors(const std::string& matrix, const Shape& shape) const override { parts(matrix, shape); }
  std::vector<std::string_view> suffixes() const override { return {".weight", ".SCB", ".weight_format"}; }

 private:
  struct Parts {
    StoredTensor weight, magnitudes;
  };
  Parts parts(const std::string& matrix, const Shape& shape) const {
    const auto layout = name(matrix, ".weight_format");
    if (tensors_.has(layout) && integer_at(tensors_.get(layout, matrix, {"U8"}, {{}, {1}}), 0) != 0)
      throw tensors_.wrong(layout, "is not 0 (rows): other layouts of LLM.int8() are not decoded");
    return {tensors_.get(matrix, matrix, {"I8"}, {shape}),
            tensors_.get(name(matrix, ".SCB"), matrix, {"F32"}, {{shape[0]}})};
  }
};

}  // namespace

std::unique_ptr<MatrixCoding> bitsandbytes_coding(const JsonObject& config, const ModelConfig& /*model*/,
                                                  const Checkpoint& checkpoint) {
  if (config.flag("load_in_8bit") || config.flag("_load_in_8bit"))
    return std::make_unique<Int8Coding>(config, checkpoint);
  const auto type = config.text("bnb_4bit_quant_type", "fp4");  // transformers' default
  if (type != "nf4" && type != "fp4")
    throw config.wrong("bnb_4bit_quant_type", type, "nf4 or fp4 is expected");
  return std::make_unique<FourBitCoding>(config, checkpoint, type);
}

}  // namespace shardrift
