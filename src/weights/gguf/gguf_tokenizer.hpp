// tokenizer.json of the model that a GGUF file was converted from, out of the file's tokenizer.ggml keys.
#pragma once
#include <string>

#include "weights/gguf/gguf_metadata.hpp"

namespace shardrift {

bool has_tokenizer(const GgufMetadata& metadata);
// Its text. Throws bad_data naming file, key and value: keys that are missing or do not go together, models
// and pre-tokenizers that are not known (naming those that are).
std::string gguf_tokenizer_text(const GgufMetadata& metadata);

}  // namespace shardrift
