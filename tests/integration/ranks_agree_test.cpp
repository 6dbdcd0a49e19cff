// Ranks that were started differently are refused before weights are read: one message, all ranks end with
// 64.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "program.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

const std::string kWorker = SHARDRIFT_BINARY_DIR "/bin/shardrift-run";

class RanksAgree : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = scratch(std::string("agree-") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    prompts = write_prompts(folder, 1);
  }

  // A rank's own command line.
  Words rank(const std::string& of, const Words& more = {}, const Words& environment = {}) const {
    Words words{"env"};
    words.insert(words.end(), environment.begin(), environment.end());
    words.insert(words.end(),
                 {kWorker, "run", "--model", of, "--prompts", prompts.string(), "--output",
                  (folder / "out.h5").string(), "--max-new-tokens", "3", "--tensor-parallel", "2"});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  static Finished started(const std::vector<Words>& ranks) {
    Words command{"mpirun"};
    for (const auto& words : ranks) {
      if (command.size() > 1) command.emplace_back(":");
      command.insert(command.end(), {"-np", "1"});
      command.insert(command.end(), words.begin(), words.end());
    }
    return run_program(command);
  }
  void refused(const std::vector<Words>& ranks, const ::testing::Matcher<std::string>& says) const {
    const auto finished = started(ranks);
    EXPECT_EQ(finished.code, 64) << finished.output;
    EXPECT_THAT(finished.output, says);
    const auto first = finished.output.find("shardrift-run: ");
    EXPECT_NE(first, std::string::npos) << finished.output;
    EXPECT_EQ(finished.output.find("shardrift-run: ", first + 1), std::string::npos)
        << "said twice: " << finished.output;
    EXPECT_FALSE(fs::exists(folder / "out.h5"));
    EXPECT_FALSE(fs::exists(folder / "out.h5.parts"));
  }

  const std::string model = fixture("tiny-llama").string();
  fs::path folder, prompts;
};

TEST_F(RanksAgree, OnThePlan) {
  refused({rank(model, {"--dtype", "bfloat16"}), rank(model)},
          AllOf(HasSubstr("--dtype is bfloat16 on rank 0 on "), HasSubstr(", but float32 on rank 1 on ")));
  refused({rank(model), rank(model, {"--row-linear", "scatter"})}, HasSubstr("but scatter on rank 1 on "));
  refused({rank(model, {"--shards", "4", "--reduction", "linear"}),
           rank(model, {"--shards", "4", "--reduction", "tree:3"})},
          HasSubstr("--reduction is linear on rank 0 on "));
}

TEST_F(RanksAgree, OnOptionsAndOnTheCommand) {
  refused({rank(model), rank(model, {"--ignore-eos"})}, HasSubstr("--ignore-eos is false on rank 0"));
  refused({rank(model), {kWorker, "probe", "--count", "100"}}, HasSubstr("the command is run on rank 0"));
  refused({{kWorker, "probe", "--count", "100"}, {kWorker, "probe", "--count", "200"}},
          HasSubstr("probe --count 200 on rank 1"));
}

// These differ while MPI's own start-up already uses what they pin.
TEST_F(RanksAgree, OnWhatPinsTheLibraries) {
  refused({rank(model), rank(model, {"--mpi-allreduce", "ring"})},
          HasSubstr("--mpi-allreduce is auto on rank 0"));
  refused({rank(model, {}, {"ATEN_CPU_CAPABILITY=default"}), rank(model)},
          HasSubstr("the variable ATEN_CPU_CAPABILITY is default on rank 0"));
  refused({rank(model, {}, {"NCCL_ALGO=Ring"}), rank(model, {}, {"NCCL_ALGO=Tree"})},
          HasSubstr("but Tree on rank 1"));
}

TEST_F(RanksAgree, OnTheModel) {
  const fs::path other = folder / "other";
  fs::copy(model, other);
  const auto config = other / "config.json";
  std::ofstream(config, std::ios::app) << "\n";  // says the same in another text: it may be another model
  refused({rank(model), rank(other.string())},
          AllOf(HasSubstr("config.json is SHA-256 "), HasSubstr(model), HasSubstr(other.string())));
  fs::copy_file(fs::path(model) / "config.json", config, fs::copy_options::overwrite_existing);
  fs::resize_file(other / "model.safetensors", 100);
  EXPECT_EQ(started({rank(model), rank(other.string())}).code,
            65);  // a rank that cannot read its own says so
}

// The same model in two places, as node-local copies are, and another number of threads.
TEST_F(RanksAgree, WhereOnlyPathsDiffer) {
  const fs::path other = folder / "copy";
  fs::copy(model, other);
  const auto finished = started({rank(model), rank(other.string(), {"--threads", "1", "--quiet"})});
  EXPECT_EQ(finished.code, 0) << finished.output;
}

}  // namespace
}  // namespace shardrift::testing
