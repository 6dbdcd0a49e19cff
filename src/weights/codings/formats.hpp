// The formats of quantized safetensors checkpoints, by config.json's quantization_config. One file each; the
// list of them is in codings.cpp. docs/quantization.md says which package each was held against.
#pragma once
#include <memory>

#include "common/json_reader.hpp"
#include "weights/codings/matrix_coding.hpp"

namespace shardrift {

// All throw bad_data for a variant that is not known. `model` gives the dtype that fp8 weights, whose scales
// are float32, are decoded to.
std::unique_ptr<MatrixCoding> fp8_coding(const JsonObject& config, const ModelConfig& model,
                                         const Checkpoint& checkpoint);
std::unique_ptr<MatrixCoding> compressed_tensors_coding(const JsonObject& config, const ModelConfig& model,
                                                        const Checkpoint& checkpoint);
std::unique_ptr<MatrixCoding> awq_coding(const JsonObject& config, const ModelConfig& model,
                                         const Checkpoint& checkpoint);
std::unique_ptr<MatrixCoding> gptq_coding(const JsonObject& config, const ModelConfig& model,
                                          const Checkpoint& checkpoint);
std::unique_ptr<MatrixCoding> bitsandbytes_coding(const JsonObject& config, const ModelConfig& model,
                                                  const Checkpoint& checkpoint);
std::unique_ptr<MatrixCoding> mxfp4_coding(const JsonObject& config, const ModelConfig& model,
                                           const Checkpoint& checkpoint);

}  // namespace shardrift
