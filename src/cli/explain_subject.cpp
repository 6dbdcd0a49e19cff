#include "cli/explain_subject.hpp"

#include "analysis/explain/ladder.hpp"
#include "analysis/measure/differences.hpp"
#include "analysis/measure/run_summary.hpp"
#include "cli/worker_runs.hpp"
#include "common/error.hpp"
#include "common/input_files.hpp"
#include "experiments/study/profiles.hpp"
#include "parallel/plan/plan_json.hpp"
#include "weights/model_config.hpp"

namespace shardrift::cli {
namespace {

namespace fs = std::filesystem;

bool belongs_to_model(const fs::path& file) {
  const std::string name = file.filename().string();
  return file.extension() == ".safetensors" || file.extension() == ".gguf" ||
         name == "model.safetensors.index.json" || name == "config.json" ||
         name == "generation_config.json" || name == "tokenizer.json" || name == "tokenizer.model" ||
         name == "tokenizer_config.json" || name == "added_tokens.json";
}

}  // namespace

void add_explain_run_options(Arguments& known, ExplainRunFlags& flags) {
  known.group(kWithRun)
      .option("model", flags.model, "DIR", "Hugging Face directory, or a GGUF file")
      .option("graft", flags.graft, "OPERATION:LAYER",
              "in place of the ladder: put one device's output of this operation into the prediction of the "
              "real run (LAYER all: each layer in turn), and measure what is left of the difference")
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
      .option("output", flags.output, "DIR",
              "records and logs (default out/explain/NAME of what is explained)")
      .flag("rerun-changed", flags.rerun_changed, "make records again whose settings changed")
      .option("worker", flags.worker, "PATH", "shardrift-run (default: beside this program)");
}

void settle_output(ExplainRunFlags& flags) {
  if (!flags.output.empty()) return;
  const auto& given = flags.follow.empty() ? flags.prompts : flags.follow;
  flags.output = fs::path("out/explain") /
                 (flags.real.empty() ? fmt::format("{}-{}-shards", given.stem().string(), flags.shards)
                                     : analysis::name_of_run(flags.real));
}

std::vector<std::string> read_by(const ExplainRunFlags& flags) {
  std::vector<std::string> files{flags.real.string(), flags.prompts.string(), flags.follow.string(),
                                 flags.profile.string()};
  for (const auto& file : files_in(flags.model))
    if (belongs_to_model(file)) files.push_back(file);
  for (const auto rung : all_names<analysis::RungKind>())
    files.push_back((flags.output / fmt::format("{}.h5", rung)).string());
  files.push_back((flags.output / kFedPrompts).string());
  files.push_back((flags.output / kGraft).string());
  files.push_back((flags.output / kFoldedBy).string());
  return files;
}

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
  if (!flags.graft.empty() && flags.live)
    throw usage_error("explain --graft {}: computes on one device; leave out --live", flags.graft);
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
  common["model"] = value_of_flag(full_path(flags.model));
  if (!flags.real.empty()) {
    subject.real.emplace(record::Reader::open(flags.real));
    const auto& run = subject.real->run();
    if (analysis::shards_of(run) == 0)
      throw usage_error(
          "--real {}: is another engine's record, of whose arithmetic no device here can compute a part: see "
          "shardrift compare, and shardrift diagnose",
          flags.real.string());
    // Said before the rungs are made, and not after. A graft takes its tokens alone.
    if (flags.graft.empty()) analysis::require_logits(*subject.real);
    plan = plan_from_json(run.plan);
    require_model_of(*subject.real, flags.model);
    if (analysis::rung_of(plan) != analysis::RungKind::real)
      throw usage_error("--real {}: '{}' is no run on several devices with their own collective",
                        flags.real.string(), describe(plan));
    plan.launch = Launch::eager;  // of the rungs, which are looked into
    if (name_of(plan.device) != machine.device)
      throw usage_error("--real {}: ran on {}, the rungs would run on {}: run this on a machine of that kind",
                        flags.real.string(), name_of(plan.device), machine.device);
    feed_as(*subject.real, flags.output, common);
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
    common["prompts"] = value_of_flag(full_path(flags.prompts));
    common["mode"] = value_of_flag("score");
  } else {
    common["follow"] = value_of_flag(full_path(flags.follow));
    common["mode"] = value_of_flag("follow");
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
  if (subject.real) {
    if (auto profile = recorded_order(*subject.real, flags.output); !profile.empty()) {
      note = fmt::format("order: as {} was seen to add", flags.real.string());
      return profile;
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
  const fs::path file = flags.output / kFoldedBy;
  write_profile(chosen->profile, file);
  return full_path(file);
}

}  // namespace shardrift::cli
