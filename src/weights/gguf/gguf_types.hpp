// The element types of GGUF tensors: blocks of so many elements in so many bytes, along a row.
// Source: ggml.h (enum ggml_type), ggml-common.h (the blocks).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace shardrift {

struct GgufType {
  std::uint32_t id = 0;
  std::string_view name;
  std::uint32_t block = 1;  // elements
  std::uint32_t bytes = 0;  // of a block
};

inline bool is_quantized(const GgufType& type) {
  return type.block > 1;
}

inline bool is_float(const GgufType& type) {
  return type.name == "F32" || type.name == "F16" || type.name == "BF16" || type.name == "F64";
}

// Null for ids that no version of the format had, or that it gave up. The types' places do not change.
const GgufType* gguf_type(std::uint32_t id);

}  // namespace shardrift
