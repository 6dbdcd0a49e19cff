// What a Hugging Face directory or a GGUF file is, and whether it will run: from config.json, the headers of its safetensors
// files and its tokenizer. Weights are not read, but for a tied head that is stored apart, which is held
// against the embedding.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "weights/describe.hpp"
#include "weights/device_memory.hpp"

namespace shardrift::analysis {

struct ModelQuestion {
  std::filesystem::path directory;
  std::string dtype;            // of the run; empty: the checkpoint's
  int batch = 1;                // --batch of the run
  std::int64_t max_length = 0;  // tokens of the longest prompt with its answer; 0: the model's context
};

struct StoredDType {
  std::int64_t tensors = 0;
  std::int64_t bytes = 0;
};

// Of one plan's fullest device.
struct PlanMemory {
  std::string plan;  // "1 device", "TP=2", "PP=4"
  DeviceMemory memory;
  std::int64_t cache_per_token = 0;  // of one sequence
  std::string refused;               // why this plan cannot be; empty: it can
};

struct ModelInspection {
  std::filesystem::path directory;
  std::optional<ModelConfig> config;  // where config.json could be read
  std::int64_t parameters = 0;
  std::map<std::string, StoredDType> stored;  // by dtype, as the files spell it
  std::int64_t files_bytes = 0;               // of the safetensors files
  std::string quantization = "none";          // of the checkpoint
  std::string tokenizer_file;                 // its name; empty: there is none
  std::int64_t tokenizer_size = 0;            // highest id + 1; 0: refused, or none
  DType dtype = DType::float32;               // of the run that the memory is of
  int batch = 1;
  std::int64_t max_length = 0;
  std::vector<PlanMemory> memory;
  std::vector<std::string> problems;  // why it will not run, all that were found; empty: it will
  std::vector<std::string> notes;
  bool will_run() const { return problems.empty(); }
};

// What is wrong with the directory is in `problems`; throws only for a dtype that there is not, a batch or a
// length that cannot be.
ModelInspection inspect_model(const ModelQuestion& question);

std::string inspect_text(const ModelInspection& model);
std::string inspect_json(const ModelInspection& model);  // docs/inspect.schema.json

}  // namespace shardrift::analysis
