// Rungs of a ladder as files, each of one prompt with chosen logits; and the program beside them.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "analysis/explain/ladder.hpp"
#include "tests/unit/explain/traced_runs.hpp"

namespace shardrift::analysis::testing {

// Of a plan: what makes it that rung.
inline constexpr const char* kShards = R"(,"shards":3,"reduction":"exact","accumulate":"float64")";
inline constexpr const char* kHops = R"(,"shards":3,"reduction":"linear")";
inline constexpr const char* kReal = R"(,"shards":3,"tensor_parallel":3)";

class LadderFiles : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& plan, const Rows& rows) {
    record::testing::write_record(scratch_ / (name + ".h5"), score_run(plan),
                                  {scored_prompt(score_run(), "p0", 0, rows)});
  }
  RungFile file(const std::string& name) {
    return {name, from_name<RungKind>(name), scratch_ / (name + ".h5")};
  }
  // shardrift explain in the scratch folder; out_ and error_ are what it printed.
  int run(const std::string& arguments) {
    const int status = std::system(fmt::format("cd {} && {}/bin/shardrift explain {} > out 2> err",
                                               scratch_.path().string(), SHARDRIFT_BINARY_DIR, arguments)
                                       .c_str());
    out_ = record::testing::contents(scratch_ / "out");
    error_ = record::testing::contents(scratch_ / "err");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  record::testing::Scratch scratch_;
  std::string out_, error_;
};

}  // namespace shardrift::analysis::testing
