// MXFP4: blocks of 32 columns, two codes (float4_e2m1) a byte, and one power of two each: gpt-oss' experts,
// X_blocks [experts, rows, columns / 32, 16] and X_scales [experts, rows, columns / 32]. All products are
// exact in float32 and rounded to bfloat16, as transformers' convert_moe_packed_tensors has it.
#include <array>

#include "weights/codings/coded_tensors.hpp"
#include "weights/codings/formats.hpp"
#include "weights/codings/numbers.hpp"
#include "weights/codings/scaled_codes.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kBlock = 32;
constexpr std::array<float, 16> kE2m1 = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,  4.0F,  6.0F,
                                         -0.0F, -0.5F, -1.0F, -1.5F, -2.0F, -3.0F, -4.0F, -6.0F};

class Mxfp4Coding : public MatrixCoding {
 public:
  explicit Mxfp4Coding(const Checkpoint& checkpoint) : tensors_(checkpoint) {}

  std::string description() const override { return "MXFP4, blocks of 32"; }
  bool holds(const std::string& matrix) const override {
    return tensors_.has(matrix + "_blocks") || tensors_.has(matrix + "_scales");
  }
  std::vector<std::string> tensors(const std::string& matrix) const override {
    std::vector<std::string> names;
    for (const char* suffix : {"_blocks", "_scales"})
      if (tensors_.has(matrix + suffix)) names.push_back(matrix + suffix);
    return names;
  }
  DType dtype(const std::string& /*matrix*/) const override { return DType::bfloat16; }
  void check(const std::string& matrix, const Shape& shape) const override { parts(matrix, shape); }

  void decode(const std::string& matrix, const Shape& shape, Range rows, std::byte* out) const override {
    const Parts from = parts(matrix, shape);
    ScaledCodes codes;
    codes.cols = shape[1];
    codes.bits = 4;
    codes.group_size = kBlock;
    codes.groups = shape[1] / kBlock;
    codes.values = kE2m1.data();
    codes.dtype = DType::bfloat16;
    codes.unpack = [&](Range some, std::uint8_t* unpacked) {
      const auto first = static_cast<std::size_t>(some.begin * shape[1] / 2);
      const auto count = static_cast<std::size_t>(some.size() * shape[1] / 2);
      for (std::size_t i = 0; i < count; ++i) {
        const auto byte = word_at<std::uint8_t>(from.blocks.data, first + i);
        unpacked[2 * i] = byte & 15U;
        unpacked[2 * i + 1] = byte >> 4;
      }
    };
    codes.groups_of_row = [&](std::int64_t row, float* scales, std::int32_t* /*zeros*/) {
      for (std::int64_t group = 0; group < codes.groups; ++group)
        scales[group] = scale_at(tensors_, from.scales, static_cast<std::size_t>(row * codes.groups + group));
    };
    shardrift::decode(codes, rows, out);
  }

 private:
  struct Parts {
    StoredTensor blocks, scales;
  };
  // The tensors may have a leading dimension of experts, which the matrix has not.
  Parts parts(const std::string& matrix, const Shape& shape) const {
    if (shape[1] % kBlock != 0) throw tensors_.indivisible(matrix, shape, "blocks", kBlock);
    const std::int64_t blocks = shape[1] / kBlock;
    const auto get = [&](const char* suffix, const Shape& of_row) {
      auto tensor = tensors_.get(matrix + suffix, matrix, {"U8"});
      const auto& stored = tensor.shape;
      Shape flat = {shape[0]};
      flat.insert(flat.end(), of_row.begin(), of_row.end());
      Shape merged = stored;
      if (stored.size() == flat.size() + 1) {
        merged.erase(merged.begin());
        merged.front() = stored[0] * stored[1];
      }
      if (merged != flat) throw tensors_.unfit(tensor, {flat});
      return tensor;
    };
    return {get("_blocks", {blocks, kBlock / 2}), get("_scales", {blocks})};
  }

  const CodedTensors tensors_;
};

}  // namespace

std::unique_ptr<MatrixCoding> mxfp4_coding(const JsonObject& /*config*/, const ModelConfig& /*model*/,
                                           const Checkpoint& checkpoint) {
  return std::make_unique<Mxfp4Coding>(checkpoint);
}

}  // namespace shardrift
