// The prompts of a run: read on rank 0, checked, encoded, and sent to every rank as text.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "record/record.hpp"
#include "weights/model_config.hpp"

namespace shardrift {

// A prompt and, in follow mode, the tokens fed after it.
struct Job {
  record::Prompt prompt;
  std::vector<std::int32_t> fed;
};

struct GivenJobs {
  std::vector<Job> jobs;
  std::vector<std::string> vocab;  // what each token is as text, for tables; empty: not known
  std::vector<std::string> notes;  // what the user should know of the tokenizer
};

// The model's tokenizer is opened only where a prompt has text: token ids go with any tokenizer, also
// one that this version does not compute. Throws bad_data naming file and line as read_prompts_file and
// check_prompts do, and where a text is no token.
GivenJobs read_prompts(const std::filesystem::path& path, const std::filesystem::path& model,
                       const ModelConfig& config);

// Prompts, fed tokens and vocabulary of a greedy or follow record. Throws bad_data for a score record or
// another vocabulary.
GivenJobs read_followed(const std::filesystem::path& path, const ModelConfig& config);

// For score runs: the fed tokens become the end of the prompt, so that one pass gives the rows that follow
// mode gives one by one (with other bits: matrix products of another shape).
void feed_at_once(std::vector<Job>& jobs);

// Of the prompts, in tokens, in the order of the run.
std::vector<std::int64_t> prompt_lengths(const std::vector<Job>& jobs);

// Refuses prompts that leave no room in the context, naming the first.
void check_lengths(const std::vector<Job>& jobs, const ModelConfig& config);

std::string jobs_to_json(const std::vector<Job>& jobs);
std::vector<Job> jobs_from_json(const std::string& text);

}  // namespace shardrift
