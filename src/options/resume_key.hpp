// Which interrupted run a run may go on with.
#pragma once
#include <string>

#include "options/run_options.hpp"

namespace shardrift {

// What the files are that a run reads: by their content, never by their names.
struct ResumeInputs {
  std::string version;  // of shardrift
  std::string model;    // identity
  std::string prompts;  // SHA-256
  std::string profile;  // SHA-256 of the collective profile; empty: none
  std::string content;  // of weights, generation_config.json and tokenizer; empty: as version 0.1.0
};

// SHA-256 of the plan, of the fields that are Resume::same_value, and of the inputs: equal keys may resume.
std::string resume_key(const RunOptions& options, const ResumeInputs& inputs);

}  // namespace shardrift
