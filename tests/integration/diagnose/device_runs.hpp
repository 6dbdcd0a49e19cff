// Runs of the worker in this process, on a device of the test's own, and diagnoses of them.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "analysis/diagnose/diagnosis.hpp"
#include "options/run_options.hpp"
#include "tests/integration/diagnose/faulty_device.hpp"

namespace shardrift::testing {

// What all runs of a diagnosis have in common.
struct Subject {
  std::string model;  // a fixture
  DType dtype = DType::float32;
  Mode mode = Mode::score;  // score, or follow of a greedy run of one device
  unsigned seed = 1;        // of the prompts
  int prompts = 3;
};

Plan one_device(const Subject& subject);
// One device with S shards, added in this order (as --reduction spells it).
Plan in_shards(const Subject& subject, int shards, const std::string& order = "linear");
// S ranks, as a record of theirs says, whose collective's order is not known.
Plan ranks(const Subject& subject, int count);

class DeviceRuns {
 public:
  explicit DeviceRuns(const std::string& name);  // of the folder

  // Made once for each subject and plan.
  std::filesystem::path run(const Subject& subject, const Plan& plan);
  // With a fault; made each time. Fails the test where the fault never did anything.
  std::filesystem::path run_with(const Subject& subject, const Plan& plan, const Fault& fault);
  // The reference is one device's run; the candidate's plan, for the runs it is held against, is `said`.
  analysis::Diagnosis diagnose(const Subject& subject, const std::filesystem::path& candidate,
                               const Plan& said, const std::optional<Plan>& reference = std::nullopt);

 private:
  std::filesystem::path make(const Subject& subject, const Plan& plan, const std::optional<Fault>& fault,
                             const std::string& name);
  std::filesystem::path folder_;
  std::map<std::string, std::filesystem::path> made_;
  int count_ = 0;
};

// "beyond 153 at gate_up of layer 1": what decided, for a table.
std::string in_short(const analysis::Diagnosis& diagnosis);

}  // namespace shardrift::testing
