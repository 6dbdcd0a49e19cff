// fp8 (float8_e4m3fn) weights with a scale for each block, channel or tensor: DeepSeek-V3's, Qwen's and
// AutoFP8's checkpoints. The number is fp8 · scale in float32, rounded to the model's dtype, as transformers'
// Fp8Dequantize and DeepSeek's weight_dequant have it.
#include "common/json_file.hpp"
#include "weights/codings/formats.hpp"
#include "weights/codings/linear_coding.hpp"
#include "weights/codings/numbers.hpp"
#include "weights/codings/scaled_codes.hpp"

namespace shardrift {
namespace {

class Fp8Coding : public LinearCoding {
 public:
  Fp8Coding(const JsonObject& config, DType dtype, const Checkpoint& checkpoint)
      : LinearCoding(config, checkpoint), dtype_(dtype) {
    if (dtype == DType::float64)
      throw config.wrong("quant_method", "fp8", "weights of 16 or 32 bits are expected");
    if (const auto format = config.text("fmt", "e4m3"); format != "e4m3")
      throw config.wrong("fmt", format, "\"e4m3\" is expected");
    if (config.get("weight_block_size") == nullptr) return;
    for (const auto& size : config.list("weight_block_size", 2, 2))
      block_.push_back(config.integer_of("weight_block_size", size, 1, std::int64_t{1} << 28));
  }

  std::string description() const override {
    if (block_.empty()) return "fp8 (E4M3), a scale for each tensor or channel, weights only";
    return fmt::format("fp8 (E4M3), blocks of {} x {}, weights only", block_[0], block_[1]);
  }

  bool holds(const std::string& matrix) const override { return stored_dtype(matrix).starts_with("F8_"); }
  DType dtype(const std::string& /*matrix*/) const override { return dtype_; }

  void decode(const std::string& matrix, const Shape& shape, Range rows, std::byte* out) const override {
    const Parts from = parts(matrix, shape);
    const std::int64_t cols = shape[1];
    ScaledCodes codes;
    codes.cols = cols;
    codes.group_size = block_.empty() ? cols : block_[1];
    codes.groups = (cols + codes.group_size - 1) / codes.group_size;
    codes.values = kE4m3.data();
    codes.dtype = dtype_;
    codes.unpack = [&](Range some, std::uint8_t* bytes) {
      std::memcpy(bytes, from.weight.data + some.begin * cols, static_cast<std::size_t>(some.size() * cols));
    };
    codes.groups_of_row = [&](std::int64_t row, float* scales, std::int32_t* /*zeros*/) {
      const std::int64_t first = !block_.empty()                   ? row / block_[0] * codes.groups
                                 : elements(from.scale.shape) == 1 ? 0
                                                                   : row;
      for (std::int64_t group = 0; group < codes.groups; ++group)
        scales[group] = scale_at(tensors_, from.scale, static_cast<std::size_t>(first + group));
    };
    shardrift::decode(codes, rows, out);
  }

 protected:
  void check_tensors(const std::string& matrix, const Shape& shape) const override { parts(matrix, shape); }
  std::vector<std::string_view> suffixes() const override {
    return {".weight", ".weight_scale_inv", ".weight_scale"};
  }

 private:
  struct Parts {
    StoredTensor weight, scale;
  };
  Parts parts(const std::string& matrix, const Shape& shape) const {
    const auto scale = name(matrix, has(matrix, ".weight_scale") ? ".weight_scale" : ".weight_scale_inv");
    const auto scale_dtypes = {std::string_view("F32"), std::string_view("BF16"), std::string_view("F16"),
                               std::string_view("F8_E8M0"), std::string_view("U8")};
    std::vector<Shape> shapes;
    if (block_.empty()) {
      shapes = {{}, {1}, {1, 1}, {shape[0]}, {shape[0], 1}};
    } else {
      shapes = {{(shape[0] + block_[0] - 1) / block_[0], (shape[1] + block_[1] - 1) / block_[1]}};
    }
    return {tensors_.get(matrix, matrix, {"F8_E4M3"}, {shape}),
            tensors_.get(scale, matrix, scale_dtypes, shapes)};
  }

  DType dtype_;
  Shape block_;  // [rows, columns]; empty: a scale for the tensor, or for each row
};

}  // namespace

std::unique_ptr<MatrixCoding> fp8_coding(const JsonObject& config, const ModelConfig& model,
                                         const Checkpoint& checkpoint) {
  return std::make_unique<Fp8Coding>(config, model.dtype, checkpoint);
}

}  // namespace shardrift
