// What GGUF calls the tensors of an architecture, and what its converter did to them; the names of the
// Hugging Face checkpoint they came from.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace shardrift {

// Of a layer, without "blk.N." and ".weight" or ".bias"; without "model.layers.N.". "{}" stands for the
// expert where GGUF has all experts' matrices in one tensor.
struct GgufName {
  std::string_view gguf;
  std::string_view ours;
};

struct GgufArchitecture {
  std::string_view name;            // general.architecture
  std::span<const GgufName> layer;  // also of mixtures
  // llama.cpp rotates neighbours (2j, 2j + 1) where Hugging Face rotates (j, j + half): the rows of each
  // head's queries and keys are interleaved.
  bool interleaved = false;
  bool norms_plus_one = false;  // where the model multiplies by 1 + w, the sum is stored
  // gpt-oss's checkpoint has all experts' gates and ups in one tensor, row by row in turn; GGUF has two.
  bool gates_beside_ups = false;
};

// Null: not one of them.
const GgufArchitecture* find_gguf_architecture(std::string_view name, bool experts);
std::string gguf_architecture_names();  // "llama, qwen2, …"

// Of a tensor, ours, with "{}" where it has an expert's number; empty: the architecture has none of that
// name.
std::string our_name(const GgufArchitecture& architecture, std::string_view gguf);
// The other way, for messages: the tensor that a matrix of ours is looked for in; ours where there is none.
std::string gguf_name(const GgufArchitecture& architecture, std::string_view ours);
// Of the kinds that converters change.
bool is_query(std::string_view gguf);
bool is_key(std::string_view gguf);
bool is_norm(std::string_view gguf);
// Tensors that describe the rope: read with the metadata, not as weights.
bool is_rope_tensor(std::string_view gguf);

}  // namespace shardrift
