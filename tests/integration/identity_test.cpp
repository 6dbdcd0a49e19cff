// A record is of the files it names: other weights, another end of sequence, another rank's copy are noticed;
// one run writes an output; what is on the disk is what is assembled.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

#include "held_run.hpp"
#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class Identity : public ::testing::Test {
 protected:
  void SetUp() override {
    folder =
        scratch(std::string("identity-") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    model = folder / "model";
    fs::copy(fixture("tiny-llama"), model);
  }

  std::vector<std::string> arguments(const fs::path& output, const std::vector<std::string>& more = {},
                                     const fs::path& of = {}) const {
    std::vector<std::string> all{"run",
                                 "--model",
                                 (of.empty() ? model : of).string(),
                                 "--prompts",
                                 write_prompts(folder, 4).string(),
                                 "--output",
                                 output.string(),
                                 "--ignore-eos",
                                 "--max-new-tokens",
                                 "4",
                                 "--quiet"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Finished run(const fs::path& output, const std::vector<std::string>& more = {}, int ranks = 1) const {
    return run_program(worker_command(ranks, arguments(output, more)));
  }

  // The float32 at `index` of the file's data, whichever tensor that is of.
  static void set_weight(const fs::path& file, std::uint64_t index, float value) {
    std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
    std::uint64_t header = 0;
    bytes.read(reinterpret_cast<char*>(&header), 8);
    bytes.seekp(static_cast<std::streamoff>(8 + header + 4 * index));
    bytes.write(reinterpret_cast<const char*>(&value), 4);
  }

  static std::string weights_of(const fs::path& record) {
    return record::Reader::open(record).run().model.weights;
  }

  fs::path folder, model;
};

TEST_F(Identity, OneHashOfTheWeightsWhateverThePlan) {
  std::set<std::string> hashes;
  const std::vector<Case> plans{{1, {}},
                                {1, {"--shards", "3"}},
                                {1, {"--dtype", "bfloat16"}},
                                {2, {"--tensor-parallel", "2"}},
                                {2, {"--pipeline", "2"}},
                                {2, {"--replicas", "2"}},
                                {4, {"--tensor-parallel", "2", "--pipeline", "2"}}};
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const auto output = folder / (std::to_string(i) + ".h5");
    const auto done = run(output, plans[i].flags, plans[i].ranks);
    ASSERT_EQ(done.code, 0) << done.output;
    hashes.insert(weights_of(output));
  }
  EXPECT_EQ(hashes.size(), 1U);
  EXPECT_EQ(hashes.begin()->size(), 64U);
  set_weight(model / "model.safetensors", 5, 0.25F);
  ASSERT_EQ(run(folder / "other.h5").code, 0);
  EXPECT_FALSE(hashes.contains(weights_of(folder / "other.h5")));
}

TEST_F(Identity, WeightsReplacedUnderTheSameNameAreAnotherRun) {
  const auto output = folder / "out.h5";
  ASSERT_EQ(run(output).code, 0);
  set_weight(model / "model.safetensors", 5, 0.25F);
  const auto refused = run(output, {"--tensor-parallel", "1"});
  EXPECT_EQ(refused.code, 64);
  EXPECT_THAT(refused.output, AllOf(HasSubstr(output.string()), HasSubstr("what differs: the weights)")));
}

TEST_F(Identity, AnInterruptedRunIsNotResumedWithOtherWeights) {
  const auto output = folder / "out.h5";
  {
    Running held(holding("out:2", worker_command(1, arguments(output))));
    const HeldRun at(output);
    ASSERT_TRUE(at.is_reached(held));
    kill(at.pid(), SIGKILL);
    held.wait();
  }
  const auto before = record::Reader::open(output).prompt_ids();
  set_weight(model / "model.safetensors", 5, 0.25F);
  const auto refused = run(output, {"--tensor-parallel", "2"}, 2);
  EXPECT_EQ(refused.code, 64) << refused.output;
  const auto same_plan = run(output);
  EXPECT_EQ(same_plan.code, 64) << same_plan.output;
  EXPECT_THAT(same_plan.output, HasSubstr("out.h5.parts: holds finished prompts of another"));
  EXPECT_EQ(record::Reader::open(output).prompt_ids(), before);
}

TEST_F(Identity, AnotherEndOfSequenceIsAnotherRun) {
  const auto output = folder / "out.h5";
  ASSERT_EQ(run(output).code, 0);
  std::ofstream(model / "generation_config.json") << R"({"eos_token_id": 3})";
  const auto refused = run(output);
  EXPECT_EQ(refused.code, 64);
  EXPECT_THAT(refused.output, HasSubstr("generation_config.json"));
}

TEST_F(Identity, RanksWithOtherWeightsAreNamed) {
  const auto copy = folder / "copy";
  fs::copy(model, copy);
  set_weight(copy / "model.safetensors", 5, 0.25F);
  auto command = worker_command(1, arguments(folder / "out.h5", {"--tensor-parallel", "2"}));
  const auto other = arguments(folder / "out.h5", {"--tensor-parallel", "2"}, copy);
  const auto worker = command[3];
  command.insert(command.end(), {":", "-np", "1", worker});
  command.insert(command.end(), other.begin(), other.end());
  const auto refused = run_program(command);
  EXPECT_EQ(refused.code, 64) << refused.output;
  EXPECT_THAT(refused.output, AllOf(HasSubstr("weights"), HasSubstr("give every host the same --model")));
  EXPECT_FALSE(fs::exists(folder / "out.h5"));
  // A copy with the same bytes is the same model.
  fs::copy_file(model / "model.safetensors", copy / "model.safetensors",
                fs::copy_options::overwrite_existing);
  const auto same = run_program(command);
  EXPECT_EQ(same.code, 0) << same.output;
}

TEST_F(Identity, AWeightThatIsNoNumberIsFoundWhileItIsLoaded) {
  set_weight(model / "model.safetensors", 0, std::numeric_limits<float>::infinity());
  for (const int ranks : {1, 2}) {
    const auto refused = run(folder / "out.h5", {"--tensor-parallel", std::to_string(ranks)}, ranks);
    EXPECT_EQ(refused.code, 65) << refused.output;
    EXPECT_THAT(refused.output, AllOf(HasSubstr("tensor "), HasSubstr("[0, 0] is infinite or NaN")));
  }
  set_weight(model / "model.safetensors", 0, 1e30F);
  EXPECT_EQ(run(folder / "fits.h5").code, 0);
  const auto refused = run(folder / "out.h5", {"--dtype", "float16"});
  EXPECT_EQ(refused.code, 65) << refused.output;
  EXPECT_THAT(refused.output, HasSubstr("[0, 0] overflows in float16"));
  EXPECT_FALSE(fs::exists(folder / "out.h5"));
}

TEST_F(Identity, AnOutputDoesNotReplaceAnInput) {
  const auto reference = folder / "ref.h5";
  ASSERT_EQ(run(reference).code, 0);
  fs::create_hard_link(model / "model.safetensors", folder / "link.h5");
  const auto size = fs::file_size(model / "model.safetensors");
  for (const auto& output :
       {model / "model.safetensors", folder / "link.h5", model / "config.json", write_prompts(folder, 4)}) {
    EXPECT_EQ(run(output, {"--overwrite"}).code, 64) << output;
  }
  EXPECT_EQ(fs::file_size(model / "model.safetensors"), size);
  auto follow = arguments(reference, {"--overwrite", "--mode", "follow", "--follow", reference.string()});
  follow.erase(follow.begin() + 3, follow.begin() + 5);  // --prompts
  const auto refused = run_program(worker_command(1, follow));
  EXPECT_EQ(refused.code, 64) << refused.output;
  EXPECT_THAT(refused.output, HasSubstr("is one of the files that are read"));
  EXPECT_TRUE(record::Reader::open(reference).complete());
}

TEST_F(Identity, ASecondRunOfOneOutputEndsAtOnce) {
  const auto output = folder / "out.h5";
  Running first(holding("out:2", worker_command(2, arguments(output, {"--tensor-parallel", "2"}))));
  const HeldRun at(output);
  ASSERT_TRUE(at.is_reached(first));
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--overwrite"}, {"--overwrite", "--no-output-lock"}}) {
    auto words = arguments(output, {"--tensor-parallel", "2"});
    words.insert(words.end(), more.begin(), more.end());
    const auto second = run_program(worker_command(2, words));
    EXPECT_EQ(second.code, 64) << second.output;
    EXPECT_THAT(second.output, HasSubstr("is being written by process " + std::to_string(at.pid()) + " on "));
  }
  at.let_go();
  EXPECT_EQ(first.wait().code, 0);
  EXPECT_EQ(record::Reader::open(output).prompt_ids().size(), 4U);
}

TEST_F(Identity, APartDamagedWhileTheRunGoesOnIsRunAgain) {
  const auto whole = folder / "whole.h5";
  ASSERT_EQ(run(whole).code, 0);
  const auto output = folder / "out.h5";
  Running held(holding("out:3", worker_command(1, arguments(output))));
  const HeldRun at(output);
  ASSERT_TRUE(at.is_reached(held));
  const auto ids = record::Reader::open(output).prompt_ids();
  ASSERT_EQ(ids.size(), 3U);
  const fs::path part = output.string() + ".parts/" + ids[1] + ".h5";
  {
    std::fstream bytes(part, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(static_cast<std::streamoff>(fs::file_size(part) / 2));
    bytes.put('\x5a');
  }
  fs::remove(output.string() + ".parts/" + ids[2] + ".h5");
  at.let_go();
  const auto done = held.wait();
  ASSERT_EQ(done.code, 0) << done.output;
  EXPECT_EQ(first_difference(whole, output), "");
}

}  // namespace
}  // namespace shardrift::testing
