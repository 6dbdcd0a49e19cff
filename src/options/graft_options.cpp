#include "options/graft_options.hpp"

#include <boost/program_options.hpp>

#include <algorithm>
#include <array>
#include <sstream>

#include "common/error.hpp"
#include "options/table_flags.hpp"

namespace shardrift {
namespace po = boost::program_options;
namespace {

constexpr std::string_view kHow = R"(
The reference is one device with one shard, the candidate the plan that the flags give; one process computes both on one
device, with the weights of both in its memory. Both are fed the same tokens. The reference's outputs of the operation
are kept in every layer; then the candidate runs once as it is, and once for each graft. Of each run against the
reference: flips (rows with another chosen token), mean KL, RMS, rows that differ, rows that the graft moved.
--output is a JSON file; --mode is score (default with --prompts) or follow (default with --follow).

What can be put in: embedding, attention_norm, qkv, query_key_norm, attention, attention_sum, attention_residual, mlp_norm,
router, gate_up, activation, mlp_sum, mlp_residual, final_norm, logits, where the model has them. Tensors of shards are
those of the unsharded model, cut at the candidate's shards.

Examples:
  every layer's residual stream, four shards in the order of a profile
    shardrift-run graft --model models/7b --follow one.h5 --mode follow --output graft.json --dtype bfloat16 \
        --shards 4 --reduction profile --collective-profile nccl.json --graft mlp_residual:all
  the control: its own tensors change nothing
    shardrift-run graft --model models/7b --prompts prompts.jsonl --output graft.json --shards 4 --graft qkv:0 \
        --from candidate

shardrift explain --graft makes this command line of a record. Exit codes: as of a run.
)";

// All else has one value on one device; explain --graft says it, as of any plan.
bool is_of_one_device(std::string_view key) {
  constexpr std::array<std::string_view, 6> kOfRanks{"tensor_parallel", "pipeline",   "stage_layers",
                                                     "replicas",        "collective", "launch"};
  return std::find(kOfRanks.begin(), kOfRanks.end(), key) == kOfRanks.end();
}

po::options_description describe_options(FlagFilter of_plan) {
  return describe_command(describe_own("What to put in", GraftOptions()), of_plan, is_graft_flag_of_run);
}

void check(const GraftOptions& o) {
  const Plan& plan = o.run.plan;
  if (o.run.model.empty())
    throw usage_error("--model DIR is needed: a Hugging Face directory or a GGUF file");
  if (o.run.output.empty()) throw usage_error("--output FILE.json is needed");
  if (o.graft.empty())
    throw usage_error("--graft OPERATION:LAYER is needed, for example --graft attention_sum:all");
  if (o.run.follow.empty() == o.run.prompts.empty())
    throw usage_error("give either --prompts FILE.jsonl or --follow RECORD.h5");
  if (o.run.mode == Mode::greedy)
    throw usage_error("--mode greedy: grafts are measured on given tokens: use --mode score or follow");
  if (o.run.mode == Mode::follow && o.run.follow.empty())
    throw usage_error("--mode follow needs --follow REF.h5: the record whose tokens are fed");
  for (const auto& [ranks, flag] :
       {std::pair{plan.tensor_parallel, "--tensor-parallel"}, std::pair{plan.pipeline, "--pipeline"},
        std::pair{plan.replicas, "--replicas"}})
    if (ranks > 1)
      throw usage_error(
          "{} {}: a graft computes the candidate on one device: leave it out, and give --shards N and a "
          "--reduction that predicts the ranks",
          flag, ranks);
  if (plan.launch == Launch::captured)
    throw usage_error("--launch captured with --graft: a captured pass cannot be looked into; leave one out");
  check_passes(o.run);
}

}  // namespace

bool is_graft_flag_of_run(std::string_view key) {
  constexpr std::array<std::string_view, 9> kKeys{"model",   "prompts",       "output",
                                                  "threads", "stall_timeout", "collective_profile",
                                                  "mode",    "follow",        "quiet"};
  return std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end();
}

std::string graft_help() {
  std::ostringstream text;
  text << "shardrift-run graft: which operation's output makes the difference of two plans?\n\n"
          "Start one process: all shards are on one device.\n\n"
       << describe_options(is_of_one_device) << kHow;
  return text.str();
}

GraftOptions parse_graft_options(const std::vector<std::string>& arguments, bool& helped) {
  GraftOptions options;
  const auto given = parse_flags(arguments, describe_options(every_flag), {}, "graft");
  helped = given.count("help") != 0;
  if (helped) return options;
  options.run.mode = given.count("follow") != 0 ? Mode::follow : Mode::score;
  read_fields(given, options.run, is_graft_flag_of_run);
  read_fields(given, options, every_flag);
  options.run.plan = plan_from(given);
  if (options.run.plan.launch == Launch::automatic) options.run.plan.launch = Launch::eager;
  options.run.run_ahead = RunAhead::off;
  check(options);
  return options;
}

}  // namespace shardrift
