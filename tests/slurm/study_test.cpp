// Whole studies on a real Slurm: submitted, disturbed, finished.
#include <csignal>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "experiments/runner/status.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"
#include "slurm_fixture.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

// The shipped study, on ranks on CPUs. One task is killed and requeued by hand, one is told that its time is
// over and requeues itself; the finished study is that of an undisturbed one.
TEST_F(Slurm, ScaleOutSurvivesAKillAndATimeLimit) {
  write_site({{"ranks_per_node", "8"}});
  write_prompts(folder_, 6);
  hold("tp2:2,pp2:2");
  const auto submitted = shardrift(
      folder_, {"submit", SHARDRIFT_SOURCE_DIR "/experiments/studies/scale-out.toml", "--profile",
                "./site.toml", "--output", "out", "--model", fixture("tiny-llama").string(), "--prompts",
                "prompts-6.jsonl", "--set", "max-new-tokens=12", "--set", "ignore-eos=true"});
  ASSERT_EQ(submitted.code, 0) << submitted.output;

  ASSERT_TRUE(run_of("tp2").is_reached()) << status();
  ASSERT_EQ(kill(run_of("tp2").pid(), SIGKILL), 0);
  ASSERT_TRUE(says("tp2", "failed"));
  // The other rank says so, unless srun ends it before it can.
  EXPECT_THAT(row("tp2"), ::testing::AnyOf(HasSubstr(" died; "), HasSubstr("SIGKILL")));
  ASSERT_EQ(run_program({"scontrol", "requeue", job("tp2")}).code, 0);
  EXPECT_THAT(row("tp2"), HasSubstr("waiting"));
  start_again("tp2");

  ASSERT_TRUE(run_of("pp2").is_reached()) << status();
  ASSERT_EQ(run_program({"scancel", "--batch", "--signal=USR1", job("pp2")}).code, 0);
  start_again("pp2");
  EXPECT_THAT(log("pp2"), HasSubstr("requeued; 2 prompts are recorded"));

  const auto table = wait_for_end();
  EXPECT_THAT(table, HasSubstr("done"));
  EXPECT_EQ(table.find("failed"), std::string::npos) << table;
  for (const char* name : {"tp2", "pp2"}) {
    EXPECT_THAT(log(name), HasSubstr("start 2")) << "it did not begin twice";
    EXPECT_THAT(log(name), ContainsRegex("start 2(.|\n)*done"));
  }
  // Bits: what was requeued is what an undisturbed run records; pipeline and replicas are the reference.
  EXPECT_EQ(first_difference(record("reference"), record("pp2")), "");
  EXPECT_EQ(first_difference(record("reference"), record("dp2")), "");
  EXPECT_NE(first_difference(record("reference"), record("tp2")), "")
      << "the comparison sees no difference at all";
  const fs::path whole = folder_ / "whole.h5";
  const auto alone = run_program(
      worker_command(2, {"run", "--model", fixture("tiny-llama").string(), "--prompts",
                         (folder_ / "prompts-6.jsonl").string(), "--dtype", "bfloat16", "--max-new-tokens",
                         "12", "--ignore-eos", "--tensor-parallel", "2", "--output", whole.string()}));
  ASSERT_EQ(alone.code, 0) << alone.output;
  EXPECT_EQ(first_difference(whole, record("tp2")), "");
  // The conclusion of the study: every candidate compared, its bits as above, and the page.
  std::map<std::string, std::string> verdicts;
  std::ifstream compared(folder_ / "out/compare-reference.json");
  const auto comparison = nlohmann::json::parse(compared);
  for (const auto& candidate : comparison.at("candidates"))
    verdicts[candidate.at("path")] = candidate.at("verdict");
  EXPECT_EQ(verdicts.size(), 9U);
  EXPECT_EQ(verdicts["pp2"], "bit-equal");
  EXPECT_EQ(verdicts["dp4"], "bit-equal");
  EXPECT_EQ(verdicts["tp2"], "differs");
  EXPECT_TRUE(fs::exists(folder_ / "out/verdict-reference.json"));
  std::ifstream page(folder_ / "out/report-reference.html");
  const std::string html{std::istreambuf_iterator<char>(page), {}};
  EXPECT_THAT(html, HasSubstr("tp2-pp2"));
  EXPECT_THAT(html, HasSubstr("</html>"));
  EXPECT_THAT(log("analysis"), HasSubstr("verdict: "));
  const auto study = runner::read_status(folder_ / "out");
  ASSERT_TRUE(study.has_value());
  EXPECT_EQ(study->state, "done");
  EXPECT_EQ(shardrift(folder_, {"status", "out"}).code, 0);
}

// slurmctld looks at time limits every 30 s, and signals up to 30 s early: whenever it does, the run stands
// at its point, because its limit is set when it stands there.
TEST_F(Slurm, TheTimeLimitItselfInterruptsAndRequeues) {
  write_site({{"signal_seconds", "20"}});
  write_study("", "max-new-tokens = 9\n", 4);
  hold("reference:2");
  ASSERT_EQ(submit({"--only", "reference"}).code, 0);
  ASSERT_TRUE(run_of("reference").is_reached()) << status();
  ASSERT_EQ(run_program({"scontrol", "update", "JobId=" + job("reference"), "EndTime=now+30"}).code, 0);
  ASSERT_TRUE(says("reference", "was requeued"));
  EXPECT_THAT(row("reference"), HasSubstr("2 of 4 prompts recorded"));
  EXPECT_THAT(log("reference"), HasSubstr("the time limit is near"));
  start_again("reference");
  EXPECT_THAT(row_of(wait_for_end(), "reference"), HasSubstr(" done "));
  EXPECT_THAT(log("reference"), HasSubstr("start 2"));
}

TEST_F(Slurm, ATimeLimitTooShortForOnePromptEndsAfterTwoTries) {
  write_site({{"setup", "['kill -USR1 $$']"}});  // as if the limit were near before anything was done
  write_study();
  ASSERT_EQ(submit({"--only", "reference"}).code, 0);
  start_again("reference");
  const auto table = wait_for_end();
  EXPECT_THAT(row_of(table, "reference"), HasSubstr("no prompt was finished within the time limit, twice"));
  EXPECT_THAT(log("reference"), HasSubstr("start 2"));
}

TEST_F(Slurm, AFailedRunLeavesNothingPending) {
  // The reference fails, so its follower can never run; the analysis says what is missing all the same.
  write_site({{"setup", "['[[ $name != reference ]] || load_module nonsense/1.0']"}});
  write_study("[[candidate]]\nname = \"followed\"\nfollow = \"reference\"\ntensor-parallel = 2\n");
  ASSERT_EQ(submit().code, 0);
  const auto table = wait_for_end();
  EXPECT_THAT(row_of(table, "reference"), HasSubstr("module nonsense/1.0 cannot be loaded"));
  EXPECT_THAT(row_of(table, "followed"), HasSubstr("not started: a run whose record it reads failed"));
  EXPECT_THAT(row_of(table, "tp2"), HasSubstr("done"));
  EXPECT_THAT(row_of(table, "analysis"), HasSubstr("done"));
  EXPECT_THAT(log("analysis"), HasSubstr("left out: reference: failed: module nonsense/1.0"));
  EXPECT_EQ(shardrift(folder_, {"status", "out"}).code, 70);

  // Submitted again, only what is missing runs.
  write_site();
  const auto again = submit();
  ASSERT_EQ(again.code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("done already: pp2, tp2"));
  EXPECT_EQ(wait_for_end().find("failed"), std::string::npos);
  EXPECT_EQ(first_difference(record("reference"), record("pp2")), "");
}

TEST_F(Slurm, CancelledItStopsAndGoesOnWhenSubmittedAgain) {
  write_site();
  write_study("", "max-new-tokens = 9\n", 4);
  hold("reference:2");
  ASSERT_EQ(submit().code, 0);
  ASSERT_TRUE(run_of("reference").is_reached()) << status();
  const auto second = submit();
  EXPECT_EQ(second.code, 64);
  EXPECT_THAT(second.output, HasSubstr("still in the queue"));
  const auto cancelled = shardrift(folder_, {"cancel", "out"});
  EXPECT_EQ(cancelled.code, 0) << cancelled.output;
  const auto table = wait_for_end();
  EXPECT_THAT(row_of(table, "reference"), HasSubstr("interrupted"));
  EXPECT_THAT(shardrift(folder_, {"cancel", "out"}).output, HasSubstr("nothing of it is in the queue"));
  EXPECT_EQ(runner::finished_prompts(record("reference"), 0), 2);
  ASSERT_EQ(submit({"--only", "reference"}).code, 0);
  EXPECT_THAT(row_of(wait_for_end(), "reference"), HasSubstr("done"));
}

}  // namespace
}  // namespace shardrift::testing
