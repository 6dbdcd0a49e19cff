// AWQ, version gemm: a word of qweight [in, out / 8] holds eight neighbouring outputs of one input. Numbers
// are (code - zero) · scale in float16, as AutoAWQ's dequantize_gemm has it.
#include <array>

#include "common/json_file.hpp"
#include "weights/codings/formats.hpp"
#include "weights/codings/linear_coding.hpp"
#include "weights/codings/numbers.hpp"
#include "weights/codings/scaled_codes.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kInWord = 8;
// Which four bits of a word are output 0, 1, …: AutoAWQ's AWQ_REVERSE_ORDER.
constexpr std::array<int, kInWord> kPlace = {0, 4, 1, 5, 2, 6, 3, 7};

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

class AwqCoding : public LinearCoding {
 public:
  AwqCoding(const JsonObject& config, const Checkpoint& checkpoint) : LinearCoding(config, checkpoint) {
    const char* key = config.get("version") != nullptr ? "version" : "format";
    if (const auto version = config.text(key, "gemm"); lower(version) != "gemm")
      throw config.wrong(key, version, "\"gemm\" is expected, the one AWQ version that is decoded");
    const char* bits = config.get("w_bit") != nullptr ? "w_bit" : "bits";
    if (const auto count = config.integer(bits, 1, 32, 4); count != 4)
      throw config.wrong(bits, count, "4 is expected");
    if (!config.flag("zero_point", true)) throw config.wrong("zero_point", false, "true is expected");
    const char* size = config.get("q_group_size") != nullptr ? "q_group_size" : "group_size";
    group_size_ = config.integer(size, -1, std::int64_t{1} << 28, 128);
    if (group_size_ == 0) throw config.wrong(size, 0, "-1 or a positive number is expected");
  }

  std::string description() const override {
    return "AWQ, 4 bits, " + (group_size_ == -1 ? "per channel" : fmt::format("groups of {}", group_size_));
  }
  bool holds(const std::string& matrix) const override {
    return has(matrix, ".qweight") || has(matrix, ".qzeros");
  }
  DType dtype(const std::string& matrix) const override {
    return dtype_of_name(tensors_.get(name(matrix, ".scales"), matrix, {"F16", "BF16"}).dtype);
  }

  void decode(const std::string& matrix, const Shape& shape, Range rows, std::byte* out) const override {
    const Parts from = parts(matrix, shape);
    const std::int64_t outputs = shape[0], inputs = shape[1], words = outputs / kInWord;
    ScaledCodes codes;
    codes.cols = inputs;
    codes.bits = 4;
    codes.group_size = size_of_groups(shape);
    codes.groups = inputs / codes.group_size;
    codes.dtype = dtype(matrix);
    codes.unpack = [&](Range some, std::uint8_t* unpacked) {
      for (std::int64_t in = 0; in < inputs; in += kTileRows) {
        const std::int64_t width = std::min(kTileRows, inputs - in);
        unpack_square(from.qweight, words, some, {in, in + width}, unpacked + in, inputs);
      }
    };
    codes.groups_of_row = [&](std::int64_t row, float* scales, std::int32_t* zeros) {
      for (std::int64_t group = 0; group < codes.groups; ++group) {
        scales[group] = scale_at(tensors_, from.scales, static_cast<std::size_t>(group * outputs + row));
        zeros[group] = code_in(
            word_at<std::uint32_t>(from.qzeros.data, static_cast<std::size_t>(group * words + row / kInWord)),
            row % kInWord);
      }
    };
    shardrift::decode(codes, rows, out);
  }

 protected:
  void check_tensors(const std::string& matrix, const Shape& shape) const override { parts(matrix, shape); }
  std::vector<std::string_view> suffixes() const override { return {".qweight", ".qzeros", ".scales"}; }

 private:
  struct Parts {
    StoredTensor qweight, qzeros, scales;
  };

  // A square at a time, which stays in the cache while it is turned over.
  static void unpack_square(const StoredTensor& qweight, std::int64_t words, Range rows, Range inputs,
                            std::uint8_t* unpacked, std::int64_t stride) {
    std::array<std::array<std::uint8_t, kTileRows>, kTileRows> square;  // [rows of whole words, inputs]
    const Range of_words{rows.begin / kInWord, (rows.end + kInWord - 1) / kInWord};
    for (std::int64_t in = inputs.begin; in < inputs.end; ++in)
      for (std::int64_t word = of_words.begin; word < of_words.end; ++word) {
        const auto packed = word_at<std::uint32_t>(qweight.data, static_cast<std::size_t>(in * words + word));
        for (std::int64_t i = 0; i < kInWord; ++i)
          square[static_cast<std::size_t>((word - of_words.begin) * kInWord + i)]
                [static_cast<std::size_t>(in - inputs.begin)] = code_in(packed, i);
      }
    for (std::int64_t row = rows.begin; row < rows.end; ++row, unpacked += stride)
      std::memcpy(unpacked, square[static_cast<std::size_t>(row - of_words.begin * kInWord)].data(),
                  static_cast<std::size_t>(inputs.size()));
  }

  static std::uint8_t code_in(std::uint32_t word, std::int64_t output) {
    return (word >> (4 * kPlace[static_cast<std::size_t>(output)])) & 15U;
  }

  std::int64_t size_of_groups(const Shape& shape) const { return group_size_ == -1 ? shape[1] : group_size_; }

  Parts parts(const std::string& matrix, const Shape& shape) const {
    const std::int64_t size = size_of_groups(shape);
    if (shape[1] % size != 0) throw tensors_.indivisible(matrix, shape, "groups", size);
    if (shape[0] % kInWord != 0) throw tensors_.indivisible(matrix, shape, "words", kInWord);
    const std::int64_t words = shape[0] / kInWord, groups = shape[1] / size;
    return {tensors_.get(name(matrix, ".qweight"), matrix, {"I32"}, {{shape[1], words}}),
            tensors_.get(name(matrix, ".qzeros"), matrix, {"I32"}, {{groups, words}}),
            tensors_.get(name(matrix, ".scales"), matrix, {"F16", "BF16"}, {{groups, shape[0]}})};
  }

  std::int64_t group_size_ = 0;  // -1: all inputs
};

}  // namespace

std::unique_ptr<MatrixCoding> awq_coding(const JsonObject& config, const ModelConfig& /*model*/,
                                         const Checkpoint& checkpoint) {
  return std::make_unique<AwqCoding>(config, checkpoint);
}

}  // namespace shardrift
