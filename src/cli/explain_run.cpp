#include "cli/explain_run.hpp"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "analysis/explain/ladder.hpp"
#include "analysis/explain/recorded_profile.hpp"
#include "cli/commands.hpp"
#include "common/durable_file.hpp"
#include "common/input_files.hpp"
#include "experiments/runner/runner.hpp"
#include "experiments/study/profiles.hpp"
#include "parallel/plan/plan_fields.hpp"
#include "parallel/plan/plan_json.hpp"
#include "record/reader.hpp"
#include "weights/model_config.hpp"

namespace shardrift::cli {
namespace {

namespace fs = std::filesystem;

// Beside the rungs, in their folder.
constexpr const char* kPrompts = "prompts.jsonl";
constexpr const char* kProfile = "profile.json";

study::Setting value(const std::string& text) {
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

// A score record's prompts as the worker reads them: the same tokens.
std::string prompts_of(const record::Reader& run) {
  std::string lines;
  for (const auto& id : run.prompt_ids())
    lines += nlohmann::json({{"id", id}, {"tokens", run.prompt(id).prompt.tokens}}).dump() + "\n";
  return lines;
}

// What is explained: the plan of the real run, and what all rungs are given.
struct Subject {
  Plan plan;
  study::Settings common;
  std::optional<record::Reader> real;
};

void check_flags(const ExplainRunFlags& flags) {
  const auto refuse_beside_real = [&](bool given, const char* flag) {
    if (given && !flags.real.empty())
      throw usage_error("explain --run: --real {} says what it is: leave out {}", flags.real.string(), flag);
  };
  refuse_beside_real(!flags.prompts.empty(), "--prompts");
  refuse_beside_real(!flags.follow.empty(), "--follow");
  refuse_beside_real(flags.shards != 0, "--shards");
  refuse_beside_real(!flags.dtype.empty(), "--dtype");
  refuse_beside_real(!flags.logits_dtype.empty(), "--logits-dtype");
  refuse_beside_real(!flags.row_linear.empty(), "--row-linear");
  refuse_beside_real(!flags.collective.empty(), "--collective");
  refuse_beside_real(!flags.quantize.empty(), "--quantize");
  refuse_beside_real(flags.expert_parallel, "--expert-parallel");
  refuse_beside_real(flags.batch != 0, "--batch");
  refuse_beside_real(flags.prefill_batch != 0, "--prefill-batch");
  refuse_beside_real(flags.live, "--live");
  if (flags.model.empty())
    throw usage_error("explain --run: --model DIR is needed: a Hugging Face directory or a GGUF file");
  if (!flags.real.empty()) return;
  if (flags.shards < 2)
    throw usage_error("explain --run: --shards N, at least 2, or --real FILE: what is to be explained?");
  if (flags.prompts.empty() == flags.follow.empty())
    throw usage_error("explain --run: give either --prompts FILE.jsonl or --follow RECORD.h5");
}

Subject subject_of(const ExplainRunFlags& flags, const study::Machine& machine) {
  Subject subject;
  Plan& plan = subject.plan;
  auto& common = subject.common;
  common["model"] = value(full_path(flags.model));
  if (!flags.real.empty()) {
    subject.real.emplace(record::Reader::open(flags.real));
    const auto& run = subject.real->run();
    plan = plan_from_json(run.plan);
    if (analysis::rung_of(plan) != analysis::RungKind::real)
      throw usage_error("--real {}: '{}' is no run on several devices with their own collective",
                        flags.real.string(), describe(plan));
    plan.launch = Launch::eager;  // of the rungs, which are looked into
    if (name_of(plan.device) != machine.device)
      throw usage_error("--real {}: ran on {}, the rungs would run on {}: run this on a machine of that kind",
                        flags.real.string(), name_of(plan.device), machine.device);
    if (run.mode == "score") {
      const fs::path prompts = flags.output / kPrompts;
      write_text_durably(prompts, prompts_of(*subject.real));
      common["prompts"] = value(full_path(prompts));
      common["mode"] = value("score");
    } else {
      common["follow"] = value(full_path(flags.real));
      common["mode"] = value("follow");
    }
    return subject;
  }
  plan.shards = flags.shards;
  plan.tensor_parallel = flags.shards;
  plan.device = named<Device>("--device", machine.device);
  plan.dtype =
      flags.dtype.empty() ? read_model_config(flags.model).dtype : named<DType>("--dtype", flags.dtype);
  plan.logits_dtype = flags.logits_dtype == "float32" ? DType::float32 : storage_of(plan.dtype);
  if (!flags.logits_dtype.empty() && flags.logits_dtype != "float32" && flags.logits_dtype != "model")
    throw usage_error("unknown --logits-dtype '{}': use model or float32", flags.logits_dtype);
  if (!flags.row_linear.empty()) plan.row_linear = named<RowLinear>("--row-linear", flags.row_linear);
  if (!flags.collective.empty()) plan.collective = named<Collective>("--collective", flags.collective);
  if (!flags.quantize.empty()) plan.quantize = named<Quantization>("--quantize", flags.quantize);
  plan.expert_parallel = flags.expert_parallel;
  if (flags.batch != 0) plan.batch = flags.batch;
  if (flags.prefill_batch != 0) plan.prefill_batch = flags.prefill_batch;
  if (!flags.prompts.empty()) {
    common["prompts"] = value(full_path(flags.prompts));
    common["mode"] = value("score");
  } else {
    common["follow"] = value(full_path(flags.follow));
    common["mode"] = value("follow");
  }
  return subject;
}

// The profile of the order rungs, as a file; empty where none is needed or none is there (then `note` says
// so).
fs::path profile_for(const ExplainRunFlags& flags, const Subject& subject, const study::Machine& machine,
                     std::string& note) {
  if (!flags.profile.empty()) return full_path(flags.profile);
  const bool in_shard_order = subject.plan.shards < 3 || subject.plan.collective == Collective::one_shot;
  if (in_shard_order || subject.plan.row_linear == RowLinear::gather) return {};
  const fs::path file = flags.output / kProfile;
  if (subject.real) {
    if (auto profile = analysis::recorded_profile(subject.real->run())) {
      // The rungs are launched eagerly, and fold as the run summed: its decode passes may have been captured.
      const auto probed = profile->probed;
      for (auto one : probed)
        if (std::exchange(one.captured, false)) profile->add(std::move(one));
      write_profile(*profile, file);
      note = fmt::format("order: as {} was seen to add", flags.real.string());
      return full_path(file);
    }
  }
  study::ProfileWanted wanted;
  wanted.ranks = subject.plan.shards;
  wanted.dtype = storage_of(subject.plan.dtype);
  wanted.collective = subject.plan.collective;
  if (subject.plan.row_linear == RowLinear::scatter) wanted.operation = CollectiveOperation::reduce_scatter;
  std::vector<std::string> passed;
  const auto chosen = study::find_profile(wanted, machine, study::shipped_profile_folders(), passed);
  if (!chosen) {
    note = fmt::format(
        "no collective profile of {} ranks with {} fits this machine: the ladder ends before the real order; "
        "probe one (shardrift-run probe --save-profile) and give --collective-profile",
        wanted.ranks, name_of(wanted.dtype));
    return {};
  }
  note = "order: " + chosen->described;
  write_profile(chosen->profile, file);
  return full_path(file);
}

study::Study ladder_study(const Subject& subject, const fs::path& profile, bool live, bool mixture) {
  study::Study study;
  study.name = "explain";
  study.question = fmt::format("Why does {} not say what one device says?", describe(subject.plan));
  const auto add = [&](std::string_view name, const Plan& plan, bool replays_routes = false) {
    study::Entry entry;
    entry.name = name;
    entry.settings = subject.common;
    for (const auto& [flag, setting] : settings_of(plan)) entry.settings[flag] = setting;
    entry.settings["record"] = value("hidden");
    entry.settings["checksums"] = switched_on();
    if (plan.reduction.needs_profile()) entry.settings["collective-profile"] = value(profile.string());
    if (replays_routes) entry.replay_routes = study.entries.front().name;
    if (!study.entries.empty()) entry.compare_with = study.entries.front().name;
    entry.role = study.entries.empty() ? study::Role::reference : study::Role::candidate;
    study.entries.push_back(std::move(entry));
  };
  for (const auto& rung : analysis::planned_rungs(subject.plan, !profile.empty(), mixture))
    add(name_of(rung.kind), rung.plan, rung.replays_routes);
  if (live) {
    Plan plan = subject.plan;
    plan.reduction = Reduction();
    add(name_of(analysis::RungKind::real), plan);
  }
  return study;
}

bool belongs_to_model(const fs::path& file) {
  const std::string name = file.filename().string();
  return file.extension() == ".safetensors" || file.extension() == ".gguf" ||
         name == "model.safetensors.index.json" || name == "config.json" ||
         name == "generation_config.json" || name == "tokenizer.json" || name == "tokenizer.model" ||
         name == "tokenizer_config.json" || name == "added_tokens.json";
}

void require_one_model(const record::Reader& real, const fs::path& reference) {
  const auto& wanted = real.run().model.identity;
  const auto found = record::Reader::open(reference).run().model.identity;
  if (wanted != found)
    throw bad_data("{}: was made with model {}, the rungs with {}: give its own --model",
                   real.path().string(), wanted.substr(0, 12), found.substr(0, 12));
}

}  // namespace

study::Settings settings_of(const Plan& plan) {
  study::Settings settings;
  for_each_field(plan, [&](const auto& row, const auto& field) {
    if constexpr (std::is_same_v<std::decay_t<decltype(field)>, bool>) {
      if (field) settings[flag_of(row.key)] = switched_on();
    } else {
      const auto text = text_of(field);
      if (!text.empty()) settings[flag_of(row.key)] = value(text);
    }
  });
  return settings;
}

void add_explain_run_options(Arguments& known, ExplainRunFlags& flags) {
  known.group(kWithRun)
      .option("model", flags.model, "DIR", "Hugging Face directory, or a GGUF file")
      .option("real", flags.real, "FILE",
              "the record to explain: prompts, plan and the order of its collective are its own")
      .option("prompts", flags.prompts, "FILE", "without --real: texts that every rung scores")
      .option("follow", flags.follow, "FILE", "… or a record whose tokens every rung is fed")
      .option("shards", flags.shards, "N", "… and the number of devices to explain")
      .flag("live", flags.live, "… and run these N ranks here too, as the last rung")
      .option("collective-profile", flags.profile, "FILE",
              "the order of the real collective (default: the record's own, or a shipped one that fits)")
      .option("dtype", flags.dtype, "NAME", "default: the checkpoint's")
      .option("logits-dtype", flags.logits_dtype, "NAME", "model or float32")
      .option("row-linear", flags.row_linear, "NAME", "reduce, scatter or gather")
      .option("collective", flags.collective, "NAME", "library, one-shot or two-shot")
      .flag("expert-parallel", flags.expert_parallel, "of a mixture: devices have whole experts")
      .option("quantize", flags.quantize, "NAME", "what weights are quantized to when they are loaded")
      .option("batch", flags.batch, "N", "with --follow: sequences in one decode pass")
      .option("prefill-batch", flags.prefill_batch, "N", "prompts in one prefill pass")
      .option("device", flags.device, "cpu|cuda", "default: a GPU where there is one")
      .option("output", flags.output, "DIR", "records and logs (default out/explain)")
      .flag("rerun-changed", flags.rerun_changed, "make records again whose settings changed")
      .option("worker", flags.worker, "PATH", "shardrift-run (default: beside this program)");
}

std::vector<std::string> read_by(const ExplainRunFlags& flags) {
  std::vector<std::string> files{flags.real.string(), flags.prompts.string(), flags.follow.string(),
                                 flags.profile.string()};
  for (const auto& file : files_in(flags.model))
    if (belongs_to_model(file)) files.push_back(file);
  for (const auto rung : all_names<analysis::RungKind>())
    files.push_back((flags.output / fmt::format("{}.h5", rung)).string());
  files.push_back((flags.output / kPrompts).string());
  files.push_back((flags.output / kProfile).string());
  return files;
}

ExitCode explain_run(const ExplainRunFlags& flags, ExplainOutput& output) {
  check_flags(flags);
  runner::RunnerOptions options;
  options.launcher.worker = runner::find_worker(flags.worker);
  options.machine = runner::detect_machine({flags.device, 0}, options.launcher.worker);
  options.output = full_path(flags.output);
  runner::refuse_long_folder(options.output);
  options.rerun_changed = flags.rerun_changed;
  study::Machine& machine = options.machine.machine;
  std::error_code error;
  fs::create_directories(options.output, error);
  if (error) throw failure("--output {}: cannot be made: {}", flags.output.string(), error.message());

  const Subject subject = subject_of(flags, machine);
  std::string note;
  const fs::path profile = profile_for(flags, subject, machine, note);
  // Ranks may share cores: a live rung is run for its bits, not for its speed.
  if (flags.live && machine.device == "cpu") machine.devices = std::max(machine.devices, flags.shards);
  const auto study = ladder_study(subject, profile, flags.live, has_experts(read_model_config(flags.model)));
  study::PlanOptions planning;
  planning.output = options.output;
  const auto plan = study::plan_study(study, machine, planning);
  for (const auto& left_out : plan.not_possible)
    throw usage_error("rung {}: cannot run here: {}", left_out.name, left_out.reason);
  for (const auto& configuration : plan.configurations)
    if (configuration.predicted)
      throw usage_error("--live: {} ranks need {} devices, here {} {}: leave it out, or run this there",
                        flags.shards, flags.shards, machine.devices == 1 ? "is" : "are", machine.devices);
  ProgressLine line(ProgressLine::Logs::none);
  const auto status = runner::run_study(study, plan, options, line);
  if (status.state == "interrupted") {
    line.say("interrupted: the same command goes on from here");
    return ExitCode::interrupted;
  }
  if (status.state == "failed")
    throw failure("a rung failed (see above): the same command runs it again; logs are in {}",
                  options.output.string());

  std::vector<analysis::RungFile> rungs;
  for (const auto& configuration : plan.configurations)
    rungs.push_back(
        {configuration.name, from_name<analysis::RungKind>(configuration.name), configuration.output});
  if (subject.real) {
    require_one_model(*subject.real, rungs.front().path);
    rungs.push_back({std::string(name_of(analysis::RungKind::real)), analysis::RungKind::real, flags.real});
  }
  if (!note.empty()) print(note + "\n\n");
  return output.show_ladder(rungs);
}

}  // namespace shardrift::cli
