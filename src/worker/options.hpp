// The command line of shardrift-run run, also read from a config file.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "common/named_enum.hpp"
#include "parallel/plan/plan.hpp"

namespace shardrift {

enum class Mode { greedy, follow, score };
constexpr auto names_of(Mode) {
  return std::to_array<Named<Mode>>(
      {{Mode::greedy, "greedy"}, {Mode::follow, "follow"}, {Mode::score, "score"}});
}
enum class RecordLevel { top, logits, hidden };
constexpr auto names_of(RecordLevel) {
  return std::to_array<Named<RecordLevel>>(
      {{RecordLevel::top, "top"}, {RecordLevel::logits, "logits"}, {RecordLevel::hidden, "hidden"}});
}

struct RunOptions {
  std::filesystem::path model;
  std::filesystem::path prompts;
  std::filesystem::path output;
  std::filesystem::path follow;              // record whose tokens are fed
  std::filesystem::path collective_profile;  // what --reduction profile folds by
  bool overwrite = false;
  bool quiet = false;
  bool ignore_eos = false;
  Plan plan;
  Mode mode = Mode::greedy;
  RecordLevel level = RecordLevel::logits;
  bool checksums = false;
  int max_new_tokens = 64;
  int top_k = 10;
  int threads = 0;  // of one rank's own kernels; 0: cores of the host / ranks on it
  int compression = 0;
  std::string command;  // as typed
};

// arguments: what follows "run". Throws usage_error. Prints help and sets `helped` where --help is asked for.
RunOptions parse_run_options(const std::vector<std::string>& arguments, bool& helped);
std::string run_help();

}  // namespace shardrift
