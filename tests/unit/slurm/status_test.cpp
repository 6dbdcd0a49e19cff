#include "slurm/status.hpp"

#include <gmock/gmock.h>

#include "tests/unit/record/example_record.hpp"
#include "tests/unit/slurm/example_plan.hpp"

namespace shardrift::slurm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Describe : public ::testing::Test {
 protected:
  Describe() {
    submission_.study = "scale-out";
    submission_.output = "/out";
    submission_.jobs = {{"12", "2-ranks", {"tp2", "pp2"}}, {"13", "analysis", {}}};
    submission_.configurations = {testing::configuration("tp2", 2, "cuda", {}),
                                  testing::configuration("pp2", 2, "cuda", {})};
  }
  JobRow tp2(const std::string& queue_state, const std::string& reason, std::optional<TaskNote> note = {},
             std::int64_t prompts = 0, bool recorded = false) const {
    const std::vector<QueueEntry> queue{{"12_0", queue_state, reason, "1:23", "1:00:00", "n1", "N/A"}};
    const std::vector<QueueEntry> nothing;
    return describe(submission_, "tp2", recorded, prompts, note, queue_state.empty() ? &nothing : &queue);
  }
  static TaskNote note(const std::string& state, int code, const std::string& words,
                       const std::string& job = "12_0") {
    return {state, code, job, "n1", "", words};
  }
  Submission submission_;
};

TEST_F(Describe, Waiting) {
  const auto row = tp2("PENDING", "Resources");
  EXPECT_EQ(row.state, JobState::waiting);
  EXPECT_EQ(row.words, "waits for free nodes (Resources)");
  EXPECT_EQ(row.job, "12_0");
}

TEST_F(Describe, RequeuedAfterItsTimeLimit) {
  const auto row = tp2("PENDING", "BeginTime", note("interrupted", 75, "stopped"), 41);
  EXPECT_EQ(row.state, JobState::waiting);
  EXPECT_THAT(row.words, AllOf(HasSubstr("requeued"), HasSubstr("41 of 100 prompts")));
}

TEST_F(Describe, Running) {
  const auto row = tp2("RUNNING", "None", note("running", 0, ""), 41);
  EXPECT_EQ(row.state, JobState::running);
  EXPECT_EQ(row.words, "1:23 of 1:00:00, 41 of 100 prompts recorded");
}

TEST_F(Describe, DoneIsWhatTheRecordSays) {
  EXPECT_EQ(tp2("COMPLETED", "None", note("done", 0, ""), 100, true).state, JobState::done);
  EXPECT_EQ(tp2("", "", std::nullopt, 100, true).state, JobState::done);
  EXPECT_EQ(tp2("", "", note("done", 0, "")).state, JobState::failed) << "somebody deleted it";
  EXPECT_EQ(tp2("COMPLETED", "None").state, JobState::failed);
}

TEST_F(Describe, FailedInItsOwnWords) {
  const auto row =
      tp2("FAILED", "NonZeroExitCode", note("failed", 70, "module cuda/99 cannot be loaded on n1"));
  EXPECT_EQ(row.state, JobState::failed);
  EXPECT_THAT(row.words, AllOf(HasSubstr("module cuda/99"), HasSubstr("exit code 70"),
                               HasSubstr("/out/slurm/logs/tp2.log")));
}

TEST_F(Describe, AnEarlierJobsWordsAreNotThisOnes) {
  const auto row = tp2("FAILED", "NonZeroExitCode", note("failed", 70, "old", "7_0"));
  EXPECT_THAT(row.words, ::testing::Not(HasSubstr("old")));
}

TEST_F(Describe, KilledWithoutAWord) {
  EXPECT_THAT(tp2("OUT_OF_MEMORY", "OutOfMemory", note("running", 0, "")).words, HasSubstr("memory"));
  EXPECT_THAT(tp2("NODE_FAIL", "NodeDown", note("interrupted", 75, "x"), 3).words,
              AllOf(HasSubstr("node failed"), HasSubstr("3 of 100")));
  EXPECT_EQ(tp2("CANCELLED", "None", note("running", 0, ""), 3).state, JobState::interrupted);
  EXPECT_EQ(tp2("", "", note("running", 0, "")).state, JobState::failed) << "Slurm has forgotten it";
}

TEST_F(Describe, NeverStarted) {
  EXPECT_EQ(tp2("CANCELLED", "DependencyNeverSatisfied").state, JobState::not_started);
  EXPECT_EQ(tp2("", "").state, JobState::not_started);
}

TEST_F(Describe, ACancelledArrayIsOneEntry) {
  for (const char* job : {"12", "12_[0-1]"}) {
    const std::vector<QueueEntry> queue{{job, "CANCELLED", "None", "0:00", "1:00", "", "N/A"}};
    EXPECT_EQ(describe(submission_, "pp2", false, 0, std::nullopt, &queue).state, JobState::interrupted)
        << job;
  }
  const std::vector<QueueEntry> other{{"120", "CANCELLED", "None", "0:00", "1:00", "", "N/A"}};
  EXPECT_EQ(describe(submission_, "pp2", false, 0, std::nullopt, &other).state, JobState::not_started);
}

TEST_F(Describe, WithoutSlurmTheNotesHaveToDo) {
  EXPECT_EQ(describe(submission_, "tp2", false, 3, note("running", 0, ""), nullptr).state, JobState::running);
  EXPECT_EQ(describe(submission_, "tp2", false, 3, note("failed", 70, "x"), nullptr).state, JobState::failed);
  EXPECT_EQ(describe(submission_, "tp2", false, 0, std::nullopt, nullptr).state, JobState::waiting);
}

TEST_F(Describe, TheAnalysisIsDoneWhenItSaysSo) {
  const std::vector<QueueEntry> queue{{"13", "COMPLETED", "None", "0:05", "30:00", "n1", "N/A"}};
  EXPECT_EQ(describe(submission_, "analysis", false, 0, note("done", 1, "", "13"), &queue).state,
            JobState::done);
  EXPECT_EQ(describe(submission_, "analysis", false, 0, note("done", 1, "", "9"), &queue).state,
            JobState::failed);
  const std::vector<QueueEntry> waiting{{"13", "PENDING", "Dependency", "0:00", "30:00", "", "N/A"}};
  EXPECT_EQ(describe(submission_, "analysis", false, 0, std::nullopt, &waiting).state, JobState::waiting);
}

TEST_F(Describe, ExitCodeIsForScripts) {
  Status status;
  status.rows = {{.name = "a", .state = JobState::done}, {.name = "b", .state = JobState::done}};
  EXPECT_EQ(exit_code(status), ExitCode::ok);
  status.rows[0].state = JobState::failed;
  EXPECT_EQ(exit_code(status), ExitCode::failure);
  status.rows[1].state = JobState::waiting;
  EXPECT_EQ(exit_code(status), ExitCode::interrupted);
}

TEST(Note, IsReadAsFarAsItGoes) {
  const auto note =
      parse_note("state=failed\ncode=70\njob=12_3\nnodes=n[1-2]\ngpu=NVIDIA H100\nwords=a=b\nnew=1\n");
  EXPECT_EQ(note.code, 70);
  EXPECT_EQ(note.words, "a=b");
  EXPECT_EQ(note.gpu, "NVIDIA H100");
  EXPECT_EQ(parse_note("").state, "");
  EXPECT_EQ(parse_note("code=x").code, 0);
}

}  // namespace
}  // namespace shardrift::slurm
