// Whole runs of GGUF files against the checkpoints they were made of, and against what their types decode to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Records with the same flags of DIR/NAME.gguf and of DIR/NAME.
void expect_equal_logits(const std::string& name, const Case& what) {
  const auto folder = scratch("gguf-" + name);
  const auto file = record_of(name + ".gguf", what, folder, "file");
  const auto directory = record_of(name, what, folder, "directory");
  EXPECT_EQ(first_difference(file, directory), "");
}

// Without the gguf package the files are not made.
void require_files() {
  if (!fs::exists(fixture("gguf-types.gguf"))) GTEST_SKIP() << "no GGUF files: the gguf package is missing";
}

class OfAGguf : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { require_files(); }
};
class OfAQuantizedGguf : public ::testing::Test {
 protected:
  void SetUp() override { require_files(); }
};
using OfAGgufFile = OfAQuantizedGguf;

TEST_P(OfAGguf, LogitsAreTheSourceCheckpoints) {
  const auto dtype = GetParam().ends_with("16") ? GetParam().substr(GetParam().rfind('-') + 1) : "float32";
  expect_equal_logits(GetParam(), {1, {"--dtype", dtype}});
}

INSTANTIATE_TEST_SUITE_P(Architectures, OfAGguf,
                         ::testing::Values("tiny-llama", "tiny-llama-headdim", "tiny-llama-tied-rope3",
                                           "tiny-llama-biases", "tiny-llama-linear", "tiny-llama-float16",
                                           "tiny-llama-bfloat16", "tiny-mistral", "tiny-qwen2-yarn",
                                           "tiny-qwen3", "tiny-gemma2", "tiny-gemma3", "tiny-phi3",
                                           "tiny-olmo2", "tiny-granite", "tiny-mixtral", "gguf-qwen3-moe",
                                           "gguf-gpt-oss"),
                         [](const auto& tested) {
                           auto name = tested.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Matrices of every type that is decoded.
TEST_F(OfAQuantizedGguf, LogitsAreThoseOfTheDecodedWeights) {
  expect_equal_logits("gguf-types", {1, {"--dtype", "float32"}});
}

TEST_F(OfAQuantizedGguf, EveryNumberOfShardsSeesTheSameWeights) {
  expect_equal_logits("gguf-types",
                      {2, {"--tensor-parallel", "2", "--shards", "4", "--reduction", "linear"}});
}

TEST_F(OfAGgufFile, WhatItHoldsIsRecorded) {
  const auto folder = scratch("gguf-dtype");
  const auto half = record::Reader::open(record_of("tiny-llama-float16.gguf", {}, folder, "half"));
  EXPECT_THAT(half.run().model.config, HasSubstr(R"("torch_dtype": "float16")"));
  EXPECT_EQ(half.run().model.quantization, "none");
  const auto types = record::Reader::open(record_of("gguf-types.gguf", {}, folder, "types"));
  EXPECT_THAT(types.run().model.quantization,
              AllOf(HasSubstr("GGUF "), HasSubstr("Q4_K"), HasSubstr("Q8_0")));
  EXPECT_EQ(half.run().model.weights.size(), 64U);
  const auto other = record::Reader::open(record_of("tiny-llama-float16", {}, folder, "other"));
  EXPECT_NE(half.run().model.weights, other.run().model.weights);  // other bytes are stored
}

// The demo's directory holds what its file decodes to, rounded to bfloat16: run in bfloat16 they are one
// model.
TEST(OfARealGguf, TextsAndLogitsAreThoseOfTheConvertedDirectory) {
  const fs::path source = SHARDRIFT_SOURCE_DIR;
  const auto file = source / ".cache/SmolLM2-135M-Instruct.Q4_1.gguf",
             directory = source / "models/smollm2-135m";
  if (!fs::exists(file) || !fs::exists(directory))
    GTEST_SKIP() << "run scripts/fetch-model, then this test again";
  const auto folder = scratch("gguf-real");
  const auto prompts = folder / "prompts.jsonl";
  std::ofstream(prompts) << R"({"id": "a", "text": "The capital of France is"})" << '\n';
  const auto run = [&](const fs::path& model, const char* name) {
    const auto output = folder / name;
    const auto finished = run_program(
        worker_command(1, {"run", "--model", model.string(), "--prompts", prompts.string(), "--output",
                           output.string(), "--dtype", "bfloat16", "--max-new-tokens", "4", "--quiet"}));
    EXPECT_EQ(finished.code, 0) << finished.output;
    return output;
  };
  EXPECT_EQ(first_difference(run(file, "file.h5"), run(directory, "directory.h5")), "");
}

std::vector<std::string> inspect(const fs::path& model) {
  return {SHARDRIFT_BINARY_DIR "/bin/shardrift", "inspect", "--model", model.string()};
}

TEST_F(OfAGgufFile, IsInspectedLikeADirectory) {
  const auto types = run_program(inspect(fixture("gguf-types.gguf")));
  EXPECT_EQ(types.code, 0) << types.output;
  EXPECT_THAT(types.output,
              AllOf(HasSubstr("file           "), HasSubstr("LlamaForCausalLM"),
                    HasSubstr("quantized      GGUF "), HasSubstr("Q6_K"), HasSubstr("will it run    yes")));
  const auto plain = run_program(inspect(fixture("tiny-llama.gguf")));
  EXPECT_EQ(plain.code, 0) << plain.output;
  EXPECT_THAT(plain.output, Not(HasSubstr("quantized")));
}

// One error, by whichever of its readers.
TEST_F(OfAGgufFile, ThatIsCutOffIsRefusedOnce) {
  const auto folder = scratch("gguf-cut");
  for (const auto bytes : {0U, 3U, 100U, 5000U, 100000U}) {
    SCOPED_TRACE(bytes);
    const auto file = folder / "cut.gguf";
    fs::copy(fixture("gguf-types.gguf"), file, fs::copy_options::overwrite_existing);
    fs::resize_file(file, bytes);
    const auto inspected = run_program(inspect(file));
    EXPECT_EQ(inspected.code, 65) << inspected.output;
    const auto first = inspected.output.find("cut.gguf: ");
    ASSERT_NE(first, std::string::npos) << inspected.output;
    EXPECT_EQ(inspected.output.find("cut.gguf: ", first + 1), std::string::npos) << inspected.output;
    const auto run = run_program(
        worker_command(1, {"run", "--model", file.string(), "--prompts", write_prompts(folder).string(),
                           "--output", (folder / "one.h5").string()}));
    EXPECT_EQ(run.code, 65) << run.output;
    EXPECT_THAT(run.output, HasSubstr(file.string()));
    EXPECT_FALSE(fs::exists(folder / "one.h5"));
  }
}

TEST_F(OfAGgufFile, IsNotWrittenOver) {
  const auto folder = scratch("gguf-output");
  fs::copy(fixture("tiny-llama.gguf"), folder / "model.gguf");
  const auto prompts = write_prompts(folder);
  const auto run = run_program(worker_command(
      1, {"run", "--model", (folder / "model.gguf").string(), "--prompts", prompts.string(), "--output",
          (folder / "model.gguf").string(), "--overwrite", "--max-new-tokens", "2"}));
  EXPECT_EQ(run.code, 64) << run.output;
  EXPECT_THAT(run.output, HasSubstr("is one of the files that are read"));
}

}  // namespace
}  // namespace shardrift::testing
