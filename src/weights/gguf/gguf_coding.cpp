#include "weights/gguf/gguf_coding.hpp"

#include <algorithm>
#include <set>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "weights/gguf/gguf_blocks.hpp"

namespace shardrift {
namespace {

std::int64_t elements(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const auto size : shape) count *= size;
  return count;
}

class GgufCoding : public MatrixCoding {
 public:
  explicit GgufCoding(const GgufModel& model) : model_(model) {}

  std::string description() const override {
    std::set<std::string_view> types;
    for (const auto& [name, matrix] : model_.matrices())
      if (matrix.shape.size() > 1) types.insert(matrix.type->name);
    std::string text = "GGUF";
    for (const auto type : types) text.append(text == "GGUF" ? " " : ", ").append(type);
    return text;
  }
  bool quantized() const override {
    const auto& all = model_.matrices();
    return std::any_of(all.begin(), all.end(),
                       [](const auto& one) { return is_quantized(*one.second.type); });
  }
  bool holds(const std::string& name) const override {
    const auto* matrix = find(name);
    return pair(name) != nullptr || (matrix != nullptr && !is_plain(*matrix));
  }
  std::vector<std::string> tensors(const std::string& name) const override {
    const auto* both = pair(name);
    return both != nullptr ? both->names : std::vector<std::string>{name};
  }
  DType dtype(const std::string& name) const override {
    const auto* both = pair(name);
    return both != nullptr ? dtype_of(*both) : decoded_dtype(at(name));
  }

  void check(const std::string& name, const std::vector<std::int64_t>& shape) const override {
    const auto* both = pair(name);
    if (both == nullptr) {
      check_matrix(at(name), name, shape);
      return;
    }
    const std::vector<std::int64_t> half{shape.front() / 2, shape.back()};
    for (std::size_t i = 0; i < 2; ++i) check_matrix(i == 0 ? *both->even : *both->odd, both->names[i], half);
    if (decoded_dtype(*both->even) != decoded_dtype(*both->odd))
      throw bad_data("{}: tensors {} and {} are of types {} and {}: one kind of number is expected",
                     file(*both->even), shown(both->even->tensor), shown(both->odd->tensor),
                     both->even->type->name, both->odd->type->name);
  }

  void decode(const std::string& name, const std::vector<std::int64_t>& shape, Range rows,
              std::byte* out) const override {
    const std::int64_t cols = shape.back();
    const auto* both = pair(name);
    if (both == nullptr) {
      decode_elements(model_, at(name), rows.begin * cols, rows.end * cols, out);
      return;
    }
    const std::size_t row_bytes = static_cast<std::size_t>(cols) * size_of(dtype_of(*both));
    for (std::int64_t row = rows.begin; row < rows.end; ++row, out += row_bytes)
      decode_elements(model_, row % 2 == 0 ? *both->even : *both->odd, row / 2 * cols, (row / 2 + 1) * cols,
                      out);
  }

 private:
  const GgufMatrix* find(const std::string& name) const {
    const auto found = model_.matrices().find(name);
    return found == model_.matrices().end() ? nullptr : &found->second;
  }
  const GgufPair* pair(const std::string& name) const {
    const auto found = model_.pairs().find(name);
    return found == model_.pairs().end() ? nullptr : &found->second;
  }
  static DType dtype_of(const GgufPair& both) { return decoded_dtype(*both.even); }

  void check_matrix(const GgufMatrix& matrix, const std::string& name,
                    const std::vector<std::int64_t>& shape) const {
    // A vector, or experts' vectors one below the other.
    const bool vector = matrix.shape.size() <= 1 || (shape.size() == 2 && shape[1] == 1);
    const bool fits = vector ? shape.size() == 2 && (shape[0] == 1 || shape[1] == 1) &&
                                   elements(shape) == elements(matrix.shape)
                             : shape == matrix.shape;
    if (!fits)
      throw bad_data("{}: tensor {} ({}) has shape {}, the metadata ask for {}", file(matrix),
                     shown(matrix.tensor), name, shown(matrix.shape), shown(shape));
    const bool copied = is_float(*matrix.type) && !matrix.plus_one;
    if (!copied && !decodes(*matrix.type))
      throw bad_data(
          "{}: tensor {} is of type {}; this version decodes {} (quantize the model to one of these)",
          file(matrix), shown(matrix.tensor), matrix.type->name, decoded_types());
  }

  const GgufMatrix& at(const std::string& name) const { return model_.matrices().at(name); }
  std::string file(const GgufMatrix& matrix) const { return model_.files()[matrix.file].path().string(); }

  const GgufModel& model_;
};

}  // namespace

std::unique_ptr<MatrixCoding> gguf_coding(const GgufModel& model) {
  return std::make_unique<GgufCoding>(model);
}

}  // namespace shardrift
