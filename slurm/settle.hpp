// What has to be settled before records are analysed: that they come from like devices, and what became of
// the runs that have none.
#pragma once
#include <string>
#include <vector>

#include "experiments/study/configuration.hpp"
#include "slurm/status.hpp"

namespace shardrift::slurm {

// Records of one study must come from one model of GPU (or CPU, those made on CPUs), or their bits differ for
// another reason than the plan.
struct DeviceCheck {
  std::string mixed;                    // which record is from which; empty: all alike
  std::vector<std::string> unreadable;  // what is wrong with records that cannot be read
};
DeviceCheck check_devices(const std::vector<study::Configuration>& configurations);

// Writes the states of runs without a record, and why, into the study's own status.json, from where its
// conclusion takes them.
void tell_study(const Submission& submission, const Status& status);

}  // namespace shardrift::slurm
