// The runner's parts: processes, reasons, time left, status.json, commands.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <optional>

#include "common/error.hpp"
#include "common/text.hpp"
#include "experiments/runner/launch.hpp"
#include "experiments/runner/process.hpp"
#include "experiments/runner/progress.hpp"
#include "experiments/runner/reasons.hpp"
#include "experiments/runner/status.hpp"
#include "tests/support/wait.hpp"
#include "tests/unit/weights/weight_files.hpp"

namespace shardrift::runner {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Ended ended(Process& process) {
  std::optional<Ended> end;
  EXPECT_TRUE(testing::wait_for("the process to end", [&] { return (end = process.poll()).has_value(); }));
  return end.value_or(Ended{-1, -1});
}

TEST(Process, TellsCodesFromSignalsAndWritesItsLog) {
  const TemporaryDirectory folder;
  Process process(
      {{"sh", "-c", "echo $WORD; echo told >&2; cat; exit 42"}, {{"WORD", "said"}}, folder / "log"});
  const auto end = ended(process);
  EXPECT_EQ(end.code, 42);
  EXPECT_EQ(end.signal, 0);
  Process again({{"sh", "-c", "kill -9 $$"}, {}, folder / "log"});
  EXPECT_EQ(ended(again).signal, SIGKILL);
  std::ifstream log(folder / "log");
  const std::string text((std::istreambuf_iterator<char>(log)), {});
  EXPECT_EQ(text, "said\ntold\n");
}

TEST(Process, EndsWithItsOwner) {
  const TemporaryDirectory folder;
  pid_t pid = 0;
  {
    const Process process({{"sleep", "infinity"}, {}, folder / "log"});
    pid = process.pid();
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_NE(kill(pid, 0), 0);
}

TEST(Process, WhatCannotStartSaysWhy) {
  const TemporaryDirectory folder;
  const auto start = [&](const std::string& program, const std::string& log) {
    try {
      const Process process({{program}, {}, log});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("started");
  };
  EXPECT_THAT(start("no-such-program", folder / "log"),
              HasSubstr("no-such-program cannot be started: No such"));
  EXPECT_THAT(start("/", folder / "log"), HasSubstr("Permission denied"));
  EXPECT_THAT(start("true", folder / "no/log"), HasSubstr("no/log: cannot be written"));
}

TEST(OutputOf, IsNothingWhereItFails) {
  EXPECT_EQ(output_of({"echo", "yes"}), "yes\n");
  EXPECT_EQ(output_of({"false"}), std::nullopt);
  EXPECT_EQ(output_of({"no-such-program"}), std::nullopt);
  EXPECT_EQ(output_of({"sleep", "infinity"}, 0.2), std::nullopt);
}

TEST(Reasons, TakeTheWorkersWordsOfTheLastAttempt) {
  const TemporaryDirectory folder;
  const auto log = folder.write("log", "== one\nshardrift-run: old\n== two\nnoise\n");
  EXPECT_EQ(reason_of({70, 0}, log), "failed: noise");
  folder.write("log",
               "== two\n\r\033[K12 of 30 prompts\rshardrift-run: rank 0 on a: the disk is full\n----\n");
  EXPECT_EQ(reason_of({70, 0}, log), "failed: rank 0 on a: the disk is full");
  EXPECT_EQ(reason_of({75, 0}, folder / "missing"), "interrupted");
  EXPECT_THAT(reason_of({137, 0}, folder / "missing"), HasSubstr("killed by signal 9"));  // through mpirun
  EXPECT_EQ(reason_of({3, 0}, folder / "missing"), "exit code 3");
}

// What torchrun ends with, whatever the reason was.
constexpr const char* kTorchrun =
    "E1130 api.py:869] failed (exitcode: 64) local_rank: 0 (pid: 7) of binary: /usr/bin/python3\n"
    "Traceback (most recent call last):\n  File \"/usr/bin/torchrun\", line 8, in <module>\n"
    "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
    "============\nrecord_transformers.py FAILED\n"
    "  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html\n=====\n";

TEST(Reasons, OfAnEngineAreItsOwnWordsAndNotItsLaunchers) {
  const TemporaryDirectory folder;
  const std::vector<std::string> engine{"torchrun", "--nproc-per-node", "3", "/x/record_transformers.py"};
  const auto reason = [&](const std::string& said) {
    return reason_of({1, 0}, folder.write("log", "== one\nerror: old\n== two\ntorchrun /x/y\n" + said),
                     engine);
  };
  EXPECT_EQ(reason(std::string("1 of 4: p0, 13 rows\nrecord_transformers: 3 ranks, 7 heads\n"
                               "record_transformers: a later rank's\n") +
                   kTorchrun),
            "exit code 1: 3 ranks, 7 heads");
  EXPECT_EQ(reason("usage: record_transformers.py [-h]\nrecord_transformers.py: error: no --batch\n"),
            "exit code 1: no --batch");
  EXPECT_EQ(reason(std::string("loading\nerror: no such device\nanother\n") + kTorchrun),
            "exit code 1: no such device");
  EXPECT_EQ(reason(std::string("[rank0]: Traceback (most recent call last):\n[rank0]:   File \"a\"\n[rank0]: "
                               "ValueError: too few\n") +
                   kTorchrun),
            "exit code 1: ValueError: too few");
  EXPECT_EQ(reason("loading\nout of luck\n"), "exit code 1: out of luck");
}

RunTime to_do(double estimated, bool alone = false) {
  return {.estimated = estimated, .alone = alone};
}
RunTime done_in(double seconds, double estimated) {
  return {.estimated = estimated, .elapsed = seconds, .fraction = 1, .done = true};
}

void expect_left(const std::vector<RunTime>& runs, int jobs, double low, double high) {
  const auto left = time_left(runs, jobs);
  EXPECT_NEAR(left.low, low, 1e-9);
  EXPECT_NEAR(left.high, high, 1e-9);
}

TEST(TimeLeft, IsStatedUntilSomethingIsMeasured) {
  expect_left({to_do(10), to_do(10)}, 1, 20, 20);
  expect_left({to_do(10), to_do(10)}, 2, 10, 10);
  expect_left({to_do(10), to_do(10, true)}, 2, 20, 20);  // the machine to itself
  EXPECT_EQ(left_text(time_left({to_do(10)}, 1)), "about 10 s left at stated rates, nothing measured yet");
  // It runs, but no prompt is finished. Overdue, it tells how slow the others will be at least.
  expect_left({{.estimated = 10, .elapsed = 4, .running = true}, to_do(20)}, 1, 26, 26);
  const auto overdue = time_left({{.estimated = 10, .elapsed = 50, .running = true}, to_do(20)}, 1);
  EXPECT_DOUBLE_EQ(overdue.low, 5 + 100);
  EXPECT_EQ(left_text(overdue), "at least 2 min left, slower than at stated rates");
}

TEST(TimeLeft, IsARangeOfThePacesSeen) {
  EXPECT_DOUBLE_EQ(correction({done_in(30, 10), to_do(10)}), 3);
  expect_left({done_in(30, 10), to_do(10)}, 1, 30 / 1.25, 30 * 1.25);  // one pace alone
  // The machine was busier during the second: what is left may go either way.
  expect_left({done_in(20, 10), done_in(40, 10), to_do(10)}, 1, 20 / 1.1, 40 * 1.1);
  EXPECT_EQ(left_text(time_left({done_in(20, 10), done_in(40, 10), to_do(100)}, 1)), "4 min to 8 min left");
}

TEST(TimeLeft, ARunTellsItsOwnPaceAndThatOfTheOthers) {
  RunTime half{.estimated = 10, .elapsed = 50, .fraction = 0.5, .running = true};
  expect_left({half}, 1, 50, 50);
  expect_left({half, to_do(10)}, 1, 50 + 100 / 1.25, 50 + 100 * 1.25);
  half.begun_with = 0.25;  // a quarter in 50 s, half to go
  expect_left({half}, 1, 100, 100);
  // Prompts of one pass end together: half was reached after 40 s, and 20 s of the rest have passed, or it
  // has become slower.
  expect_left({{.estimated = 10, .elapsed = 60, .fraction = 0.5, .running = true, .since = 20}}, 1, 20, 60);
}

TEST(TimeLeft, IsWrittenForPeople) {
  EXPECT_EQ(duration_text(0), "1 s");
  EXPECT_EQ(duration_text(59.2), "60 s");
  EXPECT_EQ(duration_text(121), "3 min");
  EXPECT_EQ(duration_text(12000), "3 h 20 min");
  EXPECT_EQ(bytes_text(1), "1 kB");
  EXPECT_EQ(bytes_text(1.44e9), "1.4 GB");
}

TEST(Launch, TakesAPlainMpirunOrATemplate) {
  study::Configuration one;
  one.device = "cpu";
  one.output = "/out/a b.h5";
  one.arguments = {"--model", "m"};
  const auto alone = command_of(one, {"/bin/w", {}}, {}, 2, true, "log");
  EXPECT_EQ(shell_text(alone.words), "/bin/w run --model m --output '/out/a b.h5' --threads 2 --overwrite");
  one.ranks = 4;
  EXPECT_EQ(shell_text(command_of(one, {"/bin/w", {}}, {}, 0, false, "log").words),
            "mpirun -n 4 /bin/w run --model m --output '/out/a b.h5'");
  const auto slurm =
      command_of(one, {"/bin/w", launcher_words("srun -n {ranks} --mpi=pmix")}, {"2", "3"}, 0, false, "log");
  EXPECT_THAT(shell_text(slurm.words), HasSubstr("srun -n 4 --mpi=pmix /bin/w run"));
  EXPECT_EQ(slurm.environment.at("CUDA_VISIBLE_DEVICES"), "2,3");
  EXPECT_FALSE(slurm.environment.contains("SLURM_EXPORT_ENV"));
  setenv("SLURM_EXPORT_ENV", "NONE", 1);
  EXPECT_EQ(command_of(one, {"/bin/w", {}}, {}, 0, false, "log").environment.at("SLURM_EXPORT_ENV"), "ALL");
  unsetenv("SLURM_EXPORT_ENV");
  EXPECT_EQ(shell_text({"it's", "", "$x"}), "'it'\\''s' '' '$x'");
}

TEST(Status, IsReadBackAsWritten) {
  const TemporaryDirectory folder;
  EXPECT_EQ(read_status(folder.path()), std::nullopt);
  StudyStatus status;
  status.name = "s";
  status.state = "running";
  RunStatus run;
  run.name = "tp2";
  run.state = RunState::interrupted;
  run.reason = "why \"so\"";
  run.arguments = {"--model", "m"};
  run.prompts = 7;
  run.seconds = 1.5;
  run.replacing = true;
  status.runs = {run};
  status.not_possible = {{"tp8", "too many", 3}};
  write_status(status, folder.path());
  const auto back = read_status(folder.path()).value();
  EXPECT_EQ(to_json(back), to_json(status));
  EXPECT_EQ(back.find("tp2")->state, RunState::interrupted);
  EXPECT_THAT(back.find("tp2")->arguments, ElementsAre("--model", "m"));
  EXPECT_EQ(back.find("tp3"), nullptr);
}

TEST(Status, ThatIsNoneIsBadData) {
  const TemporaryDirectory folder;
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {"", "not valid JSON"},
           {"{}", "schema is"},
           {R"({"schema": "shardrift study status 1", "runs": [{"state": "flying"}]})", "unknown state"},
           {R"({"schema": "shardrift study status 1", "runs": [{"prompts": "many"}]})", "status.json"},
           {R"({"schema": "shardrift study status 1", "runs": 3})", "status.json"}}) {
    folder.write("status.json", text);
    expect_bad_data([&] { read_status(folder.path()); }, {"status.json", message});
  }
}

}  // namespace
}  // namespace shardrift::runner
