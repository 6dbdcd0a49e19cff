// GPTQ: a column of qweight holds the codes of one output, packed along the inputs. Numbers are
// (code - zero) · scale in the scales' dtype, as AutoGPTQ's QuantLinear has it on a CPU. Its first format
// stores zero - 1 ("gptq"), the second the zero itself ("gptq_v2").
#include "common/json_file.hpp"
#include "weights/codings/formats.hpp"
#include "weights/codings/group_index.hpp"
#include "weights/codings/linear_coding.hpp"
#include "weights/codings/numbers.hpp"
#include "weights/codings/scaled_codes.hpp"

namespace shardrift {
namespace {

class GptqCoding : public LinearCoding {
 public:
  GptqCoding(const JsonObject& config, const Checkpoint& checkpoint) : LinearCoding(config, checkpoint) {
    bits_ = static_cast<int>(config.integer("bits", 1, 32));
    if (bits_ != 2 && bits_ != 3 && bits_ != 4 && bits_ != 8)
      throw config.wrong("bits", bits_, "2, 3, 4 or 8 is expected");
    group_size_ = config.integer("group_size", -1, std::int64_t{1} << 28, 128);
    if (group_size_ == 0) throw config.wrong("group_size", 0, "-1 or a positive number is expected");
    act_order_ = config.flag("desc_act");
    const char* key = config.get("checkpoint_format") != nullptr ? "checkpoint_format" : "format";
    const auto format = config.text(key, "gptq");
    if (format != "gptq" && format != "gptq_v2")
      throw config.wrong(key, format, "\"gptq\" or \"gptq_v2\" is expected, other layouts are not decoded");
    zero_offset_ = format == "gptq" ? 1 : 0;
    check_exceptions(config);
  }

  std::string description() const override {
    return fmt::format("GPTQ, {} bits, {}{}", bits_,
                       group_size_ == -1 ? "per channel" : fmt::format("groups of {}", group_size_),
                       act_order_ ? ", act-order" : "");
  }
  bool holds(const std::string& matrix) const override {
    return has(matrix, ".qweight") || has(matrix, ".qzeros");
  }
  DType dtype(const std::string& matrix) const override {
    return dtype_of_name(tensors_.get(name(matrix, ".scales"), matrix, {"F16", "BF16", "F32"}).dtype);
  }

  void decode(const std::string& matrix, const Shape& shape, Range rows, std::byte* out) const override {
    const Parts from = parts(matrix, shape);
    const std::int64_t outputs = shape[0], inputs = shape[1];
    ScaledCodes codes;
    codes.cols = inputs;
    codes.bits = bits_;
    codes.group_size = size_of_groups(shape);
    codes.groups = inputs / codes.group_size;
    codes.dtype = dtype(matrix);
    if (from.group_of) codes.group_of = group_index(tensors_, *from.group_of, codes.groups, codes.group_size);
    codes.unpack = [&](Range some, std::uint8_t* unpacked) {
      for (std::int64_t row = some.begin; row < some.end; ++row, unpacked += inputs)
        unpack_words(from.qweight.data + static_cast<std::size_t>(row) * sizeof(std::uint32_t), outputs,
                     bits_, 0, inputs, unpacked);
    };
    const std::int64_t words = from.qzeros.shape[1];
    codes.groups_of_row = [&](std::int64_t row, float* scales, std::int32_t* zeros) {
      for (std::int64_t group = 0; group < codes.groups; ++group) {
        scales[group] = scale_at(tensors_, from.scales, static_cast<std::size_t>(group * outputs + row));
        std::uint8_t zero = 0;
        unpack_words(from.qzeros.data + static_cast<std::size_t>(group * words) * sizeof(std::uint32_t), 1,
                     bits_, row, 1, &zero);
        zeros[group] = zero + zero_offset_;
      }
    };
    shardrift::decode(codes, rows, out);
  }

 protected:
  void check_tensors(const std::string& matrix, const Shape& shape) const override { parts(matrix, shape); }
  std::vector<std::string_view> suffixes() const override {
    return {".qweight", ".qzeros", ".scales", ".g_idx"};
  }

 private:
  struct Parts {
    StoredTensor qweight, qzeros, scales;
    std::optional<StoredTensor> group_of;
  };

  // gptqmodel's "dynamic": modules with bits and groups of their own; "-:" ones are left unquantized, which
  // the tensors tell.
  static void check_exceptions(const JsonObject& config) {
    const auto exceptions = config.object("dynamic");
    if (!exceptions) return;
    for (const auto& [pattern, change] : exceptions->json().items())
      if (!pattern.starts_with("-:"))
        throw exceptions->wrong(pattern.c_str(), change,
                                "bits and groups that differ by module are not decoded");
  }

  std::int64_t size_of_groups(const Shape& shape) const { return group_size_ == -1 ? shape[1] : group_size_; }

  Parts parts(const std::string& matrix, const Shape& shape) const {
    const std::int64_t outputs = shape[0], inputs = shape[1], size = size_of_groups(shape);
    if (inputs % size != 0) throw tensors_.indivisible(matrix, shape, "groups", size);
    if (inputs * bits_ % 32 != 0 || outputs * bits_ % 32 != 0)
      throw tensors_.indivisible(matrix, shape, "words of 32 bits, in codes", bits_ == 3 ? 32 : 32 / bits_);
    const std::int64_t groups = inputs / size;
    Parts parts{tensors_.get(name(matrix, ".qweight"), matrix, {"I32"}, {{inputs * bits_ / 32, outputs}}),
                tensors_.get(name(matrix, ".qzeros"), matrix, {"I32"}, {{groups, outputs * bits_ / 32}}),
                tensors_.get(name(matrix, ".scales"), matrix, {"F16", "BF16", "F32"}, {{groups, outputs}}),
                {}};
    if (const auto index = name(matrix, ".g_idx"); act_order_ || tensors_.has(index))
      parts.group_of = tensors_.get(index, matrix, {"I32", "I64"}, {{inputs}});
    return parts;
  }

  int bits_ = 4;
  std::int64_t group_size_ = 0;  // -1: all inputs
  bool act_order_ = false;
  std::int32_t zero_offset_ = 0;
};

}  // namespace

std::unique_ptr<MatrixCoding> gptq_coding(const JsonObject& config, const ModelConfig& /*model*/,
                                          const Checkpoint& checkpoint) {
  return std::make_unique<GptqCoding>(config, checkpoint);
}

}  // namespace shardrift
