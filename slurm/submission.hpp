// What was handed to Slurm: DIR/slurm/submission.json, written by `shardrift submit`, read by status and
// cancel.
//
//   schema          "shardrift submission 1"
//   study, file, profile, output, submitted (ISO 8601, UTC), cluster (where the profile asks for one)
//   jobs            [{id, name, configurations, cluster}]: the arrays, then the analysis (no configurations);
//                   cluster: where sbatch named one
//   configurations  [{name, ranks, device, prompts, output, after}] of the whole study, finished ones
//   included
#pragma once
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "experiments/study/configuration.hpp"

namespace shardrift::slurm {

struct SubmittedJob {
  std::string id;                           // Slurm's number
  std::string name;                         // of the array, or "analysis"
  std::vector<std::string> configurations;  // by array index
  std::string cluster{};                    // empty: the cluster at hand
};

struct Submission {
  std::string study;
  std::filesystem::path file;  // of the study
  std::string profile;         // its name
  std::filesystem::path output;
  std::string submitted;
  std::vector<SubmittedJob> jobs;
  std::vector<study::Configuration> configurations;  // name, ranks, device, prompts, output, after
  std::string cluster{};                             // that the profile asks for; empty: the one at hand

  std::filesystem::path folder() const { return output / "slurm"; }
  // Of a configuration, or of "analysis"; nullptr: finished before, not submitted.
  const SubmittedJob* submitted_as(const std::string& name) const;
  // "12_3" of a configuration, "13" of the analysis; empty: finished before, not submitted.
  std::string job_of(const std::string& name) const;
  // Where its jobs are, or may be.
  std::set<std::string> clusters() const;
};

std::filesystem::path submission_path(const std::filesystem::path& output);
std::string to_json(const Submission& submission);
Submission submission_from_json(const std::string& text,
                                const std::string& file);  // bad_data naming file and key
// nullopt where nothing was submitted.
std::optional<Submission> read_submission(const std::filesystem::path& output);
void write_submission(const Submission& submission);

// Array i of the job's tasks as squeue and scancel call it.
std::string task_id(const SubmittedJob& job, std::size_t index);

}  // namespace shardrift::slurm
