// Rows of GGUF's quantized blocks as float32, in the arithmetic of the gguf package's dequantize: its bits.
// Source: https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/quants.py
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "weights/gguf/gguf_types.hpp"

namespace shardrift {

// Of F32, F16 and BF16 too.
bool decodes(const GgufType& type);
// Those decoded: "F32, F16, …".
std::string decoded_types();

// `elements` numbers, whole blocks, into out. A scale that is NaN or infinite: its block's number in the row;
// nothing where all are finite. (GGUF's scales may be zero or negative.)
std::optional<std::size_t> decode_blocks(const GgufType& type, const std::byte* in, std::size_t elements,
                                         float* out);

}  // namespace shardrift
