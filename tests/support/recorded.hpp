// Runs of the worker on the fixture models, and bit comparison of what they recorded.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace shardrift::testing {

// A folder of this test, emptied when first asked for.
std::filesystem::path scratch(const std::string& name);
std::filesystem::path fixture(const std::string& model);

// Prompts of the fixture models as token ids, of lengths 1, 5, 17 and 40: id, tokens below `vocabulary`.
std::filesystem::path write_prompts(const std::filesystem::path& folder, int prompts = 4,
                                    unsigned vocabulary = 131);

// The plan of a run: ranks and flags, e.g. {2, {"--tensor-parallel", "2"}}.
struct Case {
  int ranks = 1;
  std::vector<std::string> flags;
};

// The arguments of shardrift-run for one case on a fixture model; its prompts are written beside `output`.
std::vector<std::string> run_arguments(const std::string& model, const Case& what,
                                       const std::filesystem::path& output, int prompts = 4);

// Runs one case on a fixture model and returns the record; fails the current test where the exit code is not
// 0.
std::filesystem::path record_of(const std::string& model, const Case& what,
                                const std::filesystem::path& folder, const std::string& name,
                                int prompts = 4);

// Names the first prompt and row whose stored words differ; empty where every logit of every prompt is
// bit-equal.
std::string first_difference(const std::filesystem::path& one, const std::filesystem::path& other);

// The same of every position that `one` recorded, wherever among its rows `other` has it.
std::string first_difference_by_position(const std::filesystem::path& one,
                                         const std::filesystem::path& other);

// The same of checksums and hidden states, whole tensors only where the plans deal shards differently (shards
// true: partials as well). Names the first operation that differs in running order; "not traced" where there
// is nothing to compare.
std::string first_trace_difference(const std::filesystem::path& one, const std::filesystem::path& other,
                                   bool shards = true);

}  // namespace shardrift::testing
