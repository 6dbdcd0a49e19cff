#include "options/bench_options.hpp"

#include <boost/program_options.hpp>

#include <algorithm>
#include <array>
#include <set>
#include <sstream>

#include "common/error.hpp"
#include "options/table_flags.hpp"

namespace shardrift {
namespace po = boost::program_options;
namespace {

constexpr std::string_view kHow = R"(
What is measured: passes of a run, on token ids made from their index; logits are fetched as in a run, nothing is
recorded. Each shape runs once before it is measured, so nothing is cold.

What stands beside it:
  memory     how fast this device reads: one matrix-vector product over a large matrix, and the copy or read that a
             run's roofline= is held against. The floor of a step is its bytes (weights, and the keys and values of
             the context) at the faster of the two.
  products, attention, other, collectives, stages
             the same pass on the same weights and buffers with all operations left out but these; on GPUs captured
             in a CUDA graph, else run plainly. products alone is the floor that the library leaves.
  pass       all operations of the pass, likewise captured, without copies to and from the host
  host       what a step takes beyond its pass: copies, launches, waiting for the host
A mixture of experts cannot be captured, because the host reads its routes (but decode with --products fixed and 16
bits): there each phase holds that wait, too.
Where stages work in turns (--in-flight), a step is what one adds to the others.

Examples:
  one GPU, decode after 16 and 1400 tokens and prefill of 1400
    shardrift-run bench --model models/7b --device cuda --dtype bfloat16 --launch captured \
        --context 16,1400 --prefill 1400
  two GPUs, tensor parallel, with the numbers kept
    mpirun -np 2 shardrift-run bench --model models/7b --device cuda --dtype bfloat16 --tensor-parallel 2 \
        --collective one-shot --launch captured --json tp2.json
  the CPU
    shardrift-run bench --model models/smollm2-135m --dtype bfloat16 --tokens 16 --prefill 256

The last line of its output, result …, holds the numbers as key=value. Exit codes: as of a run.
)";

constexpr int kMostRepeats = 1000;

po::options_description describe_options() {
  return describe_command(describe_own("What to measure", BenchOptions()), every_flag, is_bench_flag_of_run)
      .add(describe_pinning());
}

void check_lengths(std::string_view flag, const std::vector<int>& lengths) {
  std::set<int> seen;
  for (const int length : lengths) {
    if (length < 1) throw usage_error("--{} {}: prompts have at least 1 token", flag, length);
    if (!seen.insert(length).second) throw usage_error("--{} {}: is there twice", flag, length);
  }
}

void check(const BenchOptions& o) {
  if (o.run.model.empty())
    throw usage_error("--model DIR is needed: a Hugging Face directory or a GGUF file");
  check_lengths("context", o.contexts);
  check_lengths("prefill", o.prefills);
  if (o.contexts.empty() && o.prefills.empty())
    throw usage_error("nothing to measure: give --context or --prefill lengths, for example --context 16");
  if (o.tokens < 1) throw usage_error("--tokens {}: must be at least 1", o.tokens);
  if (o.repeats < 1 || o.repeats > kMostRepeats)
    throw usage_error("--repeats {}: use 1 to {}", o.repeats, kMostRepeats);
  check_passes(o.run);
}

}  // namespace

bool is_bench_flag_of_run(std::string_view key) {
  constexpr std::array<std::string_view, 7> kKeys{
      "model", "threads", "in_flight", "run_ahead", "stall_timeout", "collective_profile", "quiet"};
  return std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end();
}

std::string bench_help() {
  std::ostringstream text;
  text << "shardrift-run bench: how fast is a plan, and where does the time of a step go?\n\n"
          "Start as many ranks as for a run of the same plan.\n\n"
       << describe_options() << kHow;
  return text.str();
}

BenchOptions parse_bench_options(const std::vector<std::string>& arguments, bool& helped) {
  BenchOptions options;
  const auto given = parse_flags(arguments, describe_options(), {}, "bench");
  helped = given.count("help") != 0;
  if (helped) return options;
  read_fields(given, options.run, is_bench_flag_of_run);
  read_fields(given, options, every_flag);
  options.run.plan = plan_from(given);
  options.run.ignore_eos = true;
  check(options);
  return options;
}

}  // namespace shardrift
