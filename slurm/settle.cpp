#include "slurm/settle.hpp"

#include <fmt/ranges.h>

#include <map>

#include "common/error.hpp"
#include "common/utc_clock.hpp"
#include "experiments/runner/status.hpp"
#include "record/reader.hpp"

namespace shardrift::slurm {
namespace {

namespace fs = std::filesystem;

runner::RunState run_state(JobState state) {
  switch (state) {
    case JobState::done:
      return runner::RunState::done;
    case JobState::running:
      return runner::RunState::running;
    case JobState::waiting:
      return runner::RunState::waiting;
    case JobState::interrupted:
      return runner::RunState::interrupted;
    case JobState::failed:
      return runner::RunState::failed;
    case JobState::not_started:
      return runner::RunState::skipped;
  }
  return runner::RunState::waiting;
}

}  // namespace

DeviceCheck check_devices(const std::vector<study::Configuration>& configurations) {
  DeviceCheck check;
  std::map<std::string, std::map<std::string, std::vector<std::string>>>
      kinds;  // cuda -> model -> "tp2 on n1"
  for (const auto& one : configurations) {
    std::error_code ignored;
    if (!fs::exists(one.output, ignored) && !fs::exists(one.output.string() + ".parts", ignored)) continue;
    try {
      const auto reader = record::Reader::open(one.output);
      std::map<std::string, std::string> models;  // of this record -> host
      for (const auto& device : reader.run().environment.devices) models.emplace(device.name, device.host);
      for (const auto& [model, host] : models)
        kinds[one.device][model].push_back(fmt::format("{} on {}", one.name, host));
    } catch (const Error& error) {
      check.unreadable.emplace_back(error.what());
    }
  }
  for (const auto& [kind, by_model] : kinds) {
    if (by_model.size() < 2) continue;
    std::vector<std::string> parts;
    for (const auto& [model, names] : by_model)
      parts.push_back(fmt::format("{} ({})", model, fmt::join(names, ", ")));
    check.mixed = fmt::format(
        "the records come from different devices, so their bits differ for another reason than the plan: {}; "
        "set "
        "gpu_type or constraint in the site profile, delete the records of all but one, and submit again",
        fmt::join(parts, "; "));
  }
  return check;
}

void tell_study(const Submission& submission, const Status& status) {
  auto study = runner::read_status(submission.output);
  if (!study) return;
  for (const auto& row : status.rows) {
    auto* run = study->find(row.name);
    if (run == nullptr) continue;  // the analysis
    run->state = run_state(row.state);
    run->reason = row.state == JobState::done ? "" : row.words;
  }
  study->updated = utc_now();
  runner::write_status(*study, submission.output);
}

}  // namespace shardrift::slurm
