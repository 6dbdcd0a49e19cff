#include "tests/integration/diagnose/device_runs.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "analysis/diagnose/words.hpp"
#include "parallel/plan/plan_json.hpp"
#include "recorded.hpp"
#include "worker/run.hpp"

namespace shardrift::testing {
namespace fs = std::filesystem;

namespace {

// MPI, once in this process, which nobody started as a rank.
const World& world() {
  static int argc = 0;
  static char** argv = nullptr;
  static const auto* one = [] {
    setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
    return new World(argc, argv);  // the process ends without destructors
  }();
  return *one;
}

// Other prompts, by hand: SHARDRIFT_DIAGNOSE_SEED=1000 build/tests/test_planted_defects
std::uint64_t seed_of(const Subject& subject) {
  const char* more = std::getenv("SHARDRIFT_DIAGNOSE_SEED");
  return subject.seed + (more == nullptr ? 0 : std::strtoull(more, nullptr, 10));
}

fs::path prompts_file(const fs::path& folder, const Subject& subject) {
  constexpr int kLengths[] = {6, 23, 14, 37, 3};
  const fs::path path = folder / fmt::format("prompts-{}-{}.jsonl", subject.seed, subject.prompts);
  if (fs::exists(path)) return path;
  std::ofstream file(path);
  std::uint64_t state = seed_of(subject);
  for (int p = 0; p < subject.prompts; ++p) {
    file << R"({"id": "p)" << p << R"(", "tokens": [)";
    for (int i = 0; i < kLengths[(p + static_cast<int>(subject.seed)) % 5]; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      file << (i == 0 ? "" : ", ") << (state >> 33U) % 100;
    }
    file << "]}\n";
  }
  return path;
}

std::string key_of(const Subject& subject, const Plan& plan, Mode mode) {
  return fmt::format("{} {} {} {} {}", subject.model, name_of(mode), subject.seed, subject.prompts,
                     plan_to_json(plan));
}

}  // namespace

Plan one_device(const Subject& subject) {
  Plan plan;
  plan.dtype = subject.dtype;
  plan.logits_dtype = storage_of(subject.dtype);
  return plan;
}

Plan in_shards(const Subject& subject, int shards, const std::string& order) {
  Plan plan = one_device(subject);
  plan.shards = shards;
  plan.reduction = reduction_from_text(order);
  return plan;
}

Plan ranks(const Subject& subject, int count) {
  Plan plan = one_device(subject);
  plan.shards = plan.tensor_parallel = count;
  return plan;
}

DeviceRuns::DeviceRuns(const std::string& name) : folder_(scratch(name)) {}

fs::path DeviceRuns::make(const Subject& subject, const Plan& plan, const std::optional<Fault>& fault,
                          const std::string& name) {
  RunOptions options;
  options.model = fixture(subject.model);
  options.output = folder_ / (name + ".h5");
  options.quiet = options.ignore_eos = options.sketches = true;
  options.level = RecordLevel::hidden;
  options.max_new_tokens = 9;
  options.threads = 1;
  options.plan = plan;
  options.mode = subject.mode;
  options.command = "a test";
  if (subject.mode == Mode::follow) {
    Subject greedy = subject;
    greedy.mode = Mode::greedy;
    options.follow = run(greedy, one_device(subject));
  } else {
    options.prompts = prompts_file(folder_, subject);
  }
  OpenedPlan opened = open_plan(world(), options, {});
  // As shardrift diagnose does: of a mixture all runs go the same ways.
  if (has_experts(opened.config) && !(plan == one_device(subject)))
    options.replay_routes = run(subject, one_device(subject));
  int planted = 0;
  if (fault)
    opened.device.backend = std::make_unique<FaultyDevice>(*fault, opened.config, options.plan, planted);
  run_plan(world(), options, std::move(opened), {});
  if (fault && fault->kind != FaultKind::none) {
    EXPECT_GT(planted, 0) << name << ": the fault never did anything";
  }
  return options.output;
}

fs::path DeviceRuns::run(const Subject& subject, const Plan& plan) {
  const auto key = key_of(subject, plan, subject.mode);
  const auto found = made_.find(key);
  if (found != made_.end()) return found->second;
  const auto path = make(subject, plan, std::nullopt, fmt::format("run-{}", count_++));
  made_[key] = path;
  return path;
}

fs::path DeviceRuns::run_with(const Subject& subject, const Plan& plan, const Fault& fault) {
  return make(subject, plan, fault, fmt::format("planted-{}", count_++));
}

analysis::Diagnosis DeviceRuns::diagnose(const Subject& subject, const fs::path& candidate, const Plan& said,
                                         const std::optional<Plan>& reference) {
  const Plan plan = reference.value_or(one_device(subject));
  const auto wanted = analysis::diagnosis_runs(plan, said, false);
  std::vector<record::Reader> readers;
  for (const auto& one : wanted) readers.push_back(record::Reader::open(run(subject, one.plan)));
  std::vector<analysis::MadeRun> made;
  for (std::size_t i = 0; i < wanted.size(); ++i) made.push_back({wanted[i], &readers[i]});
  return analysis::diagnose(record::Reader::open(run(subject, plan)), record::Reader::open(candidate), made);
}

std::string in_short(const analysis::Diagnosis& diagnosis) {
  std::string text(name_of(diagnosis.finding));
  for (const auto& side : diagnosis.sides) {
    double worst = 0;
    double mean = 0;
    for (const auto& drift : side.drifts) {
      worst = std::max(worst, drift.worst);
      mean = std::max(mean, drift.mean);
    }
    text += fmt::format("; {} {:.3g} {:.3g}", name_of(side.side), worst, mean);
    if (side.unclear) text += " from " + place_text(side.unclear->point, side.seen);
    if (side.beyond)
      text += fmt::format(", beyond at {} {} ({:.3g})", place_text(side.beyond->point, side.seen),
                          shards_text(*side.beyond, {}), side.beyond->worst.worst);
  }
  return text;
}

}  // namespace shardrift::testing
