// What one run is asked to do: the plan, what it reads, what it feeds the model, what it records. Its command
// line (shardrift-run run, also read from a config file), and its table of fields: a new one is a member and
// a row below.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/field_table.hpp"
#include "common/flag_field.hpp"
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
// Whether the next pass begins, with the token that the device chose, before the host has seen this one's
// logits. Changes no bits.
enum class RunAhead { automatic, off, on };
constexpr auto names_of(RunAhead) {
  return std::to_array<Named<RunAhead>>(
      {{RunAhead::automatic, "auto"}, {RunAhead::off, "off"}, {RunAhead::on, "on"}});
}

struct RunOptions {
  std::filesystem::path model;
  std::filesystem::path prompts;
  std::filesystem::path output;
  std::filesystem::path follow;              // record whose tokens are fed
  std::filesystem::path collective_profile;  // what --reduction profile folds by
  std::filesystem::path replay_routes;       // record whose tokens' experts are taken
  bool overwrite = false;
  bool no_output_lock = false;
  bool quiet = false;
  bool ignore_eos = false;
  Plan plan;
  Mode mode = Mode::greedy;
  RecordLevel level = RecordLevel::logits;
  bool checksums = false;
  bool sketches = false;
  int max_new_tokens = 64;
  int top_k = 10;
  int in_flight = 1;  // groups of prompts that take turns in the stages
  RunAhead run_ahead = RunAhead::automatic;
  int threads = 0;  // of one rank's own kernels; 0: cores of the host / ranks on it
  int compression = 0;
  int stall_timeout = 60;  // seconds without progress after which the run is ended; 0: never
  std::string command;     // as typed
};

// Whether a run that was interrupted may go on with another value: those that the records say otherwise
// (prompts, model, profile) are in the key by their content.
enum class Resume { any_value, same_value };

template <typename Access>
struct RunField {
  std::string_view key;
  Access access;
  FlagGroup group;
  Resume resume;
  std::string_view help;
  Since since = Since::first;
};
template <typename Access, typename... More>
RunField(std::string_view, Access, FlagGroup, Resume, std::string_view, More...) -> RunField<Access>;

// Rows of Resume::same_value make the resume key, in their order.
constexpr auto fields_of(std::type_identity<RunOptions>) {
  using enum Resume;
  constexpr auto files = FlagGroup::files;
  constexpr auto mode = FlagGroup::mode;
  return std::tuple{
      RunField{"model", &RunOptions::model, files, any_value,
               "Hugging Face directory (config.json, *.safetensors, a tokenizer), or a GGUF file"},
      RunField{"prompts", &RunOptions::prompts, files, any_value, "prompts, one JSON object a line"},
      RunField{"output", &RunOptions::output, files, any_value, "HDF5 record to write"},
      RunField{"overwrite", &RunOptions::overwrite, files, any_value, "replace an existing output"},
      RunField{
          "no_output_lock", &RunOptions::no_output_lock, files, any_value,
          "accept an output whose last run cannot be seen to have ended, on a file system without locks"},
      RunField{"threads", &RunOptions::threads, FlagGroup::plan, any_value,
               "CPU threads of one rank, changes no bits (default: cores / ranks here)"},
      RunField{"in_flight", &RunOptions::in_flight, FlagGroup::plan, any_value,
               "groups of --batch prompts on their way at once, so that no stage of --pipeline waits for the "
               "others: P, or a few more; changes no bits (default 1)"},
      RunField{
          "run_ahead", &RunOptions::run_ahead, FlagGroup::plan, any_value,
          "begin the next pass with the token that the device chose, before the host has seen this one's "
          "logits; changes no bits. auto (default): on GPUs, where one stage has all layers and nothing is "
          "collected pass by pass (checksums, hidden states); of a mixture of experts with --products fixed"},
      RunField{
          "stall_timeout", &RunOptions::stall_timeout, FlagGroup::plan, any_value,
          "end all ranks where none makes progress, or one does not answer, for N seconds (default 60; 0: "
          "wait for ever)"},
      RunField{"collective_profile", &RunOptions::collective_profile, FlagGroup::numerics, any_value,
               "the profile that --reduction profile folds by"},
      RunField{"replay_routes", &RunOptions::replay_routes, FlagGroup::numerics, any_value,
               "of a mixture of experts: a record of the same tokens, whose choice of experts is taken in "
               "place of "
               "the routers' (--mode follow or score)"},
      RunField{"mode", &RunOptions::mode, mode, same_value,
               "greedy: free running; follow: fed another record's tokens; score: one pass over the prompt"},
      RunField{"follow", &RunOptions::follow, mode, any_value,
               "the record whose tokens --mode follow feeds one by one, and --mode score at once"},
      RunField{"record", &RunOptions::level, mode, same_value,
               "top: the k most likely; logits: every logit (default); hidden: also the residual stream of "
               "every layer"},
      RunField{"checksums", &RunOptions::checksums, mode, same_value,
               "record a checksum of every operation's output, for shardrift explain; changes no bits"},
      RunField{"sketches", &RunOptions::sketches, mode, same_value,
               "record eight random projections of every operation's output, of every shard, for shardrift "
               "diagnose: how "
               "far two runs are apart at each operation; changes no bits",
               Since::later},
      RunField{"max_new_tokens", &RunOptions::max_new_tokens, mode, same_value,
               "stop after N tokens (default 64)"},
      RunField{"ignore_eos", &RunOptions::ignore_eos, mode, same_value, "do not stop at end of sequence"},
      RunField{"top_k", &RunOptions::top_k, mode, same_value, "k of the recorded top list (default 10)"},
      RunField{"compress", &RunOptions::compression, mode, same_value,
               "deflate level of the logits, 0 to 9 (default 0)"},
      RunField{"quiet", &RunOptions::quiet, mode, any_value, "no progress"},
  };
}
// The plan has a table of its own (plan_fields.hpp); the command is no flag.
static_assert(field_count<RunOptions>() == member_count<RunOptions>() - 2,
              "a member of RunOptions has no row above");

// arguments: what follows "run". Throws usage_error. Prints help and sets `helped` where --help is asked for.
RunOptions parse_run_options(const std::vector<std::string>& arguments, bool& helped);
std::string run_help();
// The flag by which a run looks into its passes; empty: it does not.
std::string_view traced_by(const RunOptions& options);
void check_stall_timeout(int seconds);  // throws usage_error
// What passes are made of and how they follow each other, of any command that runs them. Throws usage_error.
void check_passes(const RunOptions& options);
// Is the flag's value a path? (Whoever starts a run elsewhere makes it absolute.)
bool takes_path(std::string_view flag);

}  // namespace shardrift
