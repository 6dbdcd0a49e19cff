// What a model's files are, by their content: for telling runs of one model from runs of another.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

namespace shardrift {

struct ModelFiles {
  std::string weights;            // weight_hash.hpp
  std::string generation_config;  // SHA-256 of generation_config.json; empty: there is none
  std::string tokenizer;          // of tokenizer.json, likewise; empty, too, where no prompt has text
  bool operator==(const ModelFiles&) const = default;
};

// Those two beside the weights, in a Hugging Face directory; tokenizer.json only with prompts of text. Throws
// bad_data where one cannot be read.
ModelFiles small_model_files(const std::filesystem::path& directory, bool text);
// All three: the weights from what was kept of an earlier time, else read once, by up to `threads` threads.
ModelFiles model_files(const std::filesystem::path& directory, int threads,
                       const std::function<void(double)>& progress = {});

}  // namespace shardrift
