// What a model's files are, by their content: for telling runs of one model from runs of another.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

namespace shardrift {

struct ModelFiles {
  std::string weights;            // weight_hash.hpp
  std::string generation_config;  // SHA-256 of generation_config.json; empty: there is none
  std::string tokenizer;  // of tokenizer_file, likewise (of a GGUF file: of the tokenizer.json that it
                          // stands for); empty, too, where no prompt has text
  bool operator==(const ModelFiles&) const = default;
};

// The file that texts are encoded with: tokenizer.json, else tokenizer.model; of a GGUF file with a tokenizer
// the file itself; empty where there is none.
std::filesystem::path tokenizer_file(const std::filesystem::path& directory);

// Those two beside the weights, in a Hugging Face directory; the tokenizer only with prompts of text (of
// tokenizer.model: with tokenizer_config.json and added_tokens.json, which say what is added to it). Throws
// bad_data where one cannot be read.
ModelFiles small_model_files(const std::filesystem::path& directory, bool text);
// All three: the weights from what was kept of an earlier time, else read once, by up to `threads` threads.
ModelFiles model_files(const std::filesystem::path& directory, int threads,
                       const std::function<void(double)>& progress = {});

}  // namespace shardrift
