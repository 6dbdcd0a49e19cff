#include "worker/options.hpp"

#include <boost/program_options.hpp>

#include <fstream>
#include <iostream>
#include <sstream>

#include "common/error.hpp"
#include "common/text.hpp"
#include "worker/pinning.hpp"

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

struct Texts {  // flags whose values are names, checked after parsing
  std::string device = "cpu", dtype = "float32", logits_dtype = "model", mode = "greedy", record = "logits",
              reduction, accumulate, stage_layers, quantize = "none", row_linear = "reduce",
              partial = "model";
};

po::options_description describe_options(RunOptions& o, Texts& t, int& shards) {
  po::options_description files("What to run");
  files.add_options()("model", po::value(&o.model),
                      "Hugging Face directory: config.json, *.safetensors, tokenizer.json")(
      "prompts", po::value(&o.prompts), "prompts, one JSON object a line")(
      "output", po::value(&o.output), "HDF5 record to write")("overwrite", po::bool_switch(&o.overwrite),
                                                              "replace an existing output")(
      "config", po::value<std::string>(),
      "read flags from a file, one 'flag = value' a line; the command line wins");
  po::options_description plan("Plan");
  plan.add_options()("device", po::value(&t.device), "cpu or cuda (default cpu)")(
      "tensor-parallel", po::value(&o.plan.tensor_parallel), "R: ranks that share each layer (default 1)")(
      "shards", po::value(&shards), "S: slices of each layer's arithmetic, a multiple of R (default R)")(
      "pipeline", po::value(&o.plan.pipeline), "P: stages that layers are dealt to (default 1)")(
      "stage-layers", po::value(&t.stage_layers), "layers of each stage, e.g. 7,23 (default: dealt evenly)")(
      "replicas", po::value(&o.plan.replicas),
      "D: independent copies that share out the prompts (default 1)")(
      "batch", po::value(&o.plan.batch), "sequences in one decode pass; part of the numerics (default 1)")(
      "threads", po::value(&o.threads),
      "CPU threads of one rank, changes no bits (default: cores / ranks here)");
  po::options_description numerics("Numerics");
  numerics.add_options()(
      "dtype", po::value(&t.dtype),
      "float64, float32, tf32, float16, bfloat16: weights and activations (default float32)")(
      "logits-dtype", po::value(&t.logits_dtype), "model, or float32: the head's accumulators, not rounded")(
      "reduction", po::value(&t.reduction),
      "how shards are summed. native: the library's all-reduce (default where S = R); by ourselves: linear "
      "0, 1, … S-1 (default else), chain S-1 … 0, ring, tree, tree:K (the K-th binary tree, S <= 8), "
      "perm:2,0,3,1, exact (float64), profile (as --collective-profile says)")(
      "collective-profile", po::value(&o.collective_profile),
      "the profile that --reduction profile folds by")(
      "partial", po::value(&t.partial),
      "a shard's product before the sum: model, the library's; float32, its accumulators as they are (may "
      "change the product's kernel); rounded, these rounded to the model's dtype by ourselves")(
      "accumulate", po::value(&t.accumulate),
      "where the sum rounds: message (every add, default), or once at the end of a float32 or float64 sum")(
      "row-linear", po::value(&t.row_linear),
      "reduce: shards' products are summed (default); scatter: the same, as reduce-scatter and all-gather of "
      "the padded message; gather: inputs and outputs are gathered, nothing is summed")(
      "quantize", po::value(&t.quantize), "none");
  po::options_description mode("Mode");
  mode.add_options()(
      "mode", po::value(&t.mode),
      "greedy: free running; follow: fed another record's tokens; score: one pass over the prompt")(
      "follow", po::value(&o.follow),
      "the record whose tokens --mode follow feeds one by one, and --mode score at once")(
      "max-new-tokens", po::value(&o.max_new_tokens), "stop after N tokens (default 64)")(
      "ignore-eos", po::bool_switch(&o.ignore_eos), "do not stop at end of sequence")(
      "record", po::value(&t.record),
      "top: the k most likely; logits: every logit (default); hidden: also the residual stream of every "
      "layer")("checksums", po::bool_switch(&o.checksums),
               "record a checksum of every operation's output, for shardrift explain; changes no bits")(
      "top-k", po::value(&o.top_k), "k of the recorded top list (default 10)")(
      "compress", po::value(&o.compression), "deflate level of the logits, 0 to 9 (default 0)")(
      "quiet", po::bool_switch(&o.quiet), "no progress")("help", "this text");
  po::options_description all;
  all.add(files).add(plan).add(numerics).add(mode);
  return all;
}

// Applied by main.cpp before MPI starts, so only on the command line; here they are checked and described.
po::options_description describe_pinning() {
  po::options_description pinning("Collectives, pinned (default: the library's choice; command line only)");
  for (const auto& flag : pinning_flags())
    pinning.add_options()(flag.name, po::value<std::string>(), flag.help);
  return pinning;
}

std::vector<int> numbers(std::string_view flag, const std::string& text) {
  std::vector<int> values;
  for (const auto& part : split(text, ',')) {
    const auto value = number_from<int>(part);
    if (!value) throw usage_error("{} {}: '{}' is not a number", flag, text, part);
    values.push_back(*value);
  }
  return values;
}

void only(std::string_view flag, const std::string& value, std::string_view supported) {
  if (value != supported) throw usage_error("{} {}: this version has only {}", flag, value, supported);
}

void apply(const Texts& t, int shards, RunOptions& o) {
  Plan& plan = o.plan;
  plan.device = named<Device>("--device", t.device);
  plan.dtype = named<DType>("--dtype", t.dtype);
  if (t.logits_dtype != "model" && t.logits_dtype != "float32")
    throw usage_error("unknown --logits-dtype '{}': use model or float32", t.logits_dtype);
  plan.logits_dtype = t.logits_dtype == "model" ? storage_of(plan.dtype) : DType::float32;
  plan.shards = shards == 0 ? plan.tensor_parallel : shards;
  plan.row_linear = named<RowLinear>("--row-linear", t.row_linear);
  // gather sums nothing: its plan says Reduction(), whatever the number of shards.
  const bool native = plan.shards == plan.tensor_parallel || plan.row_linear == RowLinear::gather;
  const std::string_view usual = native ? "native" : "linear";
  plan.reduction = reduction_from_text(t.reduction.empty() ? usual : t.reduction);
  plan.reduction.partial = named<PartialDType>("--partial", t.partial);
  if (!t.accumulate.empty()) plan.reduction.accumulator = named<Accumulator>("--accumulate", t.accumulate);
  if (!t.stage_layers.empty()) plan.stage_layers = numbers("--stage-layers", t.stage_layers);
  only("--quantize", t.quantize, "none");
  o.mode = named<Mode>("--mode", t.mode);
  o.level = named<RecordLevel>("--record", t.record);
}

void check(const RunOptions& o) {
  if (o.model.empty()) throw usage_error("--model DIR is needed: a Hugging Face directory");
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
  if (o.max_new_tokens < 1) throw usage_error("--max-new-tokens {}: must be at least 1", o.max_new_tokens);
  if (o.top_k < 1 || o.top_k > 1000) throw usage_error("--top-k {}: use 1 to 1000", o.top_k);
  if (o.threads < 0 || o.threads > 256) throw usage_error("--threads {}: use 0 to 256", o.threads);
  if (o.compression < 0 || o.compression > 9) throw usage_error("--compress {}: use 0 to 9", o.compression);
}

}  // namespace

std::string run_help() {
  RunOptions options;
  Texts texts;
  int shards = 0;
  std::ostringstream text;
  text << "shardrift-run run: inference under one plan, every logit recorded.\n\n"
          "Start R x P x D ranks with mpirun or srun; each drives one device.\n\n"
       << describe_options(options, texts, shards) << '\n'
       << describe_pinning() << kExamples;
  return text.str();
}

RunOptions parse_run_options(const std::vector<std::string>& arguments, bool& helped) {
  RunOptions options;
  Texts texts;
  int shards = 0;
  const auto description = describe_options(options, texts, shards);
  po::options_description accepted;
  accepted.add(description).add(describe_pinning());
  try {
    po::variables_map values;
    po::store(po::command_line_parser(arguments)
                  .options(accepted)
                  .style(po::command_line_style::unix_style ^ po::command_line_style::allow_guessing)
                  .positional({})
                  .run(),
              values);
    helped = values.count("help") != 0;
    if (helped) return options;
    if (values.count("config") != 0) {
      const auto path = values["config"].as<std::string>();
      std::ifstream file(path);
      if (!file) throw usage_error("--config {}: cannot be read", path);
      po::store(po::parse_config_file(file, description), values);
    }
    po::notify(values);
    if (values.count("shards") != 0 && shards < 1)
      throw usage_error("--shards {}: must be at least 1", shards);
  } catch (const po::error& error) {
    throw usage_error("{}; see shardrift-run run --help", error.what());
  }
  apply(texts, shards, options);
  check(options);
  return options;
}

}  // namespace shardrift
