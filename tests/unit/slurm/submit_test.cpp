// What becomes of jobs when sbatch, or the disk, does not do as expected: fake commands stand for Slurm.
#include "slurm/submit.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "tests/unit/record/example_record.hpp"
#include "tests/unit/slurm/example_plan.hpp"

namespace shardrift::slurm {
namespace {

namespace fs = std::filesystem;
using record::testing::contents;
using record::testing::error_of;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A queue is a file of "number script" lines, to which the fake sbatch adds and from which scancel takes
// away. The commands' own words are written to calls. What sbatch prints, and where it fails, is each test's.
class FakeSlurm : public ::testing::Test {
 protected:
  FakeSlurm() {
    fs::create_directories(scratch_ / "bin");
    plan_ = testing::empty_plan();
    plan_.output = scratch_ / "my out";
    plan_.folder = plan_.output / "slurm";
    fs::create_directories(plan_.folder);
    plan_ = plan_jobs(plan_, testing::scale_out("cpu"), profile_);
    setenv("PATH", (scratch_.path() / "bin").string().append(":").append(path_).c_str(), 1);
    command("sinfo", "echo 'n1|part*|(null)|(null)|idle'");
    command("scancel", ": >queue");
    command("squeue",
            R"(while read -r n script; do echo "$n|PENDING|None|0:00|1:00||N/A|$script"; done <queue)");
    sbatch(R"(echo "$n")");
    std::ofstream(scratch_ / "queue");
  }
  ~FakeSlurm() override { setenv("PATH", path_.c_str(), 1); }

  void command(const std::string& name, const std::string& body) const {
    const auto file = scratch_.path() / "bin" / name;
    std::ofstream(file) << "#!/bin/bash\ncd '" << scratch_.path().string() << "'\necho \"" << name
                        << " $*\" >>calls\n"
                        << body << "\n";
    chmod(file.c_str(), 0755);
  }
  // Makes job n, then says something.
  void sbatch(const std::string& says) const {
    command("sbatch", "n=$((101 + $(wc -l <queue)))\necho \"$n ${*: -1}\" >>queue\n" + says);
  }
  Submission hand_over() const {
    return slurm::hand_over(plan_, profile_, testing::scale_out("cpu"), "2026-01-02T03:04:05Z");
  }
  std::string calls() const { return contents(scratch_ / "calls"); }
  std::string queue() const { return contents(scratch_ / "queue"); }

  record::testing::Scratch scratch_;
  SiteProfile profile_ =
      site_profile_from_text("gpus = 'none'\nranks_per_node = 8\nlauncher = 'mpirun'", "site.toml");
  JobPlan plan_;
  std::string path_ = std::getenv("PATH");
};

TEST_F(FakeSlurm, ABannerIsNoObstacle) {
  sbatch(R"(echo "Welcome to site X"; echo "$n"; echo "have fun")");
  const auto submission = hand_over();
  ASSERT_EQ(submission.jobs.size(), plan_.arrays.size() + 1);
  EXPECT_EQ(submission.jobs.front().id, "101");
  EXPECT_EQ(to_json(*read_submission(plan_.output)), to_json(submission));
}

TEST_F(FakeSlurm, WithoutANumberTheQueueTellsWhichJobItIs) {
  sbatch(R"(echo "accepted, thank you")");
  const auto submission = hand_over();
  ASSERT_EQ(submission.jobs.size(), plan_.arrays.size() + 1);
  EXPECT_EQ(submission.jobs.front().id, "101");
  EXPECT_EQ(submission.jobs.back().name, "analysis");
}

TEST_F(FakeSlurm, WhatCannotBeFoundIsSaidAndTheRestCancelled) {
  command(
      "sbatch",
      R"(n=$((101 + $(wc -l <queue))); ((n == 101)) && echo "$n ${*: -1}" >>queue && echo "$n" || echo "what?")");
  const auto error = error_of([&] { hand_over(); });
  EXPECT_EQ(error.code(), ExitCode::failure);
  EXPECT_THAT(error.what(), HasSubstr("sbatch answered 'what?' for"));
  EXPECT_THAT(calls(), HasSubstr("scancel 101"));
  EXPECT_EQ(queue(), "");
}

// "Socket timed out" and the like: the job is there all the same.
TEST_F(FakeSlurm, AJobThatSbatchDeniesIsCancelled) {
  sbatch(
      R"(((n < 103)) && echo "$n" || { echo "sbatch: error: Socket timed out on send/recv operation" >&2; exit 1; })");
  const auto error = error_of([&] { hand_over(); });
  EXPECT_EQ(error.code(), ExitCode::usage);
  EXPECT_THAT(error.what(), HasSubstr("Socket timed out"));
  EXPECT_THAT(calls(), HasSubstr("scancel 101 102 103"));
  EXPECT_EQ(queue(), "");
}

TEST_F(FakeSlurm, WhereNothingWasSubmittedNothingIsSaidToBe) {
  command("sbatch", "echo 'sbatch: error: no' >&2; exit 1");
  EXPECT_THAT(error_of([&] { hand_over(); }).what(), HasSubstr("sbatch refused: no"));
  EXPECT_FALSE(read_submission(plan_.output).has_value());
}

TEST_F(FakeSlurm, AJobThatCannotBeWrittenDownIsCancelled) {
  // submission.json was written before the first job; then its place is taken.
  sbatch(R"(mv 'my out/slurm' gone; : >'my out/slurm'; echo "$n")");
  const auto error = error_of([&] { hand_over(); });
  EXPECT_THAT(error.what(), HasSubstr("submission.json"));
  EXPECT_THAT(calls(), HasSubstr("scancel 101"));
  EXPECT_EQ(queue(), "");
}

TEST_F(FakeSlurm, WhatCannotBeCancelledIsNamed) {
  sbatch(R"(((n < 102)) && echo "$n" || exit 1)");
  command("scancel", "echo 'scancel: error: no' >&2; exit 1");
  EXPECT_THAT(error_of([&] { hand_over(); }).what(),
              AllOf(HasSubstr("(101) could not be cancelled"), HasSubstr("no")));
}

// Killed between sbatch's answer and writing it down: the folder of its script tells whose a job is.
TEST_F(FakeSlurm, AJobThatNobodyWroteDownIsFound) {
  auto submission = hand_over();
  submission.jobs.clear();
  write_submission(submission);
  EXPECT_THAT(error_of([&] { refuse_second_submission(plan_.output); }).what(),
              HasSubstr("still in the queue (the first: 101)"));
  EXPECT_GT(cancel(submission), 0);
  EXPECT_EQ(queue(), "");
}

TEST_F(FakeSlurm, AnotherClusterIsAskedAndToldByName) {
  profile_.run.sbatch = {"--clusters=far"};
  sbatch(R"(echo "$n;far")");
  // Nothing of ours is in the queue at hand, though it has a job of the same number.
  command("squeue",
          R"([[ $* == *--clusters=far* ]] || { echo "101|RUNNING|None|0:00|1:00||N/A|/other"; exit; }
while read -r n script; do echo "$n|PENDING|None|0:00|1:00||N/A|$script"; done <queue)");
  const auto submission = hand_over();
  EXPECT_EQ(submission.jobs.front().cluster, "far");
  EXPECT_THAT(calls(), HasSubstr("sinfo --noheader --Node"));
  EXPECT_THAT(calls(), AllOf(HasSubstr("--clusters=far\n"), Not(HasSubstr("squeue"))));
  const auto read = read_submission(plan_.output);
  EXPECT_EQ(cancel(*read), static_cast<int>(plan_.arrays.size()) + 1);
  EXPECT_THAT(calls(), HasSubstr("scancel --clusters=far 101 102"));
}

}  // namespace
}  // namespace shardrift::slurm
