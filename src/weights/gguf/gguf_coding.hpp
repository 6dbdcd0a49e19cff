// A GGUF file's matrices that are not as the Hugging Face checkpoint has them: quantized, rows interleaved,
// one added to them.
#pragma once
#include <memory>

#include "weights/codings/matrix_coding.hpp"
#include "weights/gguf/gguf_model.hpp"

namespace shardrift {

// The model must outlive it.
std::unique_ptr<MatrixCoding> gguf_coding(const GgufModel& model);

}  // namespace shardrift
