// What a GGUF file's metadata and rope tensors say of the rope, in config.json's words.
#pragma once
#include <nlohmann/json.hpp>
#include <vector>

#include "weights/gguf/gguf_model.hpp"

namespace shardrift {

// rope_scaling's content; null: the rope is not scaled. Throws bad_data for kinds that are not known.
nlohmann::json gguf_rope_scaling(const GgufModel& model, std::int64_t head_dim, double theta);

// The llama3 rope that has these factors by which frequencies are divided (rope_freqs.weight); null: none
// has.
nlohmann::json llama3_of(const std::vector<float>& factors, double theta);

}  // namespace shardrift
