// A study of seven configurations as submit would get it: one to eight ranks, one that follows the reference.
#pragma once
#include <string>
#include <vector>

#include "slurm/job_plan.hpp"

namespace shardrift::slurm::testing {

inline study::Configuration configuration(const std::string& name, int ranks, const std::string& device,
                                          std::vector<std::string> plan,
                                          std::vector<std::string> after = {}) {
  study::Configuration one;
  one.name = name;
  one.ranks = ranks;
  one.device = device;
  one.output = "/scratch/me/out/scale-out/" + name + ".h5";
  one.arguments = {"--device",
                   device,
                   "--dtype",
                   "bfloat16",
                   "--ignore-eos",
                   "--max-new-tokens",
                   "256",
                   "--model",
                   "/scratch/me/models/SmolLM2 135M",
                   "--prompts",
                   "/scratch/me/prompts.jsonl"};
  one.arguments.insert(one.arguments.end(), plan.begin(), plan.end());
  one.after = std::move(after);
  one.prompts = 100;
  one.estimated_bytes = 2'516'582'400;
  return one;
}

inline std::vector<study::Configuration> scale_out(const std::string& device = "cuda") {
  return {configuration("reference", 1, device, {}),
          configuration("reference-again", 1, device, {}),
          configuration("tp2", 2, device, {"--tensor-parallel", "2"}),
          configuration("pp2", 2, device, {"--pipeline", "2"}),
          configuration("tp4", 4, device, {"--tensor-parallel", "4"}),
          configuration("tp2-followed", 2, device,
                        {"--tensor-parallel", "2", "--follow", "/scratch/me/out/scale-out/reference.h5"},
                        {"reference"}),
          configuration("tp8", 8, device, {"--tensor-parallel", "8"})};
}

inline JobPlan empty_plan() {
  JobPlan plan;
  plan.study = "scale-out";
  plan.file = "/home/me/shardrift/experiments/studies/scale-out.toml";
  plan.output = "/scratch/me/out/scale-out";
  plan.folder = "/scratch/me/out/scale-out/slurm";
  plan.directory = "/home/me/shardrift";
  plan.worker = "/home/me/shardrift/build/bin/shardrift-run";
  plan.program = "/home/me/shardrift/build/bin/shardrift";
  plan.study_options = {"--device", "cuda", "--devices", "1024"};
  return plan;
}

}  // namespace shardrift::slurm::testing
