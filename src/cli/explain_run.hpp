// shardrift explain --run: runs the rungs of an explanation ladder through the worker, then measures it.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/explain_output.hpp"
#include "common/error.hpp"
#include "experiments/study/study.hpp"
#include "parallel/plan/plan.hpp"

namespace shardrift::cli {

struct ExplainRunFlags {
  bool run = false;
  std::filesystem::path model;
  std::filesystem::path prompts;
  std::filesystem::path follow;
  std::filesystem::path real;
  std::filesystem::path profile;
  std::filesystem::path output = "out/explain";
  std::filesystem::path worker;
  int shards = 0;
  bool live = false;
  bool rerun_changed = false;
  std::string device = "auto";
  std::string dtype;         // empty: the model's
  std::string logits_dtype;  // empty: model
  std::string row_linear;    // empty: reduce
  std::string collective;    // empty: library
  std::string quantize;      // empty: none
  bool expert_parallel = false;
  int batch = 0;  // 0: 1
  int prefill_batch = 0;
};

// The group of options that go with --run; --run itself is not one of them.
inline constexpr const char* kWithRun = "with --run";
void add_explain_run_options(Arguments& known, ExplainRunFlags& flags);

// The flags of `shardrift-run run` that ask for this plan on one device; parse_run_options gives it back.
study::Settings settings_of(const Plan& plan);

// Every file that explain_run may read or make: none of them is to be written over.
std::vector<std::string> read_by(const ExplainRunFlags& flags);

// Runs what is missing and shows the ladder. Exit codes as explain's, 70 where a rung failed, 75
// interrupted.
ExitCode explain_run(const ExplainRunFlags& flags, ExplainOutput& output);

}  // namespace shardrift::cli
