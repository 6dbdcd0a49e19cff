// The worker's float32 logits against transformers': tests/golden/references/*.json, written by
// make-goldens.py. Our sums are added up in another order than theirs, so bits differ; a wrong formula moves
// logits by far more than 1e-4.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.hpp"
#include "record/reader.hpp"

namespace shardrift {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kTolerance = 1e-4;    // relative error of a prompt's logits
constexpr double kClearMargin = 1e-2;  // logits further apart than this must keep their order

const fs::path kSource = SHARDRIFT_SOURCE_DIR;
const fs::path kBinary = SHARDRIFT_BINARY_DIR;

json read_reference(const std::string& model) {
  const fs::path path = kSource / "tests/golden/references" / (model + ".json");
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return json::parse(file);
}

std::vector<float> floats_from_base64(const std::string& text) {
  static const std::string kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<unsigned char> bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6U | static_cast<unsigned>(kDigits.find(c));
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<unsigned char>(bits >> count));
    }
  }
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// Where a reference's model is: the real one under models/, the small ones among the fixtures.
fs::path model_directory(const std::string& model) {
  return model.starts_with("tiny-") ? kBinary / "fixtures" / model : kSource / "models" / model;
}

// One run of the worker over prompts given as token ids or text; the record it wrote.
record::Reader run_worker(const std::string& model, const std::string& name, const std::vector<json>& prompts,
                          int ranks, const std::vector<std::string>& flags) {
  const fs::path folder = kBinary / "golden";
  fs::create_directories(folder);
  const fs::path stem = folder / (model + "." + name);
  const std::string prompts_file = stem.string() + ".jsonl", output = stem.string() + ".h5";
  std::ofstream file(prompts_file);
  for (const auto& prompt : prompts) file << prompt.dump() << '\n';
  file.close();
  // clang-format off
  std::vector<std::string> arguments = {
      "run", "--model", model_directory(model).string(), "--prompts", prompts_file,
      "--output", output, "--overwrite", "--dtype", "float32", "--quiet"};
  // clang-format on
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  const auto finished = testing::run_program(testing::worker_command(ranks, arguments));
  if (finished.code != 0)
    throw std::runtime_error("exit code " + std::to_string(finished.code) + ": " + finished.output);
  return record::Reader::open(output);
}

std::vector<float> row_of(const record::Reader& reader, const std::string& id, std::int64_t row) {
  std::vector<std::byte> words;
  reader.read_logits(id, row, row + 1, words);
  std::vector<float> values(words.size() / sizeof(float));
  std::memcpy(values.data(), words.data(), words.size());
  return values;
}

// One prompt of a reference against the record: logits, and the argmax where the reference's choice is clear.
void compare_prompt(const record::Reader& reader, const json& expected) {
  const std::string id = expected["id"];
  SCOPED_TRACE("prompt " + id);
  const auto rows = expected["rows"].get<std::vector<std::int64_t>>();
  const auto argmax = expected["argmax"].get<std::vector<std::int32_t>>();
  const auto margin = expected["margin"].get<std::vector<double>>();
  const auto reference = floats_from_base64(expected["logits"]);
  std::vector<std::size_t> columns;
  if (!expected["columns"].is_null()) columns = expected["columns"].get<std::vector<std::size_t>>();

  const auto prompt = reader.prompt(id);
  EXPECT_EQ(prompt.prompt.tokens, expected["tokens"].get<std::vector<std::int32_t>>());
  ASSERT_EQ(prompt.rows.size(), prompt.prompt.tokens.size()) << "score records a row for every token";
  double difference = 0, size = 0;
  std::size_t next = 0;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto ours = row_of(reader, id, rows[r]);
    const std::size_t count = columns.empty() ? ours.size() : columns.size();
    ASSERT_LE(next + count, reference.size()) << "the record's vocabulary is larger than the reference's";
    for (std::size_t c = 0; c < count; ++c, ++next) {
      const double a = ours[columns.empty() ? c : columns[c]], b = reference[next];
      difference += (a - b) * (a - b);
      size += b * b;
    }
    if (margin[r] > kClearMargin) {
      EXPECT_EQ(prompt.rows[static_cast<std::size_t>(rows[r])].chosen, argmax[r])
          << "at position " << rows[r];
    }
  }
  EXPECT_EQ(next, reference.size());
  EXPECT_LE(std::sqrt(difference / size), kTolerance);
}

struct Case {
  std::string model;
  std::string plan;  // a name for the output file
  int ranks = 1;
  std::vector<std::string> flags;
};

class Golden : public ::testing::TestWithParam<Case> {};

TEST_P(Golden, LogitsAgreeWithTransformers) {
  const auto& [model, plan, ranks, flags] = GetParam();
  const json reference = read_reference(model);
  std::vector<json> prompts;
  for (const auto& prompt : reference["prompts"])
    prompts.push_back({{"id", prompt["id"]}, {"tokens", prompt["tokens"]}});
  auto all = flags;
  all.insert(all.end(), {"--mode", "score"});
  const auto reader = run_worker(model, plan, prompts, ranks, all);
  for (const auto& prompt : reference["prompts"]) compare_prompt(reader, prompt);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* model : {"tiny-llama", "tiny-llama-headdim", "tiny-llama-tied-rope3", "tiny-mistral",
                            "tiny-exact", "tiny-sharded", "tiny-llama-biases"}) {
    all.push_back({model, "one", 1, {}});
    // Head counts and vocabularies that 2, 3 and 4 do not divide, on one device and over ranks.
    all.push_back({model, "shards4", 1, {"--shards", "4"}});
    all.push_back({model, "tp3", 3, {"--tensor-parallel", "3"}});
    all.push_back({model, "tp2_pp2", 4, {"--tensor-parallel", "2", "--pipeline", "2"}});
  }
  return all;
}

std::string name_of(const ::testing::TestParamInfo<Case>& instance) {
  std::string name = instance.param.model + "_" + instance.param.plan;
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Tiny, Golden, ::testing::ValuesIn(cases()), name_of);

// The real model. scripts/test sets SHARDRIFT_REQUIRE_MODEL, so that CI cannot skip these unnoticed.
class RealModel : public ::testing::Test {
 protected:
  static constexpr const char* kModel = "smollm2-135m";
  void SetUp() override {
    if (fs::exists(model_directory(kModel) / "config.json")) return;
    const std::string message =
        model_directory(kModel).string() + " is absent: run scripts/fetch-model " + kModel;
    if (std::getenv("SHARDRIFT_REQUIRE_MODEL") != nullptr) FAIL() << message;
    GTEST_SKIP() << message;
  }
};

// The prompts are given as text, so the record's token ids are the C++ tokenizer's; the reference's are
// Hugging Face's.
TEST_F(RealModel, LogitsAndTokenIdsAgreeWithTransformers) {
  const json reference = read_reference(kModel);
  std::vector<json> prompts;
  for (const auto& prompt : reference["prompts"])
    prompts.push_back({{"id", prompt["id"]}, {"text", prompt["text"]}});
  const auto reader = run_worker(kModel, "score", prompts, 1, {"--mode", "score"});
  for (const auto& prompt : reference["prompts"]) compare_prompt(reader, prompt);
}

TEST_F(RealModel, KnowsTheCapitalOfFrance) {
  const json greedy = read_reference(kModel)["greedy"];
  const auto expected = greedy["continuation"].get<std::vector<std::int32_t>>();
  const auto reader = run_worker(kModel, "greedy", {{{"id", "france"}, {"text", greedy["text"]}}}, 1,
                                 {"--max-new-tokens", std::to_string(expected.size()), "--ignore-eos"});
  const auto prompt = reader.prompt("france");
  EXPECT_EQ(prompt.prompt.tokens, greedy["tokens"].get<std::vector<std::int32_t>>());
  std::vector<std::int32_t> written;
  for (const auto& row : prompt.rows) written.push_back(row.chosen);
  EXPECT_EQ(written, expected) << "transformers writes:" << greedy["continuation_text"];
}

}  // namespace
}  // namespace shardrift
