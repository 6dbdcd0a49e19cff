// Kills at random moments, random bit flips, pairs of runs that race for one output: whatever happens, every
// record that is there in the end is whole and has the bits of an undisturbed run. SHARDRIFT_ROUNDS times
// over (scripts/durability). The moments are random, nothing depends on which they are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "common/error.hpp"
#include "held_run.hpp"
#include "program.hpp"
#include "rank_processes.hpp"
#include "record/output_lock.hpp"
#include "record/reader.hpp"
#include "record/verify.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;

int number_from(const char* variable, int fallback) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? fallback : std::atoi(text);
}

class DurabilityRounds : public ::testing::Test {
 protected:
  static constexpr int kPrompts = 6;

  void SetUp() override {
    folder_ =
        scratch(std::string("rounds-") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    whole_ = folder_ / "whole.h5";
    output_ = folder_ / "out.h5";
    seed_ = number_from("SHARDRIFT_SEED", 1);
    random_.seed(static_cast<unsigned>(seed_));
    ASSERT_EQ(run_program(command(1, whole_)).code, 0);
    RecordProperty("seed", seed_);
  }

  std::vector<std::string> command(int ranks, const fs::path& output) const {
    std::vector<std::string> words{"run",
                                   "--model",
                                   fixture("tiny-llama").string(),
                                   "--prompts",
                                   write_prompts(folder_, kPrompts).string(),
                                   "--output",
                                   output.string(),
                                   "--ignore-eos",
                                   "--max-new-tokens",
                                   "9",
                                   "--quiet",
                                   "--shards",
                                   "2"};
    // One numerics on any number of ranks, so that all records are compared with one.
    words.insert(words.end(), {"--reduction", "linear", "--tensor-parallel", std::to_string(ranks)});
    auto all = worker_command(ranks, words);
    if (ranks == 1) all.erase(all.begin(), all.begin() + 3);  // a signal hits the worker itself
    return all;
  }

  // No process of an earlier run holds the output any more, or will: ranks outlive a killed mpirun for a
  // while.
  void wait_until_free() const {
    ASSERT_TRUE(wait_for("the killed run to be gone", [&] {
      if (is_on_a_command_line(output_.string())) return false;
      try {
        const record::OutputLock lock(output_);
        return true;
      } catch (const Error&) {
        return false;
      }
    }));
  }

  void expect_whole() const {
    const auto reader = record::Reader::open(output_);
    ASSERT_TRUE(reader.complete());
    ASSERT_EQ(reader.prompt_ids().size(), static_cast<std::size_t>(kPrompts));
    for (const auto& id : reader.prompt_ids()) EXPECT_TRUE(record::verify_prompt(reader, id)) << id;
    EXPECT_EQ(first_difference(whole_, output_), "");
    EXPECT_FALSE(fs::exists(output_.string() + ".parts"));
    EXPECT_FALSE(fs::exists(output_.string() + ".assembling"));
  }

  void clear() const {
    for (const auto* suffix : {"", ".parts", ".assembling"}) fs::remove_all(output_.string() + suffix);
  }

  int below(int count) { return static_cast<int>(random_() % static_cast<unsigned>(count)); }

  fs::path folder_, whole_, output_;
  std::mt19937 random_;
  int seed_ = 1;
};

TEST_F(DurabilityRounds, KillsAtRandomMoments) {
  const int kills = 20 * number_from("SHARDRIFT_ROUNDS", 1);
  std::map<std::string, int> done;
  int finished = 0;
  int ranks = 2;  // of the record that is being made: its plan
  while (done["rank"] + done["launcher"] + done["group"] + done["assembly"] < kills) {
    const int kind = below(4);
    Running job(command(ranks, output_));
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(below(1500));
    // What a killed assembly left is removed first: a new one is there once there was none.
    bool was_gone = false;
    bool assembling = false;
    while (!job.has_ended() && !assembling && (kind == 3 || std::chrono::steady_clock::now() < until)) {
      const bool there = fs::exists(output_.string() + ".assembling");
      was_gone = was_gone || !there;
      assembling = kind == 3 && there && was_gone;
    }
    std::string killed;
    if (!job.has_ended()) {
      const auto started = rank_processes(job.pid());
      if (assembling) {
        killed = "assembly";
        for (const int rank : started) kill(rank, SIGKILL);
        kill(job.pid(), SIGKILL);
      } else if (kind == 0 && ranks > 1 && !started.empty()) {
        killed = "rank";
        kill(started[static_cast<std::size_t>(below(static_cast<int>(started.size())))], SIGKILL);
      } else if (kind == 1) {
        killed = "launcher";
        kill(job.pid(), SIGKILL);
      } else {
        killed = "group";
        for (const int rank : started) kill(rank, SIGKILL);
        kill(job.pid(), SIGKILL);
      }
    }
    const auto ended = job.wait();
    if (!killed.empty()) ++done[killed];
    wait_until_free();
    if (killed.empty()) {
      ASSERT_EQ(ended.code, 0) << ended.output;
      expect_whole();
      ++finished;
      clear();
      ranks = 1 + below(2);
    } else if (fs::exists(output_)) {
      record::Reader::open(output_);
    }
  }
  const auto last = run_program(command(ranks, output_));
  ASSERT_EQ(last.code, 0) << last.output;
  expect_whole();
  for (const auto& [what, count] : done) std::printf("killed %s: %d times\n", what.c_str(), count);
  std::printf("whole records: %d\n", finished + 1);
}

TEST_F(DurabilityRounds, FlippedBitsOfPartsAndHeaders) {
  const int flips = 10 * number_from("SHARDRIFT_ROUNDS", 1);
  {
    Running held(holding("out:4", command(1, output_)));
    const HeldRun at(output_);
    ASSERT_TRUE(at.is_reached(held));
    kill(held.pid(), SIGKILL);
    held.wait();
  }
  const fs::path parts = output_.string() + ".parts";
  fs::rename(parts, folder_ / "kept");
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder_ / "kept")) files.push_back(entry.path().filename());
  std::sort(files.begin(), files.end());
  for (int i = 0; i < flips; ++i) {
    clear();
    fs::copy(folder_ / "kept", parts);
    const fs::path file = parts / files[static_cast<std::size_t>(below(static_cast<int>(files.size())))];
    const auto at = below(static_cast<int>(fs::file_size(file)));
    const int bit = below(8);
    std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekg(at);
    const char old = static_cast<char>(bytes.get());
    bytes.seekp(at);
    bytes.put(static_cast<char>(old ^ (1 << bit)));
    bytes.close();
    const auto run = run_program(command(1, output_));
    ASSERT_EQ(run.code, 0) << file << " byte " << at << " bit " << bit << ": " << run.output;
    expect_whole();
  }
}

TEST_F(DurabilityRounds, PairsThatRaceForOneOutput) {
  const int pairs = 4 * number_from("SHARDRIFT_ROUNDS", 1);
  setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);  // usual on Lustre and NFS
  for (int i = 0; i < pairs; ++i) {
    clear();
    int good = 0;
    {
      const int ranks = 1 + below(2);
      Running one(command(ranks, output_));
      std::this_thread::sleep_for(std::chrono::milliseconds(below(200)));
      Running other(command(ranks, output_));
      for (Running* run : {&one, &other}) {
        const auto ended = run->wait();
        EXPECT_TRUE(ended.code == 0 || ended.code == 64) << ended.code << ": " << ended.output;
        if (ended.code == 64) {
          EXPECT_THAT(ended.output, ::testing::HasSubstr("is being written by process"));
        }
        good += ended.code == 0 ? 1 : 0;
      }
    }
    EXPECT_GE(good, 1);
    expect_whole();
  }
  unsetenv("HDF5_USE_FILE_LOCKING");
}

}  // namespace
}  // namespace shardrift::testing
