#include "cli/worker_runs.hpp"

#include <nlohmann/json.hpp>

#include "analysis/explain/recorded_profile.hpp"
#include "analysis/measure/differences.hpp"
#include "common/durable_file.hpp"
#include "common/error.hpp"
#include "parallel/plan/plan_fields.hpp"
#include "weights/model_config.hpp"
#include "weights/safetensors.hpp"

namespace shardrift::cli {
namespace {

namespace fs = std::filesystem;

// A score record's prompts as the worker reads them: the same tokens.
std::string prompts_of(const record::Reader& run) {
  std::string lines;
  for (const auto& id : run.prompt_ids())
    lines += nlohmann::json({{"id", id}, {"tokens", run.prompt(id).prompt.tokens}}).dump() + "\n";
  return lines;
}

}  // namespace

study::Setting value_of_flag(const std::string& text) {
  study::Setting setting;
  setting.text = text;
  return setting;
}

study::Setting switched_on() {
  study::Setting setting;
  setting.is_switch = true;
  return setting;
}

std::string full_path(const fs::path& path) {
  return fs::absolute(path).lexically_normal().string();
}

study::Settings settings_of(const Plan& plan) {
  study::Settings settings;
  for_each_field(plan, [&](const auto& row, const auto& field) {
    if constexpr (std::is_same_v<std::decay_t<decltype(field)>, bool>) {
      if (field) settings[flag_of(row.key)] = switched_on();
    } else {
      const auto text = text_of(field);
      if (!text.empty()) settings[flag_of(row.key)] = value_of_flag(text);
    }
  });
  return settings;
}

void feed_as(const record::Reader& run, const fs::path& folder, study::Settings& settings) {
  if (run.run().mode == "score") {
    const fs::path prompts = folder / kFedPrompts;
    write_text_durably(prompts, prompts_of(run));
    settings["prompts"] = value_of_flag(full_path(prompts));
    settings["mode"] = value_of_flag("score");
  } else {
    settings["follow"] = value_of_flag(full_path(run.path()));
    settings["mode"] = value_of_flag("follow");
  }
}

fs::path recorded_order(const record::Reader& run, const fs::path& folder) {
  auto profile = analysis::recorded_profile_of_eager(run.run());
  if (!profile) profile = analysis::recorded_profile_of_fold(run.run());
  if (!profile) return {};
  write_profile(*profile, folder / kFoldedBy);
  return full_path(folder / kFoldedBy);
}

void require_model_of(const record::Reader& run, const fs::path& model) {
  const auto& recorded = run.run().model.identity;
  if (recorded.empty()) return;
  const auto config = read_model_config(model).text;
  const auto given = Checkpoint::open(model).identity(config);
  if (recorded == given) return;
  const auto differs = analysis::config_difference(run.run().model.config, config);
  throw bad_data("{}: was made with model {}, {} is {}{}: give its own --model", run.path().string(),
                 recorded.substr(0, 12), model.string(), given.substr(0, 12),
                 differs ? fmt::format(", whose config.json says {} {}, not {}", differs->what,
                                       differs->candidate, differs->reference)
                         : "");
}

void require_config_of(const record::Reader& run, const fs::path& model) {
  const auto config = read_model_config(model);
  const auto& recorded = run.run().model;
  if (const auto differs = analysis::config_difference(recorded.config, config.text))
    throw bad_data(
        "{}: was made with another model: its config.json says {} {}, that of {} {}: give its own --model",
        run.path().string(), differs->what, differs->reference, model.string(), differs->candidate);
  if (recorded.vocabulary != config.vocabulary)
    throw bad_data("{}: vocabulary of {}, {} has {}: give its own --model", run.path().string(),
                   recorded.vocabulary, model.string(), config.vocabulary);
  if (recorded.config.empty()) require_model_of(run, model);
}

runner::RunnerOptions runner_options(const WorkerFlags& flags) {
  runner::RunnerOptions options;
  options.launcher.worker = runner::find_worker(flags.worker);
  options.machine = runner::detect_machine({flags.device, 0}, options.launcher.worker);
  options.output = full_path(flags.output);
  runner::refuse_long_folder(options.output);
  options.rerun_changed = flags.rerun_changed;
  std::error_code error;
  fs::create_directories(options.output, error);
  if (error) throw failure("--output {}: cannot be made: {}", flags.output.string(), error.message());
  return options;
}

std::optional<std::vector<study::Configuration>> run_in(const study::Study& study,
                                                        const runner::RunnerOptions& options,
                                                        const std::string& what) {
  const auto& machine = options.machine.machine;
  study::PlanOptions planning;
  planning.output = options.output;
  auto plan = study::plan_study(study, machine, planning);
  for (const auto& left_out : plan.not_possible)
    throw usage_error("{} {}: cannot run here: {}", what, left_out.name, left_out.reason);
  for (const auto& configuration : plan.configurations)
    if (configuration.predicted)
      throw usage_error("{} {}: {} needs more devices than the {} here: leave it out, or run this there",
                        what, configuration.name, configuration.asked, machine.devices);
  ProgressLine line(ProgressLine::Logs::none);
  const auto status = runner::run_study(study, plan, options, line);
  if (status.state == "interrupted") {
    line.say("interrupted: the same command goes on from here");
    return std::nullopt;
  }
  if (status.state == "failed")
    throw failure("a {} failed (see above): the same command runs it again; logs are in {}", what,
                  options.output.string());
  return std::move(plan.configurations);
}

}  // namespace shardrift::cli
