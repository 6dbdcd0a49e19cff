// A rank that stops answering, dies or makes no progress: all others end, and one message says which, where
// and at what. What is slow, suspended or waits for its input is left alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "held_run.hpp"
#include "program.hpp"
#include "rank_processes.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class Stall : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = scratch(std::string("stall-") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    output = folder / "out.h5";
  }
  std::vector<std::string> on(int ranks, std::vector<std::string> more, int timeout = 2) const {
    more.insert(more.end(), {"--stall-timeout", std::to_string(timeout)});
    return worker_command(ranks, run_arguments("tiny-llama", {ranks, more}, output));
  }
  static void says_once(const Finished& finished) {
    const auto first = finished.output.find("shardrift-run: ");
    EXPECT_NE(first, std::string::npos) << finished.output;
    EXPECT_EQ(finished.output.find("shardrift-run: ", first + 1), std::string::npos) << finished.output;
  }
  fs::path folder, output;
};

// SIGSTOP stands for a hung process and a lost node: its watchdog is silent.
TEST_F(Stall, AStoppedRankEndsTheOthers) {
  for (const int stopped : {0, 1, 2}) {
    Running job(holding("out:1", on(3, {"--tensor-parallel", "3"})));
    const HeldRun run(output);
    ASSERT_TRUE(run.is_reached(job));
    const auto ranks = rank_processes(job.pid());
    ASSERT_EQ(ranks.size(), 3U);
    kill(ranks[static_cast<std::size_t>(stopped)], SIGSTOP);
    run.let_go();
    const auto finished = job.wait();
    EXPECT_EQ(finished.code, 70) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr("rank " + std::to_string(stopped) + " on "));
    EXPECT_THAT(finished.output, AllOf(HasSubstr(" has not answered for 2 s"), HasSubstr("it was at: ")));
    says_once(finished);
    run.hold_again();
  }
}

// It answers, but stands, as before a device that hangs; the others wait for it.
TEST_F(Stall, ARankThatMakesNoProgressEndsTheOthers) {
  const auto finished = run_program(holding("out:1:hung", on(2, {"--tensor-parallel", "2"})));
  EXPECT_EQ(finished.code, 70) << finished.output;
  EXPECT_THAT(finished.output,
              AllOf(HasSubstr("no rank has made progress for 2 s: rank 0 on "),
                    HasSubstr(": choosing tokens: waiting for the device in SHARDRIFT_HOLD; all "
                              "ranks are ended")));
  says_once(finished);
  EXPECT_EQ(record::Reader::open(output).prompt_ids().size(), 1U);
}

TEST_F(Stall, ADeadRankIsNamed) {
  for (const int killed : {0, 1}) {
    Running job(holding("out:1", on(2, {"--pipeline", "2"}, 60)));
    const HeldRun run(output);
    ASSERT_TRUE(run.is_reached(job));
    const auto ranks = rank_processes(job.pid());
    ASSERT_EQ(ranks.size(), 2U);
    kill(ranks[static_cast<std::size_t>(killed)], SIGKILL);
    const auto finished = job.wait();
    EXPECT_EQ(finished.code, 137) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr("shardrift-run: rank " + std::to_string(killed) + " on "));
    EXPECT_THAT(finished.output, AllOf(HasSubstr(" died; it was at: "), HasSubstr("all ranks are ended")));
    says_once(finished);
    run.hold_again();
  }
}

// A rank that does not come to an all-reduce of our own, where the others look at memory.
TEST_F(Stall, OurOwnAllReducesAreWaitsAsOthers) {
  for (const std::string collective : {"one-shot", "two-shot"})
    for (const int signal : {SIGSTOP, SIGKILL}) {
      auto command = worker_command(2, {});
      command.back() = SHARDRIFT_BINARY_DIR "/tests/peer_waiter";
      command.insert(command.end(), {collective, std::to_string(signal)});
      const auto finished = run_program(command);
      EXPECT_THAT(finished.output, HasSubstr("shardrift-run: rank 1 on "));
      if (signal == SIGSTOP) {
        EXPECT_EQ(finished.code, 70) << finished.output;
        EXPECT_THAT(finished.output, AllOf(HasSubstr(" has not answered for 2 s"),
                                           HasSubstr("waiting for other ranks in an all-reduce; all ranks")));
      } else {
        EXPECT_EQ(finished.code, 137) << finished.output;
        EXPECT_THAT(finished.output,
                    AllOf(HasSubstr(" died; it was at: "), HasSubstr("all ranks are ended")));
      }
      says_once(finished);
    }
}

// Stopped before there are ranks: nobody can name it, but nobody waits for ever. Takes the least limit, a
// minute.
TEST_F(Stall, ARankThatNeverArrivesEndsTheOthers) {
  auto command = on(1, {});
  const auto more =
      run_arguments("tiny-llama", {2, {"--tensor-parallel", "2", "--stall-timeout", "2"}}, output);
  command.resize(4);  // mpirun -np 1 shardrift-run
  command.insert(command.end(), more.begin(), more.end());
  command.insert(command.end(), {":", "-np", "1", "sleep", "1000"});
  const auto finished = run_program(command);
  EXPECT_EQ(finished.code, 70) << finished.output;
  EXPECT_THAT(finished.output, HasSubstr("the ranks have not found each other within 60 s"));
  says_once(finished);
}

// All of it is suspended for longer than the timeout, as a batch system does: the watchdogs counted nothing.
TEST_F(Stall, ASuspendedJobIsNone) {
  Running job(holding("out:2", on(2, {"--tensor-parallel", "2"})));
  const HeldRun run(output);
  ASSERT_TRUE(run.is_reached(job));
  auto all = rank_processes(job.pid());
  all.push_back(job.pid());
  for (const int process : all) kill(process, SIGSTOP);
  run.let_go();
  const auto suspended = std::chrono::steady_clock::now();
  ASSERT_TRUE(wait_for("the timeout to be over twice", [&] {
    return std::chrono::steady_clock::now() - suspended > std::chrono::seconds(4);
  }));
  for (const int process : all) kill(process, SIGCONT);
  const auto finished = job.wait();
  EXPECT_EQ(finished.code, 0) << finished.output;
  EXPECT_EQ(record::Reader::open(output).prompt_ids().size(), 4U);
}

// Held for longer than the timeout where it waits for a file: the others wait for it, and no alarm is raised.
TEST_F(Stall, WaitingForInputIsNone) {
  Running job(holding("out:1", on(2, {"--tensor-parallel", "2"})));
  const HeldRun run(output);
  ASSERT_TRUE(run.is_reached(job));
  const auto held = std::chrono::steady_clock::now();
  ASSERT_TRUE(wait_for("the timeout to be over twice",
                       [&] { return std::chrono::steady_clock::now() - held > std::chrono::seconds(4); }));
  run.let_go();
  const auto finished = job.wait();
  EXPECT_EQ(finished.code, 0) << finished.output;
}

// One operation of one pass takes longer than the timeout, while the other rank waits: it uses the CPU.
TEST_F(Stall, ASlowPassIsNone) {
  const fs::path model = folder / "model";
  fs::copy(fixture("tiny-llama"), model);
  std::ifstream in(model / "config.json");
  std::string config((std::istreambuf_iterator<char>(in)), {});
  const std::string positions = "\"max_position_embeddings\": ";
  config.insert(config.find(positions) + positions.size(), "100");
  std::ofstream(model / "config.json") << config;
  const fs::path prompts = folder / "long.jsonl";
  std::ofstream file(prompts);
  file << R"({"id": "long", "tokens": [0)";
  for (int i = 1; i < 6500; ++i) file << ", " << i % 131;
  file << "]}\n";
  file.close();
  const auto finished =
      run_program(worker_command(2, {"run", "--model", model.string(), "--prompts", prompts.string(),
                                     "--output", output.string(), "--mode", "score", "--pipeline", "2",
                                     "--record", "top", "--threads", "1", "--stall-timeout", "1"}));
  EXPECT_EQ(finished.code, 0) << finished.output;
  constexpr double kLayers = 5;
  EXPECT_GT(record::Reader::open(output).timing().prefill_seconds / kLayers, 1.0)
      << "the machine is too fast";
}

}  // namespace
}  // namespace shardrift::testing
