// make_dumps DIR DTYPE PROMPTS ROWS VOCABULARY: two records for timing compare, DIR/reference.h5 and
// DIR/candidate.h5. Logits as of a language model under tensor parallelism: normal with deviation 3 around 0,
// a few likely tokens far above, and in the candidate a change of about 0.05 in nearly all of them, rounded
// to DTYPE. Both are fed the same tokens (mode score), so every row is compared.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "record/writer.hpp"

namespace shardrift {
namespace {

struct Shape {
  DType dtype = DType::float32;
  int prompts = 0;
  int rows = 0;
  int vocabulary = 0;
};

record::RunInfo run_of(const Shape& shape, bool candidate) {
  record::RunInfo run;
  run.created = "2026-01-01T00:00:00Z";
  run.command = "make_dumps";
  run.version = "0";
  run.plan = candidate ? R"({"shards":2,"tensor_parallel":2})" : R"({"shards":1,"tensor_parallel":1})";
  run.mode = "score";
  run.level = "logits";
  run.prompts_hash = "0";
  run.resume_key = candidate ? "candidate" : "reference";
  run.logits_dtype = shape.dtype;
  run.model.architecture = "none";
  run.model.dtype = std::string(name_of(shape.dtype));
  run.model.quantization = "none";
  run.model.config = "{}";
  run.model.identity = "make_dumps";
  run.model.vocabulary = shape.vocabulary;
  return run;
}

// Cheap normal-like numbers: benchmarks need millions of them.
class Noise {
 public:
  explicit Noise(std::uint64_t seed) : engine_(seed) {}
  float operator()() {  // the sum of four uniforms: deviation 1, mean 0
    const std::uint64_t word = engine_();
    float sum = 0;
    for (int i = 0; i < 4; ++i) sum += static_cast<float>((word >> (16 * i)) & 0xFFFFU);
    return (sum / 65536.0F - 2.0F) * 1.7320508F;
  }

 private:
  std::mt19937_64 engine_;
};

void append(std::vector<std::byte>& words, DType dtype, float value) {
  const auto put = [&](auto word) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&word);
    words.insert(words.end(), bytes, bytes + sizeof(word));
  };
  switch (dtype) {
    case DType::float64:
      return put(static_cast<double>(value));
    case DType::bfloat16:
      return put(bfloat16_from_float(value));
    case DType::float16:
      return put(float16_from_float(value));
    default:
      return put(value);
  }
}

float rounded(DType dtype, float value) {
  if (dtype == DType::bfloat16) return float_from_bfloat16(bfloat16_from_float(value));
  return dtype == DType::float16 ? float_from_float16(float16_from_float(value)) : value;
}

record::PromptRecord prompt_of(const Shape& shape, int index, bool candidate) {
  Noise logits(static_cast<std::uint64_t>(index) + 1);
  Noise change(static_cast<std::uint64_t>(index) + 1000);
  std::mt19937 tokens(static_cast<std::uint32_t>(index));
  record::PromptRecord record;
  record.prompt.id = "p" + std::to_string(index);
  record.prompt.index = index;
  record.prompt.source = "tokens";
  record.stop = "given";
  record.logits.reserve(static_cast<std::size_t>(shape.rows) * static_cast<std::size_t>(shape.vocabulary) *
                        size_of(shape.dtype));
  std::vector<float> row(static_cast<std::size_t>(shape.vocabulary));
  for (int i = 0; i < shape.rows; ++i) {
    for (auto& value : row) value = 3 * logits();
    for (int k = 0; k < 8; ++k) row[tokens() % row.size()] = 12 + 3 * std::fabs(logits());
    for (auto& value : row) {
      const float moved = value + 0.05F * change();
      if (candidate) value = moved;
    }
    record::Row about;
    about.input_id = static_cast<std::int32_t>(tokens() % row.size());
    about.position = i;
    for (auto& value : row) value = rounded(shape.dtype, value);
    about.chosen = static_cast<std::int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
    about.phase = record::Phase::prefill;
    record.rows.push_back(about);
    record.prompt.tokens.push_back(about.input_id);
    for (const float value : row) append(record.logits, shape.dtype, value);
  }
  record.hash = sha256_hex(record.logits);
  return record;
}

void write(const std::filesystem::path& path, const Shape& shape, bool candidate) {
  const auto run = run_of(shape, candidate);
  const record::WriterOptions options{path, true, 0};
  prepare_output(options, run);
  record::PartWriter writer(options, run);
  for (int i = 0; i < shape.prompts; ++i) writer.add(prompt_of(shape, i, candidate));
  writer.finish();
  assemble(options, run, {});
}

}  // namespace
}  // namespace shardrift

int main(int argc, char** argv) {
  using namespace shardrift;
  if (argc != 6) {
    std::fprintf(stderr, "usage: make_dumps DIR DTYPE PROMPTS ROWS VOCABULARY\n");
    return static_cast<int>(ExitCode::usage);
  }
  try {
    const std::filesystem::path directory = argv[1];
    std::filesystem::create_directories(directory);
    const Shape shape{named<DType>("dtype", argv[2]), std::stoi(argv[3]), std::stoi(argv[4]),
                      std::stoi(argv[5])};
    write(directory / "reference.h5", shape, false);
    write(directory / "candidate.h5", shape, true);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_dumps: %s\n", error.what());
    return static_cast<int>(ExitCode::failure);
  }
  return 0;
}
