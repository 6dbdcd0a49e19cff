#include "analysis/inspect/model_inspection.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "tokenizer/tokenizer.hpp"
#include "weights/codings/matrix_coding.hpp"
#include "weights/fit.hpp"
#include "weights/model_files.hpp"
#include "weights/safetensors.hpp"

namespace shardrift::analysis {
namespace {

namespace fs = std::filesystem;

// What `action` refuses, as a problem, once: a GGUF file is all of a model's files. False: it did.
template <typename Action>
bool tried(std::vector<std::string>& problems, Action&& action) {
  try {
    action();
    return true;
  } catch (const Error& error) {
    if (std::find(problems.begin(), problems.end(), error.what()) == problems.end())
      problems.emplace_back(error.what());
    return false;
  }
}

// config.json's quantization alone, where the rest is no model that is computed: so that both are named.
ModelConfig quantization_of(const fs::path& path) {
  constexpr std::size_t kMaxConfigBytes = std::size_t{16} << 20;
  ModelConfig config;
  try {
    const auto json = nlohmann::json::parse(read_text_file(path, kMaxConfigBytes), nullptr, false);
    if (const auto* value = json.is_object() ? member(json, "quantization_config") : nullptr)
      config.quantization = value->dump();
  } catch (const Error&) {  // named already
  }
  return config;
}

void read_tokenizer(ModelInspection& model) {
  fs::path file;
  if (!tried(model.problems, [&] { file = tokenizer_file(model.directory); })) return;
  if (file.empty()) {
    model.notes.emplace_back("no tokenizer: prompts have to be token ids");
    return;
  }
  model.tokenizer_file = file.filename().string();
  const bool opened = tried(model.problems, [&] {
    const auto tokenizer = Tokenizer::open(file);
    model.tokenizer_size = tokenizer.size();
    model.notes.insert(model.notes.end(), tokenizer.notes().begin(), tokenizer.notes().end());
  });
  if (!opened)
    model.notes.emplace_back(
        "prompts of token ids go with any tokenizer: they run where nothing else is wrong");
  if (model.config && model.tokenizer_size > model.config->vocabulary)
    model.notes.push_back(
        fmt::format("the tokenizer has ids up to {}, the model's vocabulary ends at {}: a text that gives a "
                    "higher one is refused",
                    model.tokenizer_size - 1, model.config->vocabulary));
}

void read_checkpoint(ModelInspection& model) {
  std::optional<Checkpoint> checkpoint;
  if (!tried(model.problems, [&] { checkpoint = Checkpoint::open(model.directory); })) return;
  for (const auto& tensor : checkpoint->stored()) {
    auto& stored = model.stored[tensor.dtype];
    ++stored.tensors;
    stored.bytes += static_cast<std::int64_t>(tensor.bytes);
  }
  for (const auto& stamp : checkpoint->stamps()) model.files_bytes += static_cast<std::int64_t>(stamp.size);
  tried(model.problems, [&] {
    const auto coding = matrix_coding(
        model.config ? *model.config : quantization_of(model.directory / "config.json"), *checkpoint);
    if (const auto by = quantization_by(coding.get()); !by.empty()) model.quantization = by;
    if (!model.config) return;
    const auto found = fit(*model.config, *checkpoint);
    model.problems.insert(model.problems.end(), found.problems.begin(), found.problems.end());
    model.notes.insert(model.notes.end(), found.notes.begin(), found.notes.end());
    if (found.head_of_its_own) model.config->tied_head = false;
  });
}

PlanMemory memory_of(const ModelInspection& model, int tensor_parallel, int pipeline) {
  Plan plan;
  plan.tensor_parallel = plan.shards = tensor_parallel;
  plan.pipeline = pipeline;
  plan.dtype = model.dtype;
  plan.logits_dtype = storage_of(plan.dtype);
  plan.batch = model.batch;
  PlanMemory one;
  one.plan = tensor_parallel > 1 ? fmt::format("TP={}", tensor_parallel)
             : pipeline > 1      ? fmt::format("PP={}", pipeline)
                                 : "1 device";
  try {
    plan = validated(plan, static_cast<int>(model.config->layers), world_size(plan));
  } catch (const Error& error) {
    one.refused = error.what();
    return one;
  }
  const auto capacity = capacity_of(plan, *model.config, true, {model.max_length}, model.max_length);
  one.memory = fullest_device(*model.config, plan, capacity);
  one.cache_per_token = one.memory.cache / capacity.slots / capacity.length;
  return one;
}

}  // namespace

ModelInspection inspect_model(const ModelQuestion& question) {
  ModelInspection model;
  model.directory = question.directory;
  model.batch = question.batch;
  if (question.max_length < 0) throw usage_error("--max-length {}: must be at least 1", question.max_length);
  Plan asked;
  asked.batch = question.batch;
  validated(asked, 1, 1);
  if (!question.dtype.empty()) model.dtype = named<DType>("--dtype", question.dtype);
  tried(model.problems, [&] { model.config = read_model_config(model.directory); });
  read_checkpoint(model);
  read_tokenizer(model);
  if (!model.config) return model;
  if (question.dtype.empty()) model.dtype = model.config->dtype;
  model.max_length = std::min(question.max_length > 0 ? question.max_length : model.config->max_positions,
                              model.config->max_positions);
  for (const int devices : {1, 2, 4}) model.memory.push_back(memory_of(model, devices, 1));
  for (const int devices : {2, 4}) model.memory.push_back(memory_of(model, 1, devices));
  model.parameters = model.memory.front().memory.weights / static_cast<std::int64_t>(size_of(model.dtype));
  return model;
}

}  // namespace shardrift::analysis
