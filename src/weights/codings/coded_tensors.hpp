// The tensors beside a coded matrix: found, checked, read. Errors name file, tensor and value.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.hpp"
#include "parallel/plan/dealing.hpp"
#include "weights/safetensors.hpp"

namespace shardrift {

using Shape = std::vector<std::int64_t>;

std::int64_t elements(const Shape& shape);
DType dtype_of_name(std::string_view safetensors_dtype);  // of F32, F16, BF16 and F64; throws failure

// "q_proj" of "q_proj.weight"; empty: the name does not end so, hence is no linear's matrix.
std::string module_of(const std::string& matrix);

class CodedTensors {
 public:
  explicit CodedTensors(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  const Checkpoint& checkpoint() const { return checkpoint_; }
  bool has(const std::string& name) const { return checkpoint_.contains(name); }

  // Throws bad_data: missing (`matrix` says what for), or of none of the dtypes or shapes. No dtypes: any.
  StoredTensor get(const std::string& name, const std::string& matrix,
                   std::initializer_list<std::string_view> dtypes) const;
  StoredTensor get(const std::string& name, const std::string& matrix,
                   std::initializer_list<std::string_view> dtypes, const std::vector<Shape>& shapes) const;

  Error unfit(const StoredTensor& tensor, const std::vector<Shape>& expected) const;  // its shape
  // "FILE: tensor NAME …"
  template <typename... Args>
  Error wrong(const std::string& name, fmt::format_string<Args...> text, Args&&... args) const {
    return bad_data("{}: tensor {} {}", where(name), name, fmt::format(text, std::forward<Args>(args)...));
  }
  // Group sizes and packing that do not divide a dimension of the matrix.
  Error indivisible(const std::string& matrix, const Shape& shape, std::string_view what,
                    std::int64_t by) const;

 private:
  std::string where(const std::string& name) const;
  const Checkpoint& checkpoint_;
};

// A number of a float tensor: F32, F16, BF16, F8_E8M0, or U8 where it stands for the same.
float number_at(const StoredTensor& tensor, std::size_t index);
// An integer of an I32, I64, I8 or U8 tensor.
std::int64_t integer_at(const StoredTensor& tensor, std::size_t index);

// A scale; throws bad_data where it is zero, negative, infinite or NaN.
float scale_at(const CodedTensors& tensors, const StoredTensor& scales, std::size_t index);

}  // namespace shardrift
