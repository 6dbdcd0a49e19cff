#include "options/run_options.hpp"

#include <boost/program_options.hpp>

#include <sstream>

#include "common/error.hpp"
#include "options/table_flags.hpp"

namespace shardrift {
namespace po = boost::program_options;
namespace {

constexpr std::string_view kExamples = R"(
Examples:
  one device, the reference
    shardrift-run run --model models/smollm2-135m --prompts prompts.jsonl --output one.h5
  the same on two ranks, tensor parallel
    mpirun -np 2 shardrift-run run --model models/smollm2-135m --prompts prompts.jsonl \
        --output tp2.h5 --tensor-parallel 2
  four shards of arithmetic on one device, summed in shard order
    shardrift-run run --model … --prompts … --output s4.h5 --shards 4 --reduction linear
  what differs
    shardrift compare one.h5 tp2.h5

A prompts file has one JSON object a line: {"id": "p0", "text": "…"} or {"id": "p0", "tokens": [1, 2, 3]}.
A rerun with the same plan, model and prompts goes on where an interrupted one stopped.
Exit codes: 0 done, 64 usage, 65 bad data, 70 a failure inside, 75 interrupted (rerun to resume).
)";

po::options_description describe_options() {
  auto groups = flag_groups();
  describe_plan(groups);
  describe_fields(RunOptions(), groups, every_flag);
  groups[static_cast<std::size_t>(FlagGroup::files)].add_options()(
      "config", po::value<std::string>(),
      "read flags from a file, one 'flag = value' a line; the command line wins");
  groups[static_cast<std::size_t>(FlagGroup::mode)].add_options()("help", "this text");
  po::options_description all;
  for (const auto& group : groups) all.add(group);
  return all;
}

// How passes follow each other.
void check_flow(const RunOptions& o) {
  constexpr int kMostInFlight = 64;
  if (o.in_flight < 1 || o.in_flight > kMostInFlight)
    throw usage_error("--in-flight {}: use 1 to {}", o.in_flight, kMostInFlight);
  const std::string_view collected = traced_by(o);
  if (o.in_flight > 1 && !collected.empty())
    throw usage_error("--in-flight {} with {}: what is traced is collected pass by pass; leave one out",
                      o.in_flight, collected);
  if (o.plan.launch == Launch::captured && !collected.empty())
    throw usage_error("--launch captured with {}: a captured pass cannot be looked into; leave one out",
                      collected);
  if (o.run_ahead != RunAhead::on) return;
  if (o.plan.pipeline > 1)
    throw usage_error(
        "--run-ahead on with --pipeline {}: a stage has the next token from the last one; leave it out, and "
        "give --in-flight {}",
        o.plan.pipeline, o.plan.pipeline);
  if (o.in_flight > 1)
    throw usage_error("--run-ahead on with --in-flight {}: the pass before is another group's; leave one out",
                      o.in_flight);
  if (o.mode == Mode::score)
    throw usage_error("--run-ahead on with --mode score: one pass takes all of a prompt; leave it out");
  if (!collected.empty())
    throw usage_error("--run-ahead on with {}: what is traced is collected pass by pass; leave one out",
                      collected);
}

void check(const RunOptions& o) {
  if (o.model.empty()) throw usage_error("--model DIR is needed: a Hugging Face directory or a GGUF file");
  if (o.output.empty()) throw usage_error("--output FILE.h5 is needed");
  if (o.mode == Mode::follow && o.follow.empty())
    throw usage_error("--mode follow needs --follow REF.h5: the record whose tokens are fed");
  if (o.mode == Mode::greedy && !o.follow.empty())
    throw usage_error(
        "--follow {}: a greedy run chooses its own tokens; add --mode follow (fed one by one) or --mode "
        "score "
        "(fed at once)",
        o.follow.string());
  if (o.follow.empty() && o.prompts.empty()) throw usage_error("--prompts FILE.jsonl is needed");
  if (!o.follow.empty() && !o.prompts.empty())
    throw usage_error(
        "--prompts and --follow: a followed record brings its own prompts, leave --prompts out");
  if (o.mode == Mode::greedy && !o.replay_routes.empty())
    throw usage_error(
        "--replay-routes {}: a greedy run chooses its own tokens, which have no routes there; add --mode "
        "follow "
        "or --mode score with --follow of that record",
        o.replay_routes.string());
  if (o.max_new_tokens < 1) throw usage_error("--max-new-tokens {}: must be at least 1", o.max_new_tokens);
  if (o.top_k < 1 || o.top_k > 1000) throw usage_error("--top-k {}: use 1 to 1000", o.top_k);
  check_passes(o);
  if (o.compression < 0 || o.compression > 9) throw usage_error("--compress {}: use 0 to 9", o.compression);
}

}  // namespace

void check_passes(const RunOptions& o) {
  if (o.mode != Mode::score && o.plan.batch >= 1 && o.plan.prefill_batch > o.plan.batch)
    throw usage_error(
        "--prefill-batch {} with --batch {}: only prompts that are decoded together are prefilled together; "
        "give --batch {} or more, or --prefill-batch {} or less",
        o.plan.prefill_batch, o.plan.batch, o.plan.prefill_batch, o.plan.batch);
  if (o.threads < 0 || o.threads > 256) throw usage_error("--threads {}: use 0 to 256", o.threads);
  check_flow(o);
  check_stall_timeout(o.stall_timeout);
}

void check_stall_timeout(int seconds) {
  constexpr int kDay = 86400;
  if (seconds < 0 || seconds > kDay)
    throw usage_error("--stall-timeout {}: use 0 to {} seconds", seconds, kDay);
}

std::string run_help() {
  std::ostringstream text;
  text << "shardrift-run run: inference under one plan, every logit recorded.\n\n"
          "Start R x P x D ranks with mpirun or srun; each drives one device.\n\n"
       << describe_options() << '\n'
       << describe_pinning() << kExamples;
  return text.str();
}

std::string_view traced_by(const RunOptions& options) {
  if (options.checksums) return "--checksums";
  if (options.sketches) return "--sketches";
  return options.level == RecordLevel::hidden ? "--record hidden" : "";
}

bool takes_path(std::string_view flag) {
  const RunOptions options;
  bool path = false;
  for_each_field(options, [&](const auto& row, const auto& field) {
    path =
        path || (std::is_same_v<decltype(field), const std::filesystem::path&> && flag_of(row.key) == flag);
  });
  return path;
}

RunOptions parse_run_options(const std::vector<std::string>& arguments, bool& helped) {
  RunOptions options;
  const auto description = describe_options();
  po::options_description accepted;
  accepted.add(description).add(describe_pinning());
  const auto given = parse_flags(arguments, accepted, description, "run");
  helped = given.count("help") != 0;
  if (helped) return options;
  read_fields(given, options, every_flag);
  options.plan = plan_from(given);
  check(options);
  return options;
}

}  // namespace shardrift
