// What shardrift explain --run explains: a record of several devices, or as many that are not there.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "experiments/study/machine.hpp"
#include "experiments/study/study.hpp"
#include "parallel/plan/plan.hpp"
#include "record/reader.hpp"

namespace shardrift::cli {

struct ExplainRunFlags {
  bool run = false;
  std::filesystem::path model;
  std::filesystem::path prompts;
  std::filesystem::path follow;
  std::filesystem::path real;
  std::filesystem::path profile;
  std::filesystem::path output;  // empty: out/explain/NAME (settle_output)
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
  std::string graft;  // OPERATION:LAYER; empty: the ladder
};

// The group of options that go with --run; --run itself is not one of them.
inline constexpr const char* kWithRun = "with --run";
void add_explain_run_options(Arguments& known, ExplainRunFlags& flags);

// Where no --output is given: a folder of its own for each record, or for each file and number of shards, so
// that what is explained next finds none of this one's rungs.
void settle_output(ExplainRunFlags& flags);

// Every file that explain_run may read or make: none of them is to be written over.
std::vector<std::string> read_by(const ExplainRunFlags& flags);

// What shardrift-run graft writes, in the folder of the rungs.
inline constexpr const char* kGraft = "graft.json";

// The plan of the real run, and what all that is run is given.
struct Subject {
  Plan plan;
  study::Settings common;
  std::optional<record::Reader> real;
};

// Throws usage_error for flags that do not go together.
void check_flags(const ExplainRunFlags& flags);
// Reads the record, and writes its prompts into the folder where they are scored.
Subject subject_of(const ExplainRunFlags& flags, const study::Machine& machine);
// The profile of the real order, as a file; empty where none is needed or none is there (then `note` says
// so).
std::filesystem::path profile_for(const ExplainRunFlags& flags, const Subject& subject,
                                  const study::Machine& machine, std::string& note);

}  // namespace shardrift::cli
