#include "experiments/study/prediction.hpp"

#include <fmt/ranges.h>

#include "common/field_text.hpp"
#include "common/flag_field.hpp"
#include "experiments/study/profiles.hpp"
#include "options/pinning.hpp"
#include "parallel/profile/messages.hpp"

namespace shardrift::study {
namespace {

bool erase_pins(Settings& settings) {
  bool pinned = false;
  const Pinning automatic;
  for_each_field(automatic, [&](const auto& row, const auto& field) {
    const auto found = settings.find(flag_of(row.key));
    if (found == settings.end()) return;
    pinned = pinned || found->second.text != text_of(field);
    settings.erase(found);
  });
  return pinned;
}

void put(Settings& settings, const std::string& flag, const std::string& value) {
  const auto old = settings.find(flag);
  settings[flag] = {value, false, true, old == settings.end() ? 0 : old->second.line};
}

}  // namespace

std::variant<Prediction, NoPrediction> predict(const Plan& plan, const Settings& settings,
                                               const Machine& machine, const PlanOptions& options,
                                               const Messages& messages) {
  Prediction prediction{settings, {}};
  auto& flags = prediction.settings;
  std::vector<std::string> why;
  int ranks = world_size(plan);
  if (ranks > machine.devices && plan.replicas > 1) {
    flags.erase("replicas");
    ranks /= plan.replicas;
    why.emplace_back("replicas only share out the prompts");
  }
  if (ranks > machine.devices && plan.pipeline > 1) {
    flags.erase("pipeline");
    flags.erase("stage-layers");
    ranks /= plan.pipeline;
    why.emplace_back("stages only move bytes");
  }
  if (ranks > machine.devices) {
    flags.erase("tensor-parallel");
    put(flags, "shards", std::to_string(plan.shards));
    flags.erase("collective");
    const bool pinned = erase_pins(flags);
    const bool live = plan.row_linear != RowLinear::gather && !plan.reduction.is_local_fold();
    if (!live) {
      why.push_back(plan.row_linear == RowLinear::gather ? "no sum crosses shards"
                                                         : "the sum is a local fold, the same on any device");
    } else if (plan.collective == Collective::one_shot) {
      put(flags, "reduction", "linear");
      put(flags, "accumulate", std::string(name_of(peer_accumulator(plan.dtype))));
      why.emplace_back("one-shot adds in shard order and rounds once");
    } else if (plan.shards == 2) {
      put(flags, "reduction", "linear");
      why.emplace_back("two shards have one possible order of summing");
    } else {
      std::vector<std::string> passed;
      ProfileWanted wanted{plan.shards, operation_of(plan),     plan.dtype,
                           pinned,      called(plan, messages), plan.collective};
      auto chosen = find_profile(wanted, machine, options.collective_profiles, passed);
      if (!chosen && !wanted.messages.captured.empty() && !settings.contains("launch")) {
        wanted.messages.eager.merge(wanted.messages.captured);
        wanted.messages.captured.clear();
        chosen = find_profile(wanted, machine, options.collective_profiles, passed = {});
        put(flags, "launch", std::string(name_of(Launch::eager)));
        why.emplace_back("as launched eagerly, for no profile at hand knows captured sums");
      }
      if (!chosen)
        return NoPrediction{fmt::format(
            "needs {} {}, here {} {}; a prediction needs a collective profile of {} ranks ({}){}: make one "
            "on "
            "a machine that has them, mpirun -n {} shardrift-run probe --save-profile FILE, and give it with "
            "--collective-profile FILE",
            world_size(plan), machine.device == "cuda" ? "GPUs" : "ranks",
            machine.devices == 1 ? "is" : "are", machine.devices, plan.shards, wanted.transport(machine),
            passed.empty() ? "" : fmt::format("; looked at: {}", fmt::join(passed, ", ")), plan.shards)};
      put(flags, "reduction", "profile");
      put(flags, "collective-profile", chosen->profile.file.string());
      if (plan.collective != Collective::library)
        put(flags, "accumulate", std::string(name_of(chosen->profile.accumulator(plan.dtype))));
      why.push_back("summed in the order of " + chosen->described);
    }
    ranks = 1;
  }
  prediction.why = fmt::format("{}", fmt::join(why, "; "));
  return prediction;
}

}  // namespace shardrift::study
