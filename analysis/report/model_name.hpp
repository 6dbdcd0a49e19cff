// What a reader calls a model: its folder and its size.
#pragma once
#include <cstdint>
#include <string>

#include "record/record.hpp"

namespace shardrift::report {

// The folder of the command's --model; of a Hugging Face cache's snapshot, the model's name. Empty: not said.
std::string model_folder(const std::string& command);
// "135M", "7.24B"; empty where the configuration is not one that this version reads.
std::string model_size(const std::string& config);
// "smollm2-135m, 135M parameters, LlamaForCausalLM, bfloat16": what of it is known.
std::string model_name(const record::RunInfo& run);

}  // namespace shardrift::report
