#include "worker/run_info.hpp"

#include <algorithm>

#include "common/hash.hpp"
#include "common/utc_clock.hpp"
#include "options/resume_key.hpp"
#include "parallel/plan/plan_json.hpp"
#include "weights/codings/matrix_coding.hpp"
#include "weights/model_files.hpp"

namespace shardrift {
namespace {

std::string quantization_of(const ModelConfig& config, const Checkpoint& checkpoint) {
  const auto quantization = quantization_by(matrix_coding(config, checkpoint).get());
  return quantization.empty() ? "none" : quantization;
}

}  // namespace

record::RunInfo describe_run(const World& world, const RunOptions& options, const ModelConfig& config,
                             const Checkpoint& checkpoint, const std::vector<Job>& jobs,
                             record::Environment environment) {
  record::RunInfo run;
  run.created = world.broadcast(utc_now());
  run.command = options.command;
  run.version = SHARDRIFT_VERSION;
  run.plan = plan_to_json(options.plan);
  run.mode = name_of(options.mode);
  run.level = name_of(options.level);
  run.logits_dtype = options.plan.logits_dtype;
  run.environment = std::move(environment);
  run.model = {config.architecture,
               std::string(name_of(options.plan.dtype)),
               quantization_of(config, checkpoint),
               config.text,
               checkpoint.identity(config.text),
               config.vocabulary,
               {}};
  const bool text =
      std::any_of(jobs.begin(), jobs.end(), [](const Job& job) { return job.prompt.source == "text"; });
  const ModelFiles files = small_model_files(options.model, text);
  run.model.generation_config = files.generation_config;
  run.model.tokenizer = files.tokenizer;
  run.prompts_hash = sha256_hex(jobs_to_json(jobs));
  return run;
}

void identify(record::RunInfo& run, const RunOptions& options, const std::string& weights,
              const std::optional<CollectiveProfile>& profile, const std::string& replayed) {
  record::ModelInfo& model = run.model;
  model.weights = weights;
  run.resume_key = resume_key(options, {run.version, model.identity, run.prompts_hash,
                                        profile ? sha256_hex(profile_to_json(*profile)) : "",
                                        weights + "|" + model.generation_config + "|" + model.tokenizer +
                                            (replayed.empty() ? "" : "|" + replayed)});
}

}  // namespace shardrift
