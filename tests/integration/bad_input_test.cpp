// Bad input under mpirun: one clear error naming file and value, the right exit code, on 2 ranks; none
// hangs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class BadInput : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = scratch(std::string("bad-") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    model = folder / "model";
    fs::copy(fixture("tiny-llama"), model);
    prompts = write_prompts(folder);
  }

  // Runs on two ranks and expects `code` and `text` in one message, with no output left. One that hangs has
  // no exit code.
  void refused(int code, const std::string& text, const std::vector<std::string>& more = {}, int ranks = 2) {
    std::vector<std::string> arguments{"run", "--model", model.string(), "--prompts", prompts.string()};
    const auto unless_given = [&](const std::string& flag, const std::string& value) {
      if (std::find(more.begin(), more.end(), flag) == more.end())
        arguments.insert(arguments.end(), {flag, value});
    };
    unless_given("--output", (folder / "out.h5").string());
    unless_given("--max-new-tokens", "3");
    unless_given("--tensor-parallel", std::to_string(ranks));
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto finished = run_program(worker_command(ranks, arguments));
    EXPECT_EQ(finished.code, code) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr(text));
    const auto first = finished.output.find("shardrift-run: ");
    EXPECT_NE(first, std::string::npos) << finished.output;
    EXPECT_EQ(finished.output.find("shardrift-run: ", first + 1), std::string::npos)
        << "said twice: " << finished.output;
    EXPECT_FALSE(fs::exists(folder / "out.h5"));
  }

  void replace_in(const fs::path& file, const std::string& from, const std::string& to) const {
    std::ifstream in(file);
    std::string text((std::istreambuf_iterator<char>(in)), {});
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    std::ofstream(file) << text.replace(at, from.size(), to);
  }

  // An element of a float32 tensor of the model.
  void put_infinity(const std::string& tensor, std::size_t element) const {
    std::fstream file(model / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    std::uint64_t length = 0;
    file.read(reinterpret_cast<char*>(&length), sizeof length);
    std::string header(length, '\0');
    file.read(header.data(), static_cast<std::streamsize>(length));
    const auto begin = nlohmann::json::parse(header).at(tensor).at("data_offsets").at(0).get<std::uint64_t>();
    file.seekp(static_cast<std::streamoff>(8 + length + begin + element * sizeof(float)));
    file.write("\x00\x00\x80\x7f", sizeof(float));
  }

  fs::path folder, model, prompts;
};

TEST_F(BadInput, TruncatedWeights) {
  fs::resize_file(model / "model.safetensors", fs::file_size(model / "model.safetensors") / 2);
  refused(65, "model.safetensors");
}

TEST_F(BadInput, LyingHeaderLength) {
  std::fstream file(model / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  file.write("\xff\xff\xff\xff\xff\xff\xff\x7f", 8);
  file.close();
  refused(65, "model.safetensors");
}

TEST_F(BadInput, MissingModel) {
  fs::remove_all(model);
  refused(65, "config.json");
}

TEST_F(BadInput, NotJson) {
  std::ofstream(model / "config.json") << "{ \"hidden_size\": ";
  refused(65, "config.json");
}

TEST_F(BadInput, WrongShape) {
  replace_in(model / "config.json", "\"intermediate_size\": 200", "\"intermediate_size\": 264");
  refused(65, "mlp.down_proj.weight\" has shape [72,200], config.json asks for [72,264]");
}

TEST_F(BadInput, MissingTensor) {
  replace_in(model / "config.json", "\"num_hidden_layers\": 5", "\"num_hidden_layers\": 6");
  refused(65, "model.layers.5.");
}

TEST_F(BadInput, TokenOutsideTheVocabulary) {
  std::ofstream(prompts) << "{\"id\": \"a\", \"tokens\": [1, 259]}\n";
  refused(65, "token 259 is outside the vocabulary of 259");
}

TEST_F(BadInput, EmptyPrompt) {
  std::ofstream(prompts) << "{\"id\": \"a\", \"tokens\": []}\n";
  refused(65, "prompt 'a' is empty");
}

TEST_F(BadInput, BrokenPromptsLine) {
  std::ofstream(prompts) << "{\"id\": \"a\", \"tokens\": [1]}\n{\"id\": \"b\", \n";
  refused(65, "line 2");
}

TEST_F(BadInput, IdThatIsAPath) {
  std::ofstream(prompts) << "{\"id\": \"../a\", \"tokens\": [1]}\n";
  refused(65, "id '../a'");
}

TEST_F(BadInput, RepeatedId) {
  std::ofstream(prompts) << "{\"id\": \"a\", \"tokens\": [1]}\n{\"id\": \"a\", \"tokens\": [2]}\n";
  refused(65, "used twice");
}

TEST_F(BadInput, PromptLongerThanTheContext) {
  std::ofstream file(prompts);
  file << "{\"id\": \"long\", \"tokens\": [0";
  for (int i = 0; i < 5000; ++i) file << ", 1";
  file << "]}\n";
  file.close();
  refused(65, "prompt 'long' has 5001 tokens");
}

TEST_F(BadInput, TextWithoutATokenizer) {
  std::ofstream(prompts) << "{\"id\": \"a\", \"text\": \"hello\"}\n";
  refused(65, "neither tokenizer.json nor tokenizer.model");
}

TEST_F(BadInput, MissingPrompts) {
  fs::remove(prompts);
  refused(65, prompts.string());
}

TEST_F(BadInput, NaNInTheWeights) {
  const auto size = fs::file_size(model / "model.safetensors");
  std::fstream file(model / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(size - 4096));
  for (int i = 0; i < 1024; ++i) file.write("\x00\x00\xc0\x7f", 4);
  file.close();
  refused(65, "tensor lm_head.weight: the weight at [");
}

// The index is the stored tensor's, also where several matrices are packed in it, one of which a rank loads a
// part of.
TEST_F(BadInput, InfinityInAPackedTensorOrABias) {
  struct Place {
    std::string model, tensor, where;
    std::size_t element;  // from the tensor's beginning
  };
  const std::vector<Place> places{
      // Three KV groups of three query heads, a key and a value, eight rows each: the second group's key.
      {"tiny-internlm2", "model.layers.1.attention.wqkv.weight", "[66, 5]", 66 * 72 + 5},
      {"tiny-phi3", "model.layers.2.self_attn.qkv_proj.weight", "[100, 79]", 100 * 80 + 79},  // a value
      {"tiny-phi3", "model.layers.0.mlp.gate_up_proj.weight", "[97, 0]", 97 * 80},            // of up
      {"tiny-qwen2", "model.layers.2.self_attn.k_proj.bias", "[11]", 11},
      {"tiny-llama-attention-bias", "model.layers.0.self_attn.o_proj.bias", "[53]", 53},
      {"tiny-qwen3", "model.layers.1.self_attn.k_norm.weight", "[9]", 9},
  };
  std::ofstream(prompts) << R"({"id": "a", "tokens": [5, 6, 7]})";
  for (const auto& place : places) {
    SCOPED_TRACE(place.tensor);
    fs::remove_all(model);
    fs::copy(fixture(place.model), model);
    put_infinity(place.tensor, place.element);
    refused(65, "tensor " + place.tensor + ": the weight at " + place.where + " is infinite or NaN");
  }
}

TEST_F(BadInput, UnwritableOutput) {
  refused(70, "/proc/shardrift", {"--output", "/proc/shardrift/out.h5"}, 1);
}

// A run's parts and its assembly have longer names than the record: said before weights are read.
TEST_F(BadInput, OverlongOutput) {
  refused(64, "would be a name of 257 bytes", {"--output", (folder / std::string(246, 'n')).string()});
  refused(64, "a path of", {"--output", folder.string() + std::string(4000, '/') + "out.h5"});
}

// What each of two processes says that srun started without a PMI that MPI knows.
TEST_F(BadInput, SingletonsOfSrun) {
  const auto alone = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"env", "SLURM_NTASKS=2", "SLURM_PROCID=0", "SLURM_JOB_ID=1",
                                 "SLURM_STEP_ID=0", SHARDRIFT_BINARY_DIR "/bin/shardrift-run"});
    return run_program(words);
  };
  const auto run = alone({"run", "--model", model.string(), "--prompts", prompts.string(), "--output",
                          (folder / "out.h5").string(), "--tensor-parallel", "2"});
  EXPECT_EQ(run.code, 64);
  EXPECT_THAT(run.output, HasSubstr("srun started 2 processes, but each is alone"));
  EXPECT_THAT(run.output, HasSubstr("--mpi=pmix"));
  EXPECT_THAT(alone({"probe", "--count", "4"}).output, HasSubstr("--mpi=pmix"));
  EXPECT_EQ(alone({"probe", "--count", "4", "--local", "tree"}).code, 0) << "which needs no other";
}

// Said before MPI fails by them in its own way, and where a record meets them.
TEST_F(BadInput, LimitsAreNamedWithTheirRemedy) {
  prompts = write_prompts(folder, 12);  // a record of 9 MB
  const auto limited = [&](const std::string& limit) {
    return run_program({"/bin/bash", "-c",
                        "ulimit " + limit + "; exec " SHARDRIFT_BINARY_DIR "/bin/shardrift-run run --model " +
                            model.string() + " --prompts " + prompts.string() + " --output " +
                            (folder / "out.h5").string() +
                            " --ignore-eos --record hidden --max-new-tokens 300"});
  };
  const auto files = limited("-f 1000");
  EXPECT_EQ(files.code, 64);
  EXPECT_THAT(files.output,
              HasSubstr("files may have at most 1024000 bytes, MPI alone needs 4194304: raise ulimit -f"));
  const auto open_files = limited("-n 20");
  EXPECT_EQ(open_files.code, 64);
  EXPECT_THAT(open_files.output,
              HasSubstr("only 20 files may be open at a time, MPI alone needs 32: raise ulimit -n"));
  const auto record = limited("-f 4096");
  EXPECT_EQ(record.code, 70) << record.output;
  EXPECT_THAT(record.output, HasSubstr("File too large"));
  EXPECT_THAT(record.output, HasSubstr("raise ulimit -f"));
  const auto raised = limited("-f unlimited");
  EXPECT_EQ(raised.code, 0) << raised.output;
}

TEST_F(BadInput, ImpossiblePlans) {
  refused(64, "needs 2 ranks", {"--tensor-parallel", "2"}, 1);
  refused(64, "5 layers", {"--pipeline", "6"}, 1);
  refused(64, "multiple", {"--shards", "3"});
  refused(64, "one shard a rank", {"--shards", "4", "--reduction", "native"});
  refused(64, "adds up to 6", {"--stage-layers", "6"});
  refused(64, "bfloat32", {"--dtype", "bfloat32"});
  refused(64, "--reduction 'rings'", {"--reduction", "rings"});
  refused(64, "tree:0 to tree:14", {"--shards", "4", "--reduction", "tree:15"});
  refused(64, "perm:0,1", {"--shards", "4", "--reduction", "perm:0,1"});
  refused(64, "adds in float64", {"--shards", "4", "--reduction", "exact", "--accumulate", "float32"});
  refused(64, "rounds bfloat16 messages at every add, --accumulate float32 once: leave it out",
          {"--shards", "4", "--reduction", "profile", "--collective-profile",
           SHARDRIFT_SOURCE_DIR "/experiments/profiles/openmpi-4.1.4-4ranks.json", "--dtype", "bfloat16",
           "--accumulate", "float32"});
  refused(64, "--partial float32", {"--partial", "float32"});
  refused(64, "--collective-profile", {"--shards", "4", "--reduction", "profile"});
  refused(64, "--max-new-tokens 0", {"--max-new-tokens", "0"});
  refused(64, "no-such-flag", {"--no-such-flag"});
}

}  // namespace
}  // namespace shardrift::testing
