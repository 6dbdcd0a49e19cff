// config.json of a Hugging Face directory, both spellings (transformers 4: rope_theta, rope_scaling,
// torch_dtype; transformers 5: rope_parameters, dtype).
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/dtype.hpp"
#include "weights/layer_spec.hpp"

namespace shardrift {

struct ModelConfig {
  std::string architecture;  // its name: for records and messages, never to decide by
  std::string wrapper;       // the multimodal architecture whose text part this is; empty: none
  std::int64_t hidden = 0;
  std::int64_t intermediate = 0;
  std::int64_t layers = 0;
  std::int64_t query_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;  // its own key, else hidden / query_heads
  std::int64_t vocabulary = 0;
  std::int64_t max_positions = 0;  // context length
  double rms_norm_eps = 1e-6;
  NormKind norm = NormKind::rounded;  // of all norms
  double embedding_scale = 1;         // of the embedding's rows, rounded to the run's dtype where it …
  bool embedding_scale_rounds = false;
  double logits_divisor = 1;  // logits / divisor,
  double logits_softcap = 0;  // then c · tanh(logits / c); 0: none
  bool tied_head = false;
  std::vector<LayerSpec> specs;       // [layers]
  DType dtype = DType::float32;       // the checkpoint's
  std::vector<std::int32_t> eos_ids;  // config.json's eos_token_id (number or list); may be empty
  std::string quantization;           // JSON of quantization_config; empty: none (codings/matrix_coding.hpp)
  std::string text;                   // config.json as read
};

// Throws bad_data naming file, key and value: missing or unreadable file, no JSON, missing keys, non-positive
// or absurd sizes, query_heads not a multiple of kv_heads, odd head_dim, an architecture, activation (only
// silu) or rope type this version does not compute. generation_config.json's eos_token_id, where there is
// one, is added to eos_ids. Of a GGUF file: config.json is written from its metadata first.
ModelConfig read_model_config(const std::filesystem::path& directory);
// config.json alone, from its text; `where` begins messages.
ModelConfig parse_model_config(std::string text, const std::string& where);

bool has_experts(const ModelConfig& config);  // in any layer

// Of the unsharded model, biases left out.
std::int64_t parameter_count(const ModelConfig& config);

}  // namespace shardrift
