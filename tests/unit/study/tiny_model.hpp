// A model directory that can be planned with, though not computed, and prompts for it.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/weights/weight_files.hpp"

namespace shardrift::testing_studies {

// 6 layers, 8 query and 4 KV heads of 8, vocabulary 11: P to 6, any S to 64.
inline std::filesystem::path make_model(const std::filesystem::path& folder,
                                        const std::string& dtype = "float32") {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 64,
 "intermediate_size": 128, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 4,
 "vocab_size": 11, "max_position_embeddings": 512, "tie_word_embeddings": true, "torch_dtype": ")"
                                        << dtype << "\"}";
  std::ofstream(folder / "model.safetensors", std::ios::binary)
      << safetensors(R"({"x": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}})", counting(4));
  std::ofstream(folder / "tokenizer.json")
      << "{}";  // there: prompts may be text; planning does not encode them
  return folder;
}

inline std::filesystem::path make_prompts(const std::filesystem::path& file, int prompts, int tokens = 1) {
  std::ofstream lines(file);
  for (int p = 0; p < prompts; ++p) {
    lines << R"({"id": "p)" << p << R"(", "tokens": [1)";
    for (int i = 1; i < tokens; ++i) lines << ", 2";
    lines << "]}\n";
  }
  return file;
}

}  // namespace shardrift::testing_studies
