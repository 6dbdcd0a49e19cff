// What the tests here share: one private Slurm for the whole program, and a study in a folder of its own.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cluster.hpp"
#include "held_run.hpp"

namespace shardrift::testing {

bool queue_is_empty();

// Nodes h1 and a1 have two fake GPUs each, of no declared type: bin/nvidia-smi says H100 and A100. c1 has
// none.
class Slurm : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  void SetUp() override;
  void TearDown() override;  // nothing of this test stays in the queue

  // Files in the test's folder.
  void write(const std::string& name, const std::string& text) const;
  // site.toml: a profile for CPUs, with these keys instead or besides, as TOML values.
  void write_site(const std::map<std::string, std::string>& keys = {}) const;
  // study.toml: reference, tp2 and pp2 on the tiny model, and what `more` adds.
  void write_study(const std::string& more = "", const std::string& run = "max-new-tokens = 9\n",
                   int prompts = 12) const;

  Finished submit(std::vector<std::string> more = {}) const;  // study.toml with site.toml into out/
  std::string status() const;                                 // the table
  std::string row(const std::string& name) const { return row_of(status(), name); }
  std::string job(const std::string& name) const { return job_of(status(), name); }
  // Waits until nothing runs or waits any more; the table.
  std::string wait_for_end() const;
  // Waits until the row of a configuration has these words.
  ::testing::AssertionResult says(const std::string& name, const std::string& words) const;

  // What is submitted from now on holds there (tests/support/held_run.hpp).
  static void hold(const std::string& where);
  HeldRun run_of(const std::string& name) const { return HeldRun(record(name)); }
  // Waits until it was requeued, and lets it start: it would wait for an hour.
  void start_again(const std::string& name) const;

  std::filesystem::path record(const std::string& name) const { return folder_ / "out" / (name + ".h5"); }
  std::string log(const std::string& name) const;

  std::filesystem::path folder_;
};

}  // namespace shardrift::testing
