#include "cli/profile_run.hpp"

#include "analysis/measure/differences.hpp"
#include "common/error.hpp"
#include "common/input_files.hpp"
#include "parallel/plan/plan_json.hpp"
#include "weights/model_config.hpp"

namespace shardrift::cli {
namespace {

// What the record's ranks computed, on one device, summed as the profile says.
Plan predicted_by(const CollectiveProfile& profile, Plan plan, const study::Machine& machine) {
  plan.shards = profile.ranks;
  plan.tensor_parallel = 1;
  plan.pipeline = 1;
  plan.replicas = 1;
  plan.stage_layers.clear();
  plan.collective = Collective::library;
  if (const auto* named = std::get_if<NamedOrder>(&profile.model)) {
    plan.reduction = named->reduction;
  } else {
    plan.reduction = Reduction();
    plan.reduction.order = ReductionOrder::profile;
    plan.reduction.accumulator = profile.accumulator(storage_of(plan.dtype));
  }
  plan.device = named<Device>("--device", machine.device);
  if (plan.device == Device::cpu) plan.launch = Launch::eager;
  return plan;
}

// Another engine's plan says nothing: its tokens are predicted in the dtype that it computed in, where its
// record says so, else in the checkpoint's.
Plan plan_of(const record::Reader& run, const std::filesystem::path& model) {
  if (analysis::shards_of(run.run()) > 0) return plan_from_json(run.run().plan);
  Plan plan;
  const auto said = from_name<DType>(run.run().model.dtype);
  plan.dtype = said ? *said : read_model_config(model).dtype;
  plan.logits_dtype = storage_of(plan.dtype);
  return plan;
}

}  // namespace

void add_profile_run_options(Arguments& known, ProfileRunFlags& flags) {
  known.group(kWithProfileRun)
      .option("model", flags.model, "DIR", "Hugging Face directory, or a GGUF file")
      .option("device", flags.worker.device, "cpu|cuda", "default: a GPU where there is one")
      .option("output", flags.worker.output, "DIR",
              "records and logs (default out/profile-diff/NAME of the record)")
      .flag("rerun-changed", flags.worker.rerun_changed, "make records again whose settings changed")
      .option("worker", flags.worker.worker, "PATH", "shardrift-run (default: beside this program)");
}

std::vector<std::string> read_by(const ProfileRunFlags& flags) {
  std::vector<std::string> files;
  for (const auto* name : {"a.h5", "b.h5", kFedPrompts})
    files.push_back((flags.worker.output / name).string());
  for (auto& file : files_in(flags.model)) files.push_back(std::move(file));
  return files;
}

std::optional<OrderRecords> run_orders(const ProfileRunFlags& flags, const record::Reader& run,
                                       const CollectiveProfile& a, const CollectiveProfile& b) {
  const auto options = runner_options(flags.worker);
  if (analysis::shards_of(run.run()) > 0) require_model_of(run, flags.model);
  const Plan recorded = plan_of(run, flags.model);
  study::Study study;
  study.name = "profile-diff";
  study.question =
      fmt::format("What does {} change, after {}?", b.file.filename().string(), a.file.filename().string());
  study::Settings fed;
  fed["model"] = value_of_flag(full_path(flags.model));
  feed_as(run, options.output, fed);
  for (const auto* profile : {&a, &b}) {
    study::Entry entry;
    entry.name = profile == &a ? "a" : "b";
    entry.settings = fed;
    for (const auto& [flag, setting] : settings_of(predicted_by(*profile, recorded, options.machine.machine)))
      entry.settings[flag] = setting;
    if (!profile->named()) entry.settings["collective-profile"] = value_of_flag(full_path(profile->file));
    if (profile == &b) entry.compare_with = "a";
    entry.role = profile == &a ? study::Role::reference : study::Role::candidate;
    study.entries.push_back(std::move(entry));
  }
  const auto ran = run_in(study, options, "prediction");
  if (!ran) return std::nullopt;
  const OrderRecords records{options.output / "a.h5", options.output / "b.h5"};
  return records;
}

}  // namespace shardrift::cli
