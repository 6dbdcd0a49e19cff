// The scripts against tests/slurm/golden, and what bash and shellcheck think of them. After a wanted change:
// SHARDRIFT_UPDATE_GOLDEN=1 build/tests/test_slurm_unit --gtest_filter='*AreAsInTheGoldenFolder*', then read
// the difference.
#include "slurm/batch_script.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "slurm/slurm_commands.hpp"
#include "tests/unit/record/example_record.hpp"
#include "tests/unit/slurm/example_plan.hpp"

namespace shardrift::slurm {
namespace {

namespace fs = std::filesystem;
using record::testing::contents;
using testing::empty_plan;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::scale_out;

fs::path golden(const std::string& profile) {
  return fs::path(SHARDRIFT_SOURCE_DIR) / "tests/slurm/golden" / profile;
}

std::map<std::string, std::string> scripts(const std::string& profile_name) {
  const auto profile = load_site_profile(profile_name);
  const auto plan =
      plan_jobs(empty_plan(), scale_out(profile.gpus == GpuRequest::none ? "cpu" : "cuda"), profile);
  std::map<std::string, std::string> texts;
  for (const auto& array : plan.arrays) texts[array.name + ".sbatch"] = array_script(plan, array, profile);
  texts["analysis.sbatch"] = analysis_script(plan, profile);
  return texts;
}

class Scripts : public ::testing::TestWithParam<std::string> {};

TEST_P(Scripts, AreAsInTheGoldenFolder) {
  const auto folder = golden(GetParam());
  const auto texts = scripts(GetParam());
  if (std::getenv("SHARDRIFT_UPDATE_GOLDEN") != nullptr) {
    fs::remove_all(folder);
    fs::create_directories(folder);
    for (const auto& [name, text] : texts) std::ofstream(folder / name) << text;
  }
  std::set<std::string> there;
  for (const auto& entry : fs::directory_iterator(folder)) there.insert(entry.path().filename().string());
  std::set<std::string> made;
  for (const auto& [name, text] : texts) {
    made.insert(name);
    EXPECT_EQ(text, contents(folder / name)) << (folder / name);
  }
  EXPECT_EQ(made, there);
}

TEST_P(Scripts, AreReadByBashAndByShellcheck) {
  const record::testing::Scratch scratch;
  std::ofstream(scratch / "task.sh") << task_script();
  std::vector<std::string> check{"shellcheck", "-x"};
  for (const auto& [name, text] : scripts(GetParam())) {
    std::ofstream(scratch / name) << text;
    // shellcheck reads task.sh anew for each: the arrays differ only in values.
    if (name == "2-ranks-after-reference.sbatch" || name == "analysis.sbatch")
      check.push_back((scratch / name).string());
    const auto parsed = ask({"bash", "-n", (scratch / name).string()});
    EXPECT_EQ(parsed.code, 0) << parsed.error;
  }
  ASSERT_EQ(check.size(), 4U);
  const auto checked = ask(check);
  if (checked.code == 127 && std::getenv("SHARDRIFT_REQUIRE_SLURM") == nullptr)
    GTEST_SKIP() << "no shellcheck here";
  EXPECT_EQ(checked.code, 0) << checked.output << checked.error;
}

std::string test_name(const ::testing::TestParamInfo<std::string>& profile) {
  std::string name = profile.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(OfProfile, Scripts, ::testing::ValuesIn(shipped_site_profiles()), test_name);

TEST(BashWord, QuotesWhatBashWouldRead) {
  EXPECT_EQ(bash_word("--tensor-parallel"), "--tensor-parallel");
  EXPECT_EQ(bash_word("perm:2,0,3,1"), "perm:2,0,3,1");
  EXPECT_EQ(bash_word(""), "''");
  for (const std::string text :
       {"a b", "$(reboot)", "it's", "`x`", "a\nb", "\"", "*", "~", "!", "#x", "\\", "ä", "a;b", "'", "''"}) {
    const auto echoed = ask({"bash", "-c", "printf %s " + bash_word(text)});
    EXPECT_EQ(echoed.output, text);
  }
}

TEST(ArrayScript, TakesAHostileNameAsAWord) {
  auto configurations = scale_out();
  configurations.resize(1);
  configurations[0].arguments = {"--model", "/tmp/$(touch pwned)'\n#SBATCH --x"};
  const auto profile = load_site_profile("generic");
  const auto plan = plan_jobs(empty_plan(), configurations, profile);
  const auto script = array_script(plan, plan.arrays[0], profile);
  EXPECT_THAT(script, HasSubstr("'/tmp/$(touch pwned)'\\''\n"));
  EXPECT_LT(script.find("set -euo pipefail"), script.find("#SBATCH --x"))
      << "sbatch stops reading at the first command";
}

TEST(ArrayScript, AFilesNameStaysInItsComment) {
  auto empty = empty_plan();
  empty.file = "/home/me/a\nreboot\n.toml";
  const auto profile = site_profile_from_text("modules = ['x']", "b\nreboot\n.toml");
  const auto plan = plan_jobs(empty, scale_out(), profile);
  EXPECT_THAT(array_script(plan, plan.arrays[0], profile), Not(HasSubstr("\nreboot")));
}

// task.sh around a launcher that is these lines of bash.
class Task : public ::testing::Test {
 protected:
  Answer run(const std::string& launcher, const std::string& set_up = ":") const {
    fs::create_directories(scratch_ / "state");
    fs::create_directories(scratch_ / "bin");
    std::ofstream(scratch_ / "task.sh") << task_script();
    for (const char* name : {"srun", "mpirun"}) {
      std::ofstream(scratch_.path() / "bin" / name) << "#!/bin/bash\n" << launcher << "\n";
      fs::permissions(scratch_.path() / "bin" / name, fs::perms::owner_all);
    }
    const auto folder = scratch_.path().string();
    std::ofstream(scratch_ / "job") << "set -euo pipefail\nfolder=" << folder
                                    << "\nname=tp2\nrecord=" << folder
                                    << "/tp2.h5\nbytes=1\ndevice=cpu\nlaunch=(" << launcher_
                                    << " -n 2)\ncommand=(worker run)\nset_up() {\n"
                                    << set_up << "\n}\nsource \"$folder/task.sh\"\nrun_task\n";
    return ask({"env", "PATH=" + folder + "/bin:" + std::getenv("PATH"), "SLURM_EXPORT_ENV=NONE", "bash",
                "-c", "exec bash " + folder + "/job >" + folder + "/log 2>&1"});
  }
  std::string note() const { return contents(scratch_ / "state/tp2"); }
  std::string log() const { return contents(scratch_ / "log"); }

  record::testing::Scratch scratch_;
  const char* launcher_ = "srun";
};

TEST_F(Task, IsDoneWhereItsRecordIs) {
  EXPECT_EQ(run("touch " + (scratch_ / "tp2.h5").string()).code, 0) << log();
  EXPECT_THAT(note(), HasSubstr("state=done"));
}

// As srun does where its step is cancelled before it begins.
TEST_F(Task, IsNotDoneBecauseTheLauncherSaysNothing) {
  EXPECT_EQ(run("exit 0").code, 70) << log();
  EXPECT_THAT(note(), HasSubstr("state=failed"));
  EXPECT_THAT(note(), HasSubstr("srun ended without an error, but no rank wrote"));
  EXPECT_EQ(run("echo 'srun: Force Terminated job 12' >&2").code, 70);
  EXPECT_THAT(note(), HasSubstr("words=srun: Force Terminated job 12"));
}

TEST_F(Task, WhatSetUpExportsGoesToTheRanks) {
  const std::string set_up = "export SITE_WORD='two; words'\nlocal_only=1\nexport PATH=/opt/site:$PATH";
  const std::string tell = "echo \"words: $*\"; echo \"export: ${SLURM_EXPORT_ENV-not set}, $SITE_WORD\"";
  run(tell, set_up);
  EXPECT_THAT(log(), HasSubstr("words: -n 2 worker run\nexport: not set, two; words\n"));
  launcher_ = "mpirun";
  run(tell, set_up);
  EXPECT_THAT(log(), HasSubstr("words: -n 2 -x PATH -x SITE_WORD -x SHARDRIFT_VARIABLES worker run\n"));
}

TEST(ArrayScript, AsksForNoGpusOnCpus) {
  const auto profile = load_site_profile("generic");
  const auto plan = plan_jobs(empty_plan(), scale_out("cpu"), profile);
  for (const auto& array : plan.arrays)
    EXPECT_THAT(array_script(plan, array, profile), Not(HasSubstr("--gpus")));
}

}  // namespace
}  // namespace shardrift::slurm
