// Signals to any rank end a run in order, at one step for all ranks; a second one at once.
#include <fcntl.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

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
using ::testing::HasSubstr;

class Signals : public ::testing::Test {
 protected:
  void SetUp() override {
    folder =
        scratch(std::string("signals-") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    output = folder / "out.h5";
  }
  // Not overwriting: a rerun goes on.
  std::vector<std::string> on(int ranks, const std::vector<std::string>& plan, const fs::path& to) const {
    std::vector<std::string> words{"run",
                                   "--model",
                                   fixture("tiny-llama").string(),
                                   "--prompts",
                                   write_prompts(folder, 6).string(),
                                   "--output",
                                   to.string(),
                                   "--ignore-eos",
                                   "--max-new-tokens",
                                   "9",
                                   "--quiet"};
    words.insert(words.end(), plan.begin(), plan.end());
    return worker_command(ranks, words);
  }
  // Started, held after the first prompt, and sent `number`; what it answers, and that a rerun goes on.
  void stops_and_goes_on(int ranks, const std::vector<std::string>& plan, int number,
                         const std::function<int(int mpirun)>& whom) {
    const fs::path whole = folder / "whole.h5";
    if (!fs::exists(whole)) {
      ASSERT_EQ(run_program(on(ranks, plan, whole)).code, 0);
    }
    Running job(holding("out:1", on(ranks, plan, output)));
    const HeldRun run(output);
    ASSERT_TRUE(run.is_reached(job));
    kill(whom(job.pid()), number);
    const auto stopped = job.wait();
    EXPECT_EQ(stopped.code, 75) << stopped.output;
    EXPECT_THAT(stopped.output, HasSubstr("goes on from there"));
    EXPECT_FALSE(fs::exists(output));
    EXPECT_GE(record::Reader::open(output).prompt_ids().size(), 1U);
    const auto finished = run_program(on(ranks, plan, output));
    EXPECT_EQ(finished.code, 0) << finished.output;
    EXPECT_EQ(first_difference(whole, output), "");
    fs::remove(output);
    run.hold_again();
  }
  fs::path folder, output;
};

TEST_F(Signals, ToAnyRankStopAll) {
  for (const int rank : {0, 1, 2})
    for (const int number : {SIGTERM, SIGHUP})
      stops_and_goes_on(3, {"--tensor-parallel", "3"}, number, [&](int mpirun) {
        return rank_processes(mpirun).at(static_cast<std::size_t>(rank));
      });
}

// The writer is the last stage; replicas take steps of their own, and all of them stop.
TEST_F(Signals, ToAnyStageOrReplicaStopAll) {
  for (const int rank : {0, 3})
    stops_and_goes_on(4, {"--pipeline", "2", "--replicas", "2"}, SIGINT,
                      [&](int mpirun) { return rank_processes(mpirun).at(static_cast<std::size_t>(rank)); });
  // Stages that are at different groups stop at the same pass.
  for (const int rank : {0, 2})
    stops_and_goes_on(3, {"--pipeline", "3", "--in-flight", "3"}, SIGTERM,
                      [&](int mpirun) { return rank_processes(mpirun).at(static_cast<std::size_t>(rank)); });
}

// Open MPI 4.1.6 of Ubuntu 24.04 keeps it to itself.
bool mpirun_passes_on(int number, const fs::path& folder) {
  const auto trapped = folder / "trapped";
  const auto script = fmt::format(
      "trap 'touch \"{0}\"; exit' {1}; touch \"{0}.ready\"; for i in $(seq 50); do sleep 0.1; done",
      trapped.string(), number);
  auto command = worker_command(1, {"-c", script});
  command[3] = "/bin/bash";
  Running shell(command);
  if (!wait_for("the shell to be ready", [&] { return fs::exists(trapped.string() + ".ready"); }))
    return false;
  kill(shell.pid(), number);
  shell.wait();
  return fs::exists(trapped);
}

TEST_F(Signals, PassedOnByMpirun) {
  if (!mpirun_passes_on(SIGUSR1, folder)) GTEST_SKIP() << "this mpirun does not hand SIGUSR1 on";
  stops_and_goes_on(2, {"--tensor-parallel", "2"}, SIGUSR1, [](int mpirun) { return mpirun; });
}

// As nohup starts it: the terminal may go.
TEST_F(Signals, AHangUpThatIsIgnoredStaysIgnored) {
  auto command = on(1, {}, output);
  command.erase(command.begin(), command.begin() + 3);  // without mpirun, which resets it
  command.insert(command.begin(), {"env", "--ignore-signal=HUP"});
  Running job(holding("out:1", command));
  const HeldRun run(output);
  ASSERT_TRUE(run.is_reached(job));
  kill(job.pid(), SIGHUP);
  run.let_go();
  const auto finished = job.wait();
  EXPECT_EQ(finished.code, 0) << finished.output;
}

// A rank that ends while MPI starts can leave mpirun waiting for ever.
TEST_F(Signals, ASecondOneWhileMpiStartsEndsOnceItHas) {
  const fs::path started = folder / "started";
  auto command = on(2, {"--tensor-parallel", "2"}, output);
  command.insert(command.begin() + 1, {"-x", std::string("LD_PRELOAD=") + SHARDRIFT_SIGNALLED_START, "-x",
                                       "SHARDRIFT_TEST_STARTED=" + started.string()});
  const auto finished = run_program(command);
  EXPECT_EQ(finished.code, 75) << finished.output;
  EXPECT_TRUE(fs::exists(started)) << finished.output;
  EXPECT_FALSE(fs::exists(output));
}

// While a file does not come, as from a file server that hangs: whichever rank gets both.
TEST_F(Signals, ASecondOneEndsAtOnceWhileInputIsWaitedFor) {
  for (const std::size_t rank : {0U, 1U}) {
    const fs::path flags = folder / fmt::format("flags-{}.fifo", rank);
    ASSERT_EQ(mkfifo(flags.c_str(), 0600), 0);
    Running job(on(2, {"--tensor-parallel", "2", "--config", flags.string()}, output));
    int writer = -1;
    ASSERT_TRUE(wait_for("a rank to open its flags", [&] {
      writer = open(flags.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
      return job.has_ended() || writer >= 0;
    }));
    ASSERT_FALSE(job.has_ended()) << job.wait().output;
    const auto ranks = rank_processes(job.pid());
    ASSERT_EQ(ranks.size(), 2U);
    kill(ranks[rank], SIGINT);
    kill(ranks[rank], SIGTERM);
    const auto finished = job.wait();
    EXPECT_EQ(finished.code, 75) << finished.output;
    close(writer);
  }
}

TEST_F(Signals, StopAProbe) {
  Running job(
      worker_command(3, {"probe", "--count", "1000,2000,3000,4000,5000,6000,7000,8000,9000", "--dtype",
                         "float32,bfloat16,float16", "--save-profile", (folder / "p.json").string()}));
  // Before MPI has started: long before the first message.
  std::vector<int> ranks;
  ASSERT_TRUE(wait_for("the ranks to catch signals", [&] {
    ranks = rank_processes(job.pid());
    return job.has_ended() || (ranks.size() == 3 && catches(ranks[2], SIGTERM));
  }));
  ASSERT_FALSE(job.has_ended()) << job.wait().output;
  kill(ranks[2], SIGTERM);
  const auto finished = job.wait();
  EXPECT_EQ(finished.code, 75) << finished.output;
  EXPECT_THAT(finished.output, HasSubstr("stopped by a signal; nothing was written"));
  EXPECT_FALSE(fs::exists(folder / "p.json"));
}

// Between the passes of a shape and the phases that are timed of it, whichever rank gets it.
TEST_F(Signals, StopABenchThatTimesPhases) {
  const fs::path json = folder / "out.json";
  const HeldRun bench(json);
  for (const std::size_t rank : {0U, 1U}) {
    Running job(
        holding("out:1", worker_command(2, {"bench", "--model", fixture("tiny-llama").string(), "--tokens",
                                            "2", "--repeats", "1", "--threads", "1", "--quiet",
                                            "--tensor-parallel", "2", "--json", json.string()})));
    ASSERT_TRUE(bench.is_reached(job));
    const auto ranks = rank_processes(job.pid());
    ASSERT_EQ(ranks.size(), 2U);
    kill(ranks[rank], SIGTERM);
    const auto finished = job.wait();
    EXPECT_EQ(finished.code, 75) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr("stopped by a signal; nothing was written"));
    EXPECT_EQ(finished.output.find("result plan"), std::string::npos) << finished.output;
    bench.hold_again();
    EXPECT_TRUE(fs::is_empty(folder)) << "neither the file nor its temporary one";
  }
}

TEST_F(Signals, ASecondOneEndsAHeldRunAtOnce) {
  Running job(holding("out:1", on(2, {"--tensor-parallel", "2"}, output)));
  const HeldRun run(output);
  ASSERT_TRUE(run.is_reached(job));
  const auto ranks = rank_processes(job.pid());
  ASSERT_EQ(ranks.size(), 2U);
  kill(ranks[0], SIGSTOP);  // it cannot stop in order
  kill(ranks[1], SIGINT);
  kill(ranks[1], SIGTERM);
  const auto finished = job.wait();
  EXPECT_EQ(finished.code, 75) << finished.output;
  EXPECT_EQ(record::Reader::open(output).prompt_ids().size(), 1U);
}

}  // namespace
}  // namespace shardrift::testing
