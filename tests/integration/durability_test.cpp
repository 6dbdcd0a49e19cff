// kill -9, dead ranks, reruns and existing outputs: what is recorded stays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "held_run.hpp"
#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::vector<std::string> arguments(const fs::path& folder, const fs::path& output, int prompts,
                                   const std::vector<std::string>& more = {}) {
  std::vector<std::string> all{"run",
                               "--model",
                               fixture("tiny-llama").string(),
                               "--prompts",
                               write_prompts(folder, prompts).string(),
                               "--output",
                               output.string(),
                               "--ignore-eos",
                               "--max-new-tokens",
                               "9",
                               "--quiet"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

// Not through mpirun, so that a signal hits the worker itself; held after `count` prompts.
std::vector<std::string> alone_and_held(int count, const std::vector<std::string>& words) {
  auto command = worker_command(1, words);
  command.erase(command.begin(), command.begin() + 3);
  return holding("out:" + std::to_string(count), command);
}

TEST(Durability, KilledRunsLoseNothingFinishedAndResume) {
  const fs::path folder = scratch("kill");
  const fs::path whole = folder / "whole.h5";
  constexpr int kPrompts = 8;
  ASSERT_EQ(run_program(worker_command(1, arguments(folder, whole, kPrompts))).code, 0);
  const fs::path output = folder / "out.h5";
  const HeldRun run(output);
  std::size_t recorded = 0;
  for (const int more : {1, 2, 4}) {
    Running worker(alone_and_held(more, arguments(folder, output, kPrompts)));
    ASSERT_TRUE(run.is_reached(worker));
    kill(worker.pid(), SIGKILL);
    worker.wait();
    run.hold_again();
    recorded += static_cast<std::size_t>(more);
    ASSERT_FALSE(fs::exists(output));
    const auto reader = record::Reader::open(output);  // only its parts exist
    EXPECT_FALSE(reader.complete());
    EXPECT_EQ(reader.prompt_ids().size(), recorded);
    for (const auto& id : reader.prompt_ids()) EXPECT_EQ(reader.prompt(id).rows.size(), 9U) << id;
  }
  const auto finished = run_program(worker_command(1, arguments(folder, output, kPrompts)));
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_EQ(first_difference(whole, output), "");
  EXPECT_FALSE(fs::exists(output.string() + ".parts"));
}

// A prompt's bits depend on its group: a rerun must not put those that are left among other neighbours.
TEST(Durability, AResumedRunKeepsItsGroups) {
  const fs::path folder = scratch("kill-groups");
  constexpr int kPrompts = 7;
  const std::vector<std::string> batches{"--batch", "3", "--prefill-batch", "2"};
  const fs::path whole = folder / "whole.h5";
  ASSERT_EQ(run_program(worker_command(1, arguments(folder, whole, kPrompts, batches))).code, 0);
  const fs::path output = folder / "out.h5";
  const HeldRun run(output);
  for (const int more : {1, 2}) {  // in the middle of the first group, then again
    Running worker(alone_and_held(more, arguments(folder, output, kPrompts, batches)));
    ASSERT_TRUE(run.is_reached(worker));
    kill(worker.pid(), SIGKILL);
    worker.wait();
    run.hold_again();
    EXPECT_EQ(record::Reader::open(output).prompt_ids().size(), static_cast<std::size_t>(more));
  }
  const auto finished = run_program(worker_command(1, arguments(folder, output, kPrompts, batches)));
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_EQ(first_difference(whole, output), "");
  const auto one = record::Reader::open(whole);
  const auto resumed = record::Reader::open(output);
  for (const auto& id : one.prompt_ids()) {
    EXPECT_EQ(resumed.prompt(id).prefilled_with, one.prompt(id).prefilled_with) << id;
    EXPECT_EQ(resumed.prompt(id).decoded_with, one.prompt(id).decoded_with) << id;
    EXPECT_EQ(resumed.prompt(id).rows.front().forward_rows, one.prompt(id).rows.front().forward_rows) << id;
  }
}

TEST(Durability, ADeadRankEndsTheJobAndKeepsWhatIsFinished) {
  const fs::path folder = scratch("dead-rank");
  const fs::path output = folder / "out.h5";
  Running job(holding("out:2", worker_command(2, arguments(folder, output, 4, {"--tensor-parallel", "2"}))));
  const HeldRun run(output);
  ASSERT_TRUE(run.is_reached(job));
  kill(run.pid(), SIGKILL);  // one of the two
  EXPECT_EQ(job.wait().code, 137);
  EXPECT_EQ(record::Reader::open(output).prompt_ids().size(), 2U);
}

TEST(Durability, ExistingOutputNeedsOverwrite) {
  const fs::path folder = scratch("existing");
  const fs::path output = folder / "out.h5";
  std::ofstream(output) << "not ours";
  const auto refused =
      run_program(worker_command(2, arguments(folder, output, 2, {"--tensor-parallel", "2"})));
  EXPECT_EQ(refused.code, 64);
  EXPECT_THAT(refused.output, HasSubstr("--overwrite"));
  EXPECT_THAT(refused.output, HasSubstr(output.string()));
  EXPECT_EQ(fs::file_size(output), 8U);
  const auto replaced = run_program(worker_command(1, arguments(folder, output, 2, {"--overwrite"})));
  EXPECT_EQ(replaced.code, 0) << replaced.output;
  EXPECT_EQ(record::Reader::open(output).prompt_ids().size(), 2U);
}

TEST(Durability, AnotherPlanDoesNotResume) {
  const fs::path folder = scratch("other-plan");
  const fs::path output = folder / "out.h5";
  ASSERT_EQ(run_program(worker_command(1, arguments(folder, output, 2))).code, 0);
  const auto refused = run_program(worker_command(1, arguments(folder, output, 2, {"--shards", "2"})));
  EXPECT_EQ(refused.code, 64);
  EXPECT_THAT(refused.output, HasSubstr("--overwrite"));
  const auto again = run_program(worker_command(1, arguments(folder, output, 2)));  // complete already
  EXPECT_EQ(again.code, 0) << again.output;
}

// Kernels of another instruction set give other bits: half a record of each would say that it is of one.
TEST(Durability, OtherKernelsDoNotResume) {
  const fs::path folder = scratch("other-kernels");
  const fs::path output = folder / "out.h5";
  const auto with_older_kernels = [](std::vector<std::string> command) {
    command.insert(command.begin(), {"env", "MKL_ENABLE_INSTRUCTIONS=SSE4_2"});
    return command;
  };
  const auto plain = worker_command(1, arguments(folder, output, 3));
  Running worker(with_older_kernels(alone_and_held(1, arguments(folder, output, 3))));
  ASSERT_TRUE(HeldRun(output).is_reached(worker));
  kill(worker.pid(), SIGKILL);
  worker.wait();
  const auto fact = HasSubstr("the variable MKL_ENABLE_INSTRUCTIONS was SSE4_2, now is (not set)");
  const auto parts = run_program(plain);
  EXPECT_EQ(parts.code, 64);
  EXPECT_THAT(parts.output, AllOf(fact, HasSubstr("--overwrite"), HasSubstr("out.h5.parts")));
  EXPECT_EQ(record::Reader::open(output).prompt_ids().size(), 1U);
  const auto finished = run_program(with_older_kernels(plain));
  EXPECT_EQ(finished.code, 0) << finished.output;
  EXPECT_EQ(record::Reader::open(output).prompt_ids().size(), 3U);
  const auto whole = run_program(plain);
  EXPECT_EQ(whole.code, 64);
  EXPECT_THAT(whole.output, AllOf(fact, HasSubstr("--overwrite")));
  EXPECT_EQ(run_program(worker_command(1, arguments(folder, output, 3, {"--overwrite"}))).code, 0);
}

TEST(Durability, ASignalEndsInOrderAndTheRerunGoesOn) {
  const fs::path folder = scratch("signal");
  const fs::path output = folder / "out.h5";
  Running worker(alone_and_held(1, arguments(folder, output, 3)));
  ASSERT_TRUE(HeldRun(output).is_reached(worker));
  kill(worker.pid(), SIGTERM);
  const auto stopped = worker.wait();
  EXPECT_EQ(stopped.code, 75) << stopped.output;
  EXPECT_THAT(stopped.output, HasSubstr("goes on from there"));
  EXPECT_EQ(record::Reader::open(output).prompt_ids().size(), 1U);
  EXPECT_EQ(run_program(worker_command(1, arguments(folder, output, 3))).code, 0);
  EXPECT_EQ(record::Reader::open(output).prompt_ids().size(), 3U);
}

// A file-size limit stands in for a full disk: the error names the file, and what was recorded before stays.
// The real model, because its logits are larger than the files MPI itself needs.
TEST(Durability, AFullDiskIsAnErrorAndLosesNothing) {
  const fs::path model = fs::path(SHARDRIFT_SOURCE_DIR) / "models/smollm2-135m";
  if (!fs::exists(model) && std::getenv("SHARDRIFT_REQUIRE_MODEL") == nullptr)
    GTEST_SKIP() << model << " is missing";
  const fs::path folder = scratch("full");
  const fs::path output = folder / "out.h5";
  std::ofstream file(folder / "prompts.jsonl");
  file << R"({"id": "small", "tokens": [1, 2]})"
       << "\n"
       << R"({"id": "large", "tokens": [0)";
  for (int i = 1; i < 130; ++i) file << ", " << i;  // 130 rows x 49152 x 4 bytes: 24 MiB
  file << "]}\n";
  file.close();
  const auto command = worker_command(
      2, {"run", "--model", model.string(), "--prompts", (folder / "prompts.jsonl").string(), "--output",
          output.string(), "--mode", "score", "--quiet", "--tensor-parallel", "2"});
  std::string shell = "ulimit -f 20480; exec";  // KiB
  for (const auto& word : command) shell += " '" + word + "'";
  const auto finished = run_program({"bash", "-c", shell});
  EXPECT_EQ(finished.code, 70) << finished.output;
  EXPECT_THAT(finished.output, HasSubstr("out.h5"));
  const auto reader = record::Reader::open(output);
  EXPECT_THAT(reader.prompt_ids(), ::testing::ElementsAre("small"));
  EXPECT_EQ(reader.prompt("small").rows.size(), 2U);
}

}  // namespace
}  // namespace shardrift::testing
