// shardrift gate on made-up records: files in, exit code and words out.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "tests/unit/analysis/example_runs.hpp"

namespace shardrift::verdict::testing {

class GateProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    write("one.h5", analysis::testing::small_run(), 0);
    auto again = analysis::testing::small_run();
    again.created = "2026-01-01T00:01:00Z";
    write("again.h5", again, 0);
    write("tp2.h5", analysis::testing::small_run(DType::float32, 2), 0.5F);
    write("int8.h5", analysis::testing::small_run(), 1);
  }
  // 40 prompts of two rows; the second row's logits move by `change`.
  void write(const std::string& name, const record::RunInfo& run, double change) {
    std::vector<record::PromptRecord> prompts;
    for (int j = 0; j < 40; ++j) {
      const analysis::testing::Rows rows{{0, 1, 0, 0, 0}, {0, 0, 2, change * (1 + 0.01 * j), 0}};
      prompts.push_back(analysis::testing::greedy_prompt(run, "p" + std::to_string(j), j, rows));
    }
    record::testing::write_record(scratch_ / name, run, prompts);
  }
  int run(const std::string& arguments) {
    const std::string command = fmt::format("cd {} && {}/bin/shardrift gate {} > out 2> err",
                                            scratch_.path().string(), SHARDRIFT_BINARY_DIR, arguments);
    const int status = std::system(command.c_str());
    out_ = record::testing::contents(scratch_ / "out");
    error_ = record::testing::contents(scratch_ / "err");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  record::testing::Scratch scratch_;
  std::string out_;
  std::string error_;
};

}  // namespace shardrift::verdict::testing
