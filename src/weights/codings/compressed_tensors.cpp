// compressed-tensors (llm-compressor's checkpoints): integers or fp8, a code each or packed in words, with
// scales by tensor, channel, group or block. Numbers are (code - zero) · scale in the scales' dtype, as its
// dequantize has it.
#include <algorithm>

#include "common/json_file.hpp"
#include "weights/codings/compressed_scheme.hpp"
#include "weights/codings/formats.hpp"
#include "weights/codings/group_index.hpp"
#include "weights/codings/linear_coding.hpp"
#include "weights/codings/numbers.hpp"
#include "weights/codings/scaled_codes.hpp"

namespace shardrift {
namespace {

std::int64_t divided(std::int64_t count, std::int64_t by) {
  return (count + by - 1) / by;
}

class CompressedTensorsCoding : public LinearCoding {
 public:
  CompressedTensorsCoding(const JsonObject& config, const Checkpoint& checkpoint)
      : LinearCoding(config, checkpoint), schemes_(config) {}

  std::string description() const override { return schemes_.description(); }
  bool holds(const std::string& matrix) const override {
    const auto dtype = stored_dtype(matrix);
    return has(matrix, ".weight_packed") || has(matrix, ".weight_scale") || dtype == "I8" ||
           dtype.starts_with("F8_");
  }
  DType dtype(const std::string& matrix) const override {
    return dtype_of_name(tensors_.get(name(matrix, ".weight_scale"), matrix, {"F16", "BF16", "F32"}).dtype);
  }

  void decode(const std::string& matrix, const Shape& shape, Range rows, std::byte* out) const override {
    const Parts from = parts(matrix, shape);
    ScaledCodes codes;
    codes.cols = shape[1];
    codes.bits = from.scheme->bits;
    codes.group_size = from.width;
    codes.groups = divided(shape[1], from.width);
    codes.dtype = dtype(matrix);
    if (from.group_of) codes.group_of = grouped_columns(from, codes.groups);
    // Packed codes and zeros are stored with the lowest as 0.
    std::int32_t lowest = 0;
    if (from.scheme->storage == CompressedFormat::packed) {
      lowest = -(1 << (codes.bits - 1));
      codes.unpack = [&](Range some, std::uint8_t* unpacked) {
        const std::int64_t words = from.weight.shape[1];
        for (std::int64_t row = some.begin; row < some.end; ++row, unpacked += shape[1])
          unpack_words(from.weight.data + static_cast<std::size_t>(row * words) * sizeof(std::uint32_t), 1,
                       codes.bits, 0, shape[1], unpacked);
      };
    } else {
      codes.bits = 8;
      const auto shift = static_cast<std::uint8_t>(from.scheme->floats ? 0 : 128);  // int8 from 0 on
      lowest = -std::int32_t{shift};
      if (from.scheme->floats) codes.values = kE4m3.data();
      codes.unpack = [&, shift](Range some, std::uint8_t* unpacked) {
        const std::byte* stored = from.weight.data + some.begin * shape[1];
        std::uint8_t least = 255, most = 0;
        for (std::int64_t i = 0; i < some.size() * shape[1]; ++i) {
          const auto code = static_cast<std::uint8_t>(static_cast<std::uint8_t>(stored[i]) + shift);
          least = std::min(least, code);
          most = std::max(most, code);
          unpacked[i] = code;
        }
        if (!from.scheme->floats) check_codes(matrix, from.scheme->bits, least - shift, most - shift);
      };
    }
    codes.groups_of_row = [&, lowest](std::int64_t row, float* scales, std::int32_t* zeros) {
      for (std::int64_t group = 0; group < codes.groups; ++group) {
        const std::int64_t line = from.height == 0 ? 0 : row / from.height;
        const auto index = static_cast<std::size_t>(line * codes.groups + group);
        scales[group] = scale_at(tensors_, from.scale, index);
        zeros[group] = zero_of(from, row, group, codes.groups, index) - lowest;
      }
    };
    shardrift::decode(codes, rows, out);
  }

 protected:
  void check_tensors(const std::string& matrix, const Shape& shape) const override { parts(matrix, shape); }
  std::vector<std::string_view> suffixes() const override {
    return {".weight",       ".weight_packed",     ".weight_scale",
            ".weight_shape", ".weight_zero_point", ".weight_g_idx"};
  }

 private:
  struct Parts {
    const CompressedScheme* scheme = nullptr;
    StoredTensor weight, scale;
    std::optional<StoredTensor> zero, group_of;
    bool zero_packed = false;
    std::int64_t height = 0, width = 0;  // rows and columns that have a scale; height 0: all rows
  };

  const CompressedScheme& scheme_of(const std::string& matrix) const {
    if (const auto* scheme = schemes_.of(module_of(matrix))) return *scheme;
    throw tensors_.wrong(tensors_.has(matrix) ? matrix : name(matrix, ".weight_scale"),
                         "is quantized, but in config.json's quantization_config {}",
                         schemes_.ignores(module_of(matrix)) ? "ignore lists its module"
                                                             : "no config group targets its module");
  }

  Parts parts(const std::string& matrix, const Shape& shape) const {
    Parts parts{.scheme = &scheme_of(matrix)};
    const CompressedScheme& scheme = *parts.scheme;
    const bool packed = scheme.storage == CompressedFormat::packed;
    const bool grouped = scheme.scope == CompressedScope::group;
    if (grouped && shape[1] % scheme.group_size != 0)
      throw tensors_.indivisible(matrix, shape, "groups", scheme.group_size);
    parts.height = scheme.scope == CompressedScope::tensor  ? 0
                   : scheme.scope == CompressedScope::block ? scheme.block[0]
                                                            : 1;
    parts.width = grouped                                  ? scheme.group_size
                  : scheme.scope == CompressedScope::block ? scheme.block[1]
                                                           : shape[1];
    parts.weight = packed ? packed_weight(matrix, shape, scheme.bits)
                          : tensors_.get(matrix, matrix, {scheme.floats ? "F8_E4M3" : "I8"}, {shape});
    const std::int64_t groups = divided(shape[1], parts.width);
    const std::int64_t lines = parts.height == 0 ? 1 : divided(shape[0], parts.height);
    std::vector<Shape> shapes = {{lines, groups}};
    if (groups == 1) shapes.push_back({lines});
    if (groups == 1 && lines == 1) shapes.emplace_back();
    parts.scale = tensors_.get(name(matrix, ".weight_scale"), matrix, {"F16", "BF16", "F32"}, shapes);
    if (const auto zero = name(matrix, ".weight_zero_point"); !scheme.symmetric || tensors_.has(zero)) {
      parts.zero_packed = packed && !scheme.symmetric && parts.height == 1;
      parts.zero = parts.zero_packed
                       ? tensors_.get(zero, matrix, {"I32"}, {{divided(shape[0] * scheme.bits, 32), groups}})
                       : tensors_.get(zero, matrix, {"I8", "F8_E4M3"}, shapes);
    }
    if (const auto index = name(matrix, ".weight_g_idx"); scheme.act_order || tensors_.has(index))
      parts.group_of = tensors_.get(index, matrix, {"I32", "I64"}, {{shape[1]}});
    return parts;
  }

  StoredTensor packed_weight(const std::string& matrix, const Shape& shape, int bits) const {
    const auto stated = name(matrix, ".weight_shape");
    const auto sizes = tensors_.get(stated, matrix, {"I64", "I32"}, {{2}});
    const Shape of_weight = {integer_at(sizes, 0), integer_at(sizes, 1)};
    if (of_weight != shape)
      throw tensors_.wrong(stated, "says {}, config.json asks for {}", shown(of_weight), shown(shape));
    return tensors_.get(name(matrix, ".weight_packed"), matrix, {"I32"},
                        {{shape[0], divided(shape[1] * bits, 32)}});
  }

  // Integers of fewer than 8 bits may be stored in bytes of their own, as they are.
  void check_codes(const std::string& matrix, int bits, int least, int most) const {
    const int half = 1 << (bits - 1);
    if (least < -half || most >= half)
      throw tensors_.wrong(matrix, "has the code {}, config.json's num_bits is {}: {} to {} are expected",
                           least < -half ? least : most, bits, -half, half - 1);
  }

  std::int32_t zero_of(const Parts& from, std::int64_t row, std::int64_t group, std::int64_t groups,
                       std::size_t index) const {
    if (!from.zero) return 0;
    if (from.zero_packed) {  // along the rows
      std::uint8_t code = 0;
      unpack_words(from.zero->data + static_cast<std::size_t>(group) * sizeof(std::uint32_t), groups,
                   from.scheme->bits, row, 1, &code);
      return code - (1 << (from.scheme->bits - 1));
    }
    const auto zero = static_cast<std::int32_t>(integer_at(*from.zero, index));
    if (from.scheme->floats && (zero & 0x7F) != 0)
      throw tensors_.wrong(from.zero->name, "is not zero, the zero point that is expected of fp8 weights");
    return from.scheme->floats ? 0 : zero;
  }

  // Indices are -1 where columns were not reordered after all. Groups are of one size: what else the package
  // did with them, it did by position.
  std::vector<std::int32_t> grouped_columns(const Parts& from, std::int64_t groups) const {
    const auto columns = static_cast<std::size_t>(elements(from.group_of->shape));
    for (std::size_t column = 0; column < columns; ++column)
      if (integer_at(*from.group_of, column) == -1) return {};
    auto group_of = group_index(tensors_, *from.group_of, groups, from.width);
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(groups));
    for (const auto group : group_of)
      if (++sizes[static_cast<std::size_t>(group)] > from.width)
        throw tensors_.wrong(from.group_of->name, "puts more than {} columns into group {}", from.width,
                             group);
    return group_of;
  }

  CompressedSchemes schemes_;
};

}  // namespace

std::unique_ptr<MatrixCoding> compressed_tensors_coding(const JsonObject& config,
                                                        const ModelConfig& /*model*/,
                                                        const Checkpoint& checkpoint) {
  return std::make_unique<CompressedTensorsCoding>(config, checkpoint);
}

}  // namespace shardrift
