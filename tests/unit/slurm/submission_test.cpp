#include "slurm/submission.hpp"

#include <gmock/gmock.h>

#include "tests/unit/record/example_record.hpp"
#include "tests/unit/slurm/example_plan.hpp"

namespace shardrift::slurm {
namespace {

using record::testing::error_of;
using ::testing::HasSubstr;

Submission example(const std::filesystem::path& output) {
  Submission submission{"scale-out", "/x/scale-out.toml", "generic", output, "2026-01-02T03:04:05Z", {}, {}};
  submission.jobs = {
      {"12", "1-rank", {"reference", "again"}}, {"13", "2-ranks", {"tp2"}}, {"14", "analysis", {}}};
  submission.configurations = testing::scale_out();
  for (auto& one : submission.configurations) one.output = output / (one.name + ".h5");
  return submission;
}

TEST(Submission, SurvivesTheDisk) {
  const record::testing::Scratch scratch;
  std::filesystem::create_directories(scratch / "slurm");
  write_submission(example(scratch.path()));
  const auto read = read_submission(scratch.path());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(to_json(*read), to_json(example(scratch.path())));
  EXPECT_EQ(read->job_of("again"), "12_1");
  EXPECT_EQ(read->job_of("analysis"), "14");
  EXPECT_EQ(read->job_of("tp8"), "") << "was finished before";
  EXPECT_FALSE(read_submission(scratch / "elsewhere").has_value());
}

TEST(Submission, RemembersClusters) {
  auto one = example("/x");
  EXPECT_EQ(to_json(one).find("cluster"), std::string::npos);
  EXPECT_THAT(one.clusters(), ::testing::ElementsAre(""));
  one.cluster = "far";
  for (auto& job : one.jobs) job.cluster = "far";
  const auto read = submission_from_json(to_json(one), "submission.json");
  EXPECT_EQ(to_json(read), to_json(one));
  EXPECT_THAT(read.clusters(), ::testing::ElementsAre("far"));
  EXPECT_EQ(read.submitted_as("tp2")->cluster, "far");
}

TEST(Submission, ACopiedFolderFindsItsOwnRecords) {
  const record::testing::Scratch scratch;
  std::filesystem::create_directories(scratch / "a/slurm");
  write_submission(example(scratch / "a"));
  std::filesystem::rename(scratch / "a", scratch / "b");
  EXPECT_EQ(read_submission(scratch / "b")->configurations[0].output, scratch / "b/reference.h5");
}

TEST(Submission, BadFilesAreNamed) {
  const auto refusal = [](const std::string& text) {
    const auto error = error_of([&] { submission_from_json(text, "submission.json"); });
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), HasSubstr("submission.json"));
    return std::string(error.what());
  };
  const auto good = to_json(example("/x"));
  EXPECT_THAT(refusal("{}"), HasSubstr("schema"));
  EXPECT_THAT(refusal(R"({"schema": "shardrift submission 2"})"), HasSubstr("shardrift submission 1"));
  EXPECT_THAT(refusal("[1]"), HasSubstr("submission.json"));
  auto wrong = good;
  wrong.replace(wrong.find("\"jobs\""), 6, "\"jobs\": 1, \"x\"");
  EXPECT_THAT(refusal(wrong), HasSubstr("jobs"));
  EXPECT_THAT(refusal(good.substr(0, good.size() / 2)), HasSubstr("submission.json"));
}

}  // namespace
}  // namespace shardrift::slurm
