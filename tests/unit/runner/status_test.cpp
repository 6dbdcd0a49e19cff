// status.json: no field of its tables can be forgotten in it.
#include "experiments/runner/status.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "common/error.hpp"
#include "common/field_text.hpp"
#include "experiments/runner/status_presenters.hpp"
#include "tests/support/changed_field.hpp"

namespace shardrift::runner {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class StatusFile : public ::testing::Test {
 protected:
  StatusFile() { fs::create_directories(folder_); }
  ~StatusFile() override { fs::remove_all(folder_); }
  StudyStatus round_trip(const StudyStatus& status) const {
    write_status(status, folder_);
    return read_status(folder_).value();
  }
  fs::path folder_ = fs::temp_directory_path() / ("shardrift-status-" + std::to_string(::getpid()));
};

TEST_F(StatusFile, EachFieldOfARunChangedAloneComesBack) {
  const RunStatus usual;
  StudyStatus status;
  std::set<std::string> seen{to_json(status)};
  for_each_field(usual, [&](const auto& changed, const auto&) {
    status.runs = {usual};
    for_each_field(status.runs[0], [&](const auto& row, auto& field) {
      if (row.key == changed.key) change(field);
    });
    EXPECT_NE(status.runs[0], usual) << changed.key;
    EXPECT_TRUE(seen.insert(to_json(status)).second) << changed.key;
    EXPECT_EQ(round_trip(status).runs, status.runs) << changed.key;
  });
}

TEST_F(StatusFile, EachFieldOfAStudyComesBack) {
  StudyStatus status;
  for_each_field(status, [&](const auto&, auto& field) { change(field); });
  status.not_possible = {{"tp8", "needs 8 GPUs", 3}};
  const auto read = round_trip(status);
  for_each_field(status, [&](const auto& row, const auto& field) {
    EXPECT_EQ(std::invoke(row.access, read), field) << row.key;
  });
  ASSERT_EQ(read.not_possible.size(), 1);
  EXPECT_EQ(read.not_possible[0].name, "tp8");
  EXPECT_EQ(read.not_possible[0].reason, "needs 8 GPUs");
}

// What an engine left when it was killed, or wrote in place of a record: no prompt of it is recorded.
TEST_F(StatusFile, AFileThatIsNoRecordCountsForNothing) {
  const fs::path output = folder_ / "engine.h5";
  std::ofstream(output) << "\x89HDF\r\n\x1a\n and no more";
  EXPECT_EQ(finished_prompts(output, 4), 0);
  StudyStatus status;
  RunStatus run;
  run.name = "engine";
  run.prompts = 4;
  run.output = output;
  run.state = RunState::interrupted;
  run.reason = "interrupted by a signal";
  const auto text = [&] {
    status.runs = {run};
    return status_text(status, false);
  };
  EXPECT_THAT(text(),
              HasSubstr("interrupted by a signal; " + output.string() + " cannot be used as a record"));
  EXPECT_THAT(text(), Not(HasSubstr("recorded")));
  run.state = RunState::failed;
  run.reason = "exit code 0, but it wrote no record: " + output.string() + ": is no HDF5 file";
  EXPECT_THAT(text(), Not(HasSubstr("cannot be used as a record")));  // said once
  EXPECT_THAT(text(), Not(HasSubstr("recorded")));
  fs::remove(output);
  run.state = RunState::waiting;
  run.reason.clear();
  EXPECT_THAT(text(), Not(HasSubstr("cannot be used")));
}

TEST_F(StatusFile, MissingKeysKeepTheirDefaultsAndWrongOnesAreNamed) {
  const auto written = [&](const std::string& text) {
    std::ofstream(status_path(folder_)) << R"({"schema": "shardrift study status 1", )" << text << "}";
    return read_status(folder_).value();
  };
  const auto refusal = [&](const std::string& text) -> std::string {
    try {
      written(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(written(R"("runs": [{"name": "a", "later": 1, "role": null}])").runs,
            std::vector{RunStatus{"a"}});
  EXPECT_THAT(refusal(R"("runs": [{"state": "asleep"}])"),
              HasSubstr("unknown state 'asleep': use waiting, "));
  EXPECT_THAT(refusal(R"("runs": [7])"), HasSubstr("one of runs is 7, an object is expected"));
  EXPECT_THAT(refusal(R"("not_possible": 7)"), HasSubstr("not_possible is 7, a list is expected"));
  EXPECT_THAT(refusal(R"("runs": [{"ranks": "two"}])"), HasSubstr("must be number"));
}

}  // namespace
}  // namespace shardrift::runner
