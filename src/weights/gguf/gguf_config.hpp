// config.json of the Hugging Face checkpoint that a GGUF file was converted from, out of the file's metadata.
#pragma once
#include <string>

#include "weights/gguf/gguf_model.hpp"

namespace shardrift {

// Its text. Throws bad_data naming file, key and value: keys that are missing or of another kind, and those
// that ask for what the architecture as it is computed here does not have.
std::string gguf_config_text(const GgufModel& model);

}  // namespace shardrift
