// Small records for tests: deterministic values, files in a directory of their own.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "record/reader.hpp"
#include "record/writer.hpp"

namespace shardrift::record::testing {

// A fresh directory for one test, removed at its end.
class Scratch {
 public:
  Scratch() {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("shardrift-test-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline constexpr const char* kPlan =
    R"({"accumulate":"message","batch":1,"device":"cpu","dtype":"float32","logits_dtype":"float32","partial":"model","pipeline":1,"reduction":"native","replicas":1,"row_linear":"reduce","shards":1,"stage_layers":[2],"tensor_parallel":1})";

inline RunInfo example_run(DType dtype = DType::float32, std::int64_t vocabulary = 7) {
  RunInfo run;
  run.created = "2026-01-02T03:04:05Z";
  run.command = "shardrift-run run --model tiny";
  run.version = "0.1.0";
  run.plan = kPlan;
  run.mode = "greedy";
  run.level = "logits";
  run.prompts_hash = "aa";
  run.resume_key = "key-1";
  run.logits_dtype = dtype;
  run.environment.devices = {{0, "node1", "Some CPU", "", "", ""},
                             {1, "node2", "Some GPU", "GPU-1", "9.0", "580"}};
  run.environment.libraries = {{"hdf5", "1.10.8"}, {"cuda runtime", "13.0"}};
  run.environment.variables = {{"NCCL_NVLS_ENABLE", "0"}, {"OMP_NUM_THREADS", ""}};
  run.environment.settings = {{"threads", "1"}};
  run.environment.topology = "one\ntwo";
  run.model.architecture = "LlamaForCausalLM";
  run.model.dtype = "float32";
  run.model.quantization = "none";
  run.model.config = R"({"vocab_size": 7})";
  run.model.identity = "model-1";
  run.model.vocabulary = vocabulary;
  for (std::int64_t i = 0; i < vocabulary; ++i) run.model.vocab.push_back("tok" + std::to_string(i));
  return run;
}

inline CollectiveInfo example_collective() {
  CollectiveInfo one;
  one.operation = "all-reduce";
  one.count = std::int64_t{3} << 31U;  // beyond int32
  one.dtype = "bfloat16";
  one.ranks = 4;
  one.library = "nccl";
  one.version = "2.28.9";
  one.algorithm = "ring";
  one.protocol = "ll";
  one.channels = "16 to 24";
  one.rings = "0 1 2 3\n0 3 2 1";
  one.source = "probed";
  one.captured = true;
  one.segments = {{0, 5, 0}, {5, 9, 1}, {9, one.count, 0}};
  one.trees = {"((1+2)+3)+0", "not binary"};
  return one;
}

inline std::vector<std::byte> random_bytes(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random() & 0xFFU);
  return bytes;
}

// `steps` rows of random words: every bit pattern, NaN and infinities included, must survive.
inline PromptRecord example_prompt(const RunInfo& run, const std::string& id, std::int64_t index,
                                   int steps = 3) {
  PromptRecord record;
  const auto tokens = static_cast<std::int32_t>(std::min<std::int64_t>(7, run.model.vocabulary));
  record.prompt = {id,
                   index,
                   "text of " + id,
                   "text",
                   {1 % tokens, 2 % tokens, static_cast<std::int32_t>(index % tokens)}};
  record.stop = "length";
  record.device = "Some CPU, node1";
  record.replica = 1;
  for (int i = 0; i < steps; ++i) {
    Row row;
    row.input_id = i == 0 ? record.prompt.tokens.back() : (i + 3) % tokens;
    row.position = 2 + i;
    row.chosen = (i + 4) % tokens;
    row.forward_call = 10 + i;
    row.forward_rows = 2;
    row.batch_row = 1;
    row.phase = i == 0 ? Phase::prefill : Phase::decode;
    row.seconds = 0.5 + i;
    record.rows.push_back(row);
  }
  record.logits =
      random_bytes(static_cast<std::size_t>(steps * run.model.vocabulary) * size_of(run.logits_dtype),
                   static_cast<std::uint32_t>(index + 1));
  record.top.k = 2;
  for (int i = 0; i < steps; ++i) {
    record.top.ids.insert(record.top.ids.end(), {(i + 4) % tokens, (i + 5) % tokens});
    record.top.log_probabilities.insert(record.top.log_probabilities.end(),
                                        {-0.25F, -1.5F - static_cast<float>(i)});
  }
  record.hash = sha256_hex(record.logits);
  return record;
}

// Random hidden states and checksums of a model of 2 layers and hidden size 5.
inline void add_traces(PromptRecord& record, DType dtype, bool partials = true) {
  constexpr std::int64_t kLayers = 2;
  const std::size_t rows = record.rows.size();
  record.hidden = {kLayers + 1, 5, dtype, random_bytes((kLayers + 1) * 5 * rows * size_of(dtype), 77)};
  record.checksums = {kLayers, static_cast<std::int64_t>(rows)};
  if (!partials) std::erase_if(record.checksums.operations, per_shard);
  std::mt19937_64 random(78);
  for (std::int64_t point = 0; point < point_count(kLayers); ++point)
    for (std::size_t row = 0; row < rows; ++row)
      record.checksums.sums.push_back(record.checksums.has(point_at(point, kLayers).operation) ? random()
                                                                                               : 0);
}

// Random sketches of two shards in two layers.
inline void add_sketches(PromptRecord& record) {
  Sketches& sketches = record.sketches;
  sketches.layers = 2;
  sketches.shards = 2;
  sketches.rows = static_cast<std::int64_t>(record.rows.size());
  sketches.operations = first_operations();
  sketches.values.assign(static_cast<std::size_t>(point_count(2) * 2 * sketches.rows * kSketches), 0);
  std::mt19937_64 random(80);
  for (std::int64_t i = 0; i < point_count(2); ++i) {
    const Point point = point_at(i, 2);
    if (!sketches.has(point.operation)) continue;
    for (std::int64_t shard = 0; shard < (on_shards(point.operation) ? 2 : 1); ++shard)
      for (std::int64_t at = 0; at < sketches.rows * kSketches; ++at)
        sketches.values[sketches.index_of_row(point, shard, 0) + static_cast<std::size_t>(at)] =
            std::normal_distribution()(random);
  }
}

// Random routes of layers 1 and 4 with 5 experts, 2 a token.
inline void add_routes(PromptRecord& record, std::uint32_t seed = 79) {
  Routes& routes = record.routes;
  routes.layers = {1, 4};
  routes.positions = std::int64_t{record.rows.back().position} + 1;
  routes.k = 2;
  std::mt19937 random(seed);
  for (std::int64_t i = 0; i < 2 * routes.positions; ++i) {
    const auto first = static_cast<std::int32_t>(random() % 4);
    routes.experts.insert(
        routes.experts.end(),
        {first, first + 1 + static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(4 - first))});
    const float weight = static_cast<float>(random() % 100) / 100;
    routes.weights.insert(routes.weights.end(), {weight, 1 - weight});
  }
}

inline std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void replace_contents(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// OUT.h5 with these prompts, assembled.
inline void write_record(const std::filesystem::path& output, const RunInfo& run,
                         const std::vector<PromptRecord>& prompts, int compression = 0) {
  const WriterOptions options{output, false, compression};
  prepare_output(options, run);
  {
    PartWriter writer(options, run);
    for (const auto& prompt : prompts) writer.add(prompt);
    writer.finish();
  }
  missing_prompts(options, run);  // removes what cannot be believed
  assemble(options, run, {1.0, 2.0, 3.0, 4, 5});
}

// The message and exit code of the Error that `action` throws; fails the test where it throws none.
template <typename Action>
Error error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return {ExitCode::ok, ""};
}

}  // namespace shardrift::record::testing
