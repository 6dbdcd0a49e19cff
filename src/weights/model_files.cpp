#include "weights/model_files.hpp"

#include "common/hash.hpp"
#include "common/json_file.hpp"
#include "weights/gguf/gguf_file.hpp"
#include "weights/gguf/gguf_tokenizer.hpp"
#include "weights/safetensors.hpp"
#include "weights/weight_hash.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 30U;  // the largest tokenizer.json of 2026 have 30 MB

std::string hash_of_file(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return {};
  return sha256_hex(read_text_file(path, kMaxBytes));
}

std::string hash_of_tokenizer(const std::filesystem::path& directory) {
  const auto file = tokenizer_file(directory);
  if (file.empty()) return {};
  if (file == directory) return sha256_hex(gguf_tokenizer_text(GgufFile::open(file).metadata()));
  auto hash = hash_of_file(file);
  if (file.filename() != "tokenizer.model") return hash;
  for (const auto* beside : {"tokenizer_config.json", "added_tokens.json"})
    hash.append(" ").append(hash_of_file(directory / beside));
  return sha256_hex(hash);
}

}  // namespace

std::filesystem::path tokenizer_file(const std::filesystem::path& directory) {
  if (std::error_code error; std::filesystem::is_regular_file(directory, error))
    return has_tokenizer(GgufFile::open(directory).metadata()) ? directory : std::filesystem::path();
  for (const auto* name : {"tokenizer.json", "tokenizer.model"}) {
    std::error_code error;
    if (std::filesystem::exists(directory / name, error)) return directory / name;
  }
  return {};
}

ModelFiles small_model_files(const std::filesystem::path& directory, bool text) {
  return {"", hash_of_file(directory / "generation_config.json"),
          text ? hash_of_tokenizer(directory) : std::string()};
}

ModelFiles model_files(const std::filesystem::path& directory, int threads,
                       const std::function<void(double)>& progress) {
  ModelFiles files = small_model_files(directory, true);
  files.weights = hash_weights(Checkpoint::open(directory), threads, progress);
  return files;
}

}  // namespace shardrift
