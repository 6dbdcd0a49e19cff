#include "slurm/settle.hpp"

#include <gmock/gmock.h>

#include "experiments/runner/status.hpp"
#include "tests/unit/record/example_record.hpp"
#include "tests/unit/slurm/example_plan.hpp"

namespace shardrift::slurm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Devices : public ::testing::Test {
 protected:
  void add(const std::string& name, const std::vector<std::string>& models,
           const std::string& device = "cuda") {
    auto run = record::testing::example_run();
    run.environment.devices.clear();
    for (const auto& model : models)
      run.environment.devices.push_back(
          {static_cast<int>(run.environment.devices.size()), "n1", model, "", "", ""});
    auto one = testing::configuration(name, 1, device, {});
    one.output = scratch_ / (name + ".h5");
    record::testing::write_record(one.output, run, {record::testing::example_prompt(run, "p0", 0)});
    all_.push_back(one);
  }
  record::testing::Scratch scratch_;
  std::vector<study::Configuration> all_;
};

TEST_F(Devices, OneModelAndMissingRecordsAreFine) {
  add("reference", {"H100"});
  add("tp2", {"H100", "H100"});
  all_.push_back(testing::configuration("missing", 1, "cuda", {}));
  const auto check = check_devices(all_);
  EXPECT_EQ(check.mixed, "");
  EXPECT_THAT(check.unreadable, IsEmpty());
}

TEST_F(Devices, TwoModelsAreNamed) {
  add("reference", {"H100"});
  add("tp2", {"A100", "A100"});
  EXPECT_THAT(check_devices(all_).mixed,
              AllOf(HasSubstr("A100 (tp2 on n1)"), HasSubstr("H100 (reference on n1)")));
}

TEST_F(Devices, ATruthOnCpusIsNoMixture) {
  add("reference", {"H100"});
  add("truth", {"Xeon"}, "cpu");
  EXPECT_EQ(check_devices(all_).mixed, "");
}

TEST_F(Devices, ABrokenRecordIsNamedAndTheOthersChecked) {
  add("reference", {"H100"});
  add("tp2", {"A100"});
  add("broken", {"A100"});
  record::testing::replace_contents(all_[2].output, "not HDF5");
  const auto check = check_devices(all_);
  EXPECT_NE(check.mixed, "");
  ASSERT_EQ(check.unreadable.size(), 1U);
  EXPECT_THAT(check.unreadable[0], HasSubstr("broken.h5"));
}

TEST(TellStudy, WritesWhyARunHasNoRecord) {
  const record::testing::Scratch scratch;
  runner::StudyStatus study;
  study.name = "scale-out";
  study.state = "submitted";
  for (const char* name : {"reference", "tp2"}) {
    runner::RunStatus run;
    run.name = name;
    study.runs.push_back(run);
  }
  runner::write_status(study, scratch.path());
  Submission submission;
  submission.output = scratch.path();
  Status status;
  status.rows = {{.name = "reference", .state = JobState::done},
                 {.name = "tp2", .state = JobState::failed, .words = "module cuda/99 cannot be loaded"},
                 {.name = "analysis", .state = JobState::running}};
  tell_study(submission, status);
  const auto told = runner::read_status(scratch.path());
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->find("reference")->state, runner::RunState::done);
  EXPECT_EQ(told->find("tp2")->state, runner::RunState::failed);
  EXPECT_EQ(told->find("tp2")->reason, "module cuda/99 cannot be loaded");
}

}  // namespace
}  // namespace shardrift::slurm
