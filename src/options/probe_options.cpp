#include "options/probe_options.hpp"

#include <boost/program_options.hpp>

#include <algorithm>
#include <sstream>

#include "common/error.hpp"
#include "common/flag_field.hpp"
#include "common/text.hpp"
#include "options/flag_value.hpp"
#include "options/pinning.hpp"
#include "options/run_options.hpp"
#include "parallel/order_models/fold_order.hpp"

namespace shardrift {
namespace po = boost::program_options;
namespace {

constexpr std::string_view kExamples = R"(
How it works: for every pair of ranks, one rank sends a huge number, the other its negative, all others small
units. Units added before the two have met vanish, so what survives tells, for every element of the message,
where the two meet in the sum. N ranks need N (N-1) / 2 such calls; one more, of random numbers, tells where the
sum rounds and that the trees explain every bit: 7 calls for 4 ranks, 29 for 8.

Examples:
  in which order does MPI sum 4 ranks, at three sizes?
    mpirun -np 4 shardrift-run probe --count 1,4096,300000 --dtype float32
  the all-reduces of a model with hidden size 576, prompts of 17 and 1400 tokens, kept as a profile
    mpirun -np 4 shardrift-run probe --device cuda --tokens 1,17,1400 --hidden 576 --dtype bfloat16 \
        --save-profile h100x4.json
  do our own all-reduces add as they say?
    mpirun -np 4 shardrift-run probe --collective two-shot --count 1,7,4096 --dtype bfloat16 --check
  does the order model predict it? (exit code 1 and the first element where it does not)
    mpirun -np 3 shardrift-run probe --count 1024 --check --mpi-allreduce ring
  three numbers whose sum depends on who meets whom first
    mpirun -np 3 shardrift-run probe --count 6000 --dtype bfloat16 --numbers 4096,-4096,1
  is this machine still the one of the profile?
    mpirun -np 4 shardrift-run probe --device cuda --tokens 256 --hidden 576 --dtype bfloat16 \
        --check --collective-profile h100x4.json
  the order of a local fold
    shardrift-run probe --local tree:7 --shards 4 --count 100

Exit codes: 0 done; with --check: 1 the model differs, 2 there is no model for it; 64 usage, 65 bad data, 70 a
failure inside, or a pinned setting that was not honoured.
)";

struct Texts {
  std::string device = "cpu", counts, tokens, hidden, dtypes = "float32", operation = "all-reduce",
              collective = "library", launch = "eager", local, accumulate, given;
};

po::options_description describe_options(ProbeOptions& o, Texts& t) {
  po::options_description what("What to probe");
  what.add_options()("device", taken_into(t.device), "cpu (MPI) or cuda (NCCL) (default cpu)")(
      "count", taken_into(t.counts), "elements of the message: N[,N…]")(
      "tokens", taken_into(t.tokens), "instead of --count: rows of the pass, N[,N…] …")(
      "hidden", taken_into(t.hidden), "… times the model's hidden size, N[,N…]")(
      "dtype", taken_into(t.dtypes),
      "float64, float32, float16, bfloat16, comma separated (default float32)")(
      "operation", taken_into(t.operation),
      "all-reduce (default) or reduce-scatter (with the all-gather after it; padded to equal parts of 16 "
      "bytes)")("collective", taken_into(t.collective),
                "library (default), or our own all-reduce: one-shot, two-shot")(
      "launch", taken_into(t.launch),
      "eager (default), captured: replayed from a CUDA graph, as a run's decode passes are (needs --device "
      "cuda), "
      "or both, comma separated")("local", taken_into(t.local),
                                  "a local fold instead: linear, chain, ring, tree, tree:K, perm:…, exact")(
      "shards", taken_into(o.shards), "shards of --local, 2 to 8 (default 4)")(
      "accumulate", taken_into(t.accumulate), "where --local rounds: message (every add), float32, float64")(
      "numbers", taken_into(t.given),
      "show what the sum makes of these, one a rank, turned round among the ranks: 4096,-4096,1");
  po::options_description results("What to do with it");
  results.add_options()("check", po::bool_switch(&o.check), "compare with the order model")(
      "collective-profile", taken_into(o.profile), "compare with this profile instead")(
      "save-profile", taken_into(o.save_profile),
      "write a collective profile, or add to that of the same machine and library")(
      "output", taken_into(o.output), "write /environment/collectives to this HDF5 file")(
      "overwrite", po::bool_switch(&o.overwrite), "replace an existing output")(
      "segments", taken_into(o.segments), "print at most N segments of a map (default 8)")(
      "quiet", po::bool_switch(&o.quiet), "only the last line")(
      "stall-timeout", taken_into(o.stall_timeout),
      "end all ranks where none makes progress for N seconds (default 60; 0: wait for ever)")("help",
                                                                                              "this text");
  po::options_description pins("Pinning");
  const Pinning automatic;
  for_each_field(automatic, [&](const auto& row, const auto&) {
    pins.add_options()(flag_of(row.key).c_str(), po::value<std::string>(), std::string(row.help).c_str());
  });
  po::options_description all;
  all.add(what).add(results).add(pins);
  return all;
}

// A comma at the end is one too many: after it an empty part is refused as any other is.
std::vector<std::string> parts_of(const std::string& list) {
  return list.empty() ? std::vector<std::string>() : split(list + ",", ',');
}

std::vector<std::int64_t> numbers(std::string_view flag, const std::string& list) {
  std::vector<std::int64_t> values;
  for (const auto& part : parts_of(list)) {
    const auto value = number_from<std::int64_t>(part);
    if (!value || *value < 1 || *value > (std::int64_t{1} << 33U))
      throw usage_error("{} {}: '{}' is not a number from 1 to 8589934592", flag, list, part);
    values.push_back(*value);
  }
  return values;
}

std::vector<double> given_numbers(const std::string& list) {
  std::vector<double> values;
  for (const auto& part : parts_of(list)) {
    const auto value = number_from<double>(part);
    if (!value) throw usage_error("--numbers {}: '{}' is not a number", list, part);
    values.push_back(*value);
  }
  return values;
}

void apply(const Texts& t, ProbeOptions& o) {
  o.numbers = given_numbers(t.given);
  o.device = named<Device>("--device", t.device);
  o.counts = numbers("--count", t.counts);
  const auto tokens = numbers("--tokens", t.tokens);
  const auto hidden = numbers("--hidden", t.hidden);
  if (tokens.empty() != hidden.empty()) throw usage_error("--tokens and --hidden go together");
  for (const auto rows : tokens)
    for (const auto columns : hidden) o.counts.push_back(rows * columns);
  if (o.counts.empty())
    throw usage_error("--count N[,N…], or --tokens and --hidden, are needed: see probe --help");
  for (const auto& name : parts_of(t.dtypes)) {
    o.dtypes.push_back(storage_of(named<DType>("--dtype", name)));
    if (std::count(o.dtypes.begin(), o.dtypes.end(), o.dtypes.back()) > 1) o.dtypes.pop_back();
  }
  if (o.dtypes.empty()) throw usage_error("--dtype is empty");
  o.operation = named<CollectiveOperation>("--operation", t.operation);
  o.collective = named<Collective>("--collective", t.collective);
  for (const auto& name : parts_of(t.launch)) {
    o.launches.push_back(named<Launch>("--launch", name));
    if (o.launches.back() == Launch::automatic)
      throw usage_error("--launch {}: a probe is told which: eager, captured, or both", t.launch);
    if (std::count(o.launches.begin(), o.launches.end(), o.launches.back()) > 1) o.launches.pop_back();
  }
  if (o.launches.empty()) throw usage_error("--launch is empty");
  std::sort(o.counts.begin(), o.counts.end());
  o.counts.erase(std::unique(o.counts.begin(), o.counts.end()), o.counts.end());
  if (!t.local.empty()) {
    o.local = reduction_from_text(t.local);
    if (!t.accumulate.empty()) o.local->accumulator = named<Accumulator>("--accumulate", t.accumulate);
    if (!o.local->is_local_fold() || o.local->needs_profile())
      throw usage_error("--local {}: not a local order; leave --local out to probe the live collective",
                        t.local);
    if (o.shards < 2 || o.shards > kMaxProbeRanks)
      throw usage_error("--shards {}: 2 to {} can be probed", o.shards, kMaxProbeRanks);
    for (const DType dtype : o.dtypes) {
      check_reduction(*o.local, o.shards, 1, dtype);
      check_published_shards(*o.local, o.shards);
      if (dtype == DType::float16 && o.local->accumulator == Accumulator::float64)
        throw usage_error(
            "--local {} --dtype float16: float64 adds so few float16 numbers exactly, so there is no order "
            "to find",
            t.local);
    }
  } else if (!t.accumulate.empty()) {
    throw usage_error("--accumulate goes with --local: where a live collective rounds is found, not chosen");
  }
}

void check(const ProbeOptions& o) {
  if (o.local && (!o.save_profile.empty() || !o.profile.empty()))
    throw usage_error("--local: collective profiles are of live collectives");
  if (o.local && o.operation != CollectiveOperation::all_reduce)
    throw usage_error("--local and --operation reduce-scatter: a local fold is one sum");
  if (o.local && o.collective != Collective::library)
    throw usage_error("--local and --collective {}: one or the other is probed", name_of(o.collective));
  if (o.collective != Collective::library && o.operation != CollectiveOperation::all_reduce)
    throw usage_error("--collective {} and --operation reduce-scatter: ours are all-reduces",
                      name_of(o.collective));
  const bool captured = std::count(o.launches.begin(), o.launches.end(), Launch::captured) > 0;
  if (captured && o.device == Device::cpu)
    throw usage_error("--launch captured needs --device cuda: CPUs have no graphs; leave it out");
  if (captured && o.local)
    throw usage_error("--local and --launch captured: a local fold is one kernel, captured or not");
  if (!o.profile.empty() && !o.check) throw usage_error("--collective-profile FILE goes with --check");
  check_stall_timeout(o.stall_timeout);
  if (o.segments < 1) throw usage_error("--segments {}: must be at least 1", o.segments);
}

}  // namespace

std::string probe_help() {
  ProbeOptions options;
  Texts texts;
  std::ostringstream text;
  text << "shardrift-run probe: in which order does a sum over ranks add, element by element?\n\n"
          "Start 2 to 8 ranks with mpirun or srun; with --local one process is enough.\n\n"
       << describe_options(options, texts) << kExamples;
  return text.str();
}

ProbeOptions parse_probe_options(const std::vector<std::string>& arguments, bool& helped) {
  ProbeOptions options;
  Texts texts;
  const auto description = describe_options(options, texts);
  try {
    po::variables_map values;
    po::store(po::command_line_parser(arguments)
                  .options(description)
                  .style(po::command_line_style::unix_style ^ po::command_line_style::allow_guessing)
                  .positional({})
                  .run(),
              values);
    helped = values.count("help") != 0;
    if (helped) return options;
    po::notify(values);
  } catch (const po::error& error) {
    throw usage_error("{}; see shardrift-run probe --help", error.what());
  }
  apply(texts, options);
  check(options);
  return options;
}

}  // namespace shardrift
