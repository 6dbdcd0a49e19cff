// The test's side of SHARDRIFT_HOLD (src/worker/hold.hpp): a run that stands at a certain point until it is
// let go, killed or asked to stop, however fast the machine is.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "program.hpp"

namespace shardrift::testing {

// The command, with SHARDRIFT_HOLD: where = "tp2:3" holds the run that writes tp2.h5 after its third prompt.
std::vector<std::string> holding(const std::string& where, std::vector<std::string> command);

class HeldRun {
 public:
  explicit HeldRun(const std::filesystem::path& output) : output_(output) {}

  // Until it stands there; false where `starter`, which was to start it, has ended instead.
  ::testing::AssertionResult is_reached(Running& starter) const;
  ::testing::AssertionResult is_reached() const;

  int pid() const;          // of the rank that writes
  void let_go() const;      // it goes on
  void hold_again() const;  // the next start is held too

 private:
  bool stands() const;
  std::filesystem::path held() const { return output_.string() + ".held"; }
  std::filesystem::path go() const { return output_.string() + ".go"; }
  std::filesystem::path output_;
};

}  // namespace shardrift::testing
