// /environment/collectives and the file that holds an environment alone.
#include <gmock/gmock.h>
#include <hdf5.h>

#include "record/environment_file.hpp"
#include "tests/unit/record/example_record.hpp"

namespace shardrift::record {
namespace {

using testing::error_of;
using testing::example_collective;
using testing::example_prompt;
using testing::example_run;
using ::testing::HasSubstr;
using testing::Scratch;

TEST(Collectives, SurviveInARecord) {
  const Scratch scratch;
  RunInfo run = example_run();
  auto other = example_collective();
  other.operation = "reduce-scatter";
  other.captured = false;
  run.environment.collectives = {example_collective(), other};
  testing::write_record(scratch / "o.h5", run, {example_prompt(run, "a", 0)});
  EXPECT_EQ(Reader::open(scratch / "o.h5").run().environment.collectives, run.environment.collectives);
  EXPECT_EQ(read_environment_file(scratch / "o.h5").environment.collectives, run.environment.collectives);
}

TEST(Collectives, AbsentInOlderFiles) {
  const Scratch scratch;
  const RunInfo run = example_run();
  testing::write_record(scratch / "o.h5", run, {example_prompt(run, "a", 0)});
  EXPECT_TRUE(Reader::open(scratch / "o.h5").run().environment.collectives.empty());
}

TEST(EnvironmentFile, RoundTripAndRefusals) {
  const Scratch scratch;
  EnvironmentFile file{"2026-01-02T03:04:05Z", "shardrift-run probe", "0.1.0", example_run().environment};
  file.environment.collectives = {example_collective()};
  const auto path = scratch / "e.h5";
  write_environment_file(file, path, false);
  const auto read = read_environment_file(path);
  EXPECT_EQ(read.command, file.command);
  EXPECT_EQ(read.environment.collectives, file.environment.collectives);
  EXPECT_EQ(read.environment.variables, file.environment.variables);
  EXPECT_THAT(error_of([&] { write_environment_file(file, path, false); }).what(), HasSubstr("--overwrite"));
  write_environment_file(file, path, true);
  EXPECT_EQ(error_of([&] { Reader::open(path); }).code(), ExitCode::bad_data);  // no record
  EXPECT_EQ(error_of([&] { read_environment_file(scratch / "none.h5"); }).code(), ExitCode::bad_data);
}

TEST(Collectives, DamagedSegmentsAreRefused) {
  const Scratch scratch;
  for (const std::int64_t wrong : {0, 2}) {  // begin, tree
    EnvironmentFile file{"", "", "", example_run().environment};
    auto one = example_collective();
    (wrong == 0 ? one.segments[1].begin : one.segments[1].tree) = 7;
    file.environment.collectives = {one};
    write_environment_file(file, scratch / "e.h5", true);
    const Error error = error_of([&] { read_environment_file(scratch / "e.h5"); });
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), HasSubstr("/environment/collectives/0/segments"));
  }
}

}  // namespace
}  // namespace shardrift::record
