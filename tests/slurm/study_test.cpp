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

std::size_t parts(const fs::path& record) {
  std::error_code ignored;
  std::size_t count = 0;
  for (fs::directory_iterator it(record.string() + ".parts", ignored), end; !ignored && it != end;
       it.increment(ignored))
    if (it->path().extension() == ".h5") ++count;
  return count;
}

// The shipped study, on ranks on CPUs. One task is killed and requeued by hand, one is told that its time is
// over and requeues itself; the finished study is that of an undisturbed one.
TEST_F(Slurm, ScaleOutSurvivesAKillAndATimeLimit) {
  write_site({{"ranks_per_node", "8"}});
  write_prompts(folder_, 24);
  const auto submitted = shardrift(
      folder_, {"submit", SHARDRIFT_SOURCE_DIR "/experiments/studies/scale-out.toml", "--profile",
                "./site.toml", "--output", "out", "--model", fixture("tiny-llama").string(), "--prompts",
                "prompts-24.jsonl", "--set", "max-new-tokens=48", "--set", "ignore-eos=true"});
  ASSERT_EQ(submitted.code, 0) << submitted.output;

  ASSERT_TRUE(wait_until([&] { return parts(record("tp2")) >= 2; }, 60)) << status();
  const auto ranks = workers("tp2");
  ASSERT_FALSE(ranks.empty());
  ASSERT_EQ(kill(ranks.back(), SIGKILL), 0);
  ASSERT_TRUE(wait_until([&] { return row("tp2").find("failed") != std::string::npos; }, 20)) << status();
  EXPECT_THAT(row("tp2"), HasSubstr("SIGKILL"));
  const auto killed = job_of(status(), "tp2");
  ASSERT_EQ(run_program({"scontrol", "requeue", killed}).code, 0);
  EXPECT_THAT(row("tp2"), HasSubstr("waiting"));

  ASSERT_TRUE(wait_until([&] { return parts(record("pp2")) >= 2; }, 60)) << status();
  ASSERT_EQ(run_program({"scancel", "--batch", "--signal=USR1", job_of(status(), "pp2")}).code, 0);
  EXPECT_TRUE(wait_until([&] { return log("pp2").find("requeued; ") != std::string::npos; }, 20))
      << log("pp2");

  const auto table = wait_for_end(120);
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
                         (folder_ / "prompts-24.jsonl").string(), "--dtype", "bfloat16", "--max-new-tokens",
                         "48", "--ignore-eos", "--tensor-parallel", "2", "--output", whole.string()}));
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

TEST_F(Slurm, TheTimeLimitItselfInterruptsAndRequeues) {
  // slurmctld looks every 30 s and signals up to 30 s early: here between 10 and 40 s after the start.
  write_site({{"time_limit", "\"1\""}, {"signal_seconds", "20"}});
  write_study("", "max-new-tokens = 200\n", 2000);
  ASSERT_EQ(submit({"--only", "reference"}).code, 0);
  ASSERT_TRUE(
      wait_until([&] { return log("reference").find("the time limit is near") != std::string::npos; }, 75))
      << status();
  ASSERT_TRUE(wait_until([&] { return row("reference").find("requeued") != std::string::npos; }, 20))
      << status();
  EXPECT_THAT(row("reference"), ContainsRegex("[0-9]+ of 2000 prompts recorded"));
  const auto kept = parts(record("reference"));
  EXPECT_GT(kept, 1U);
  EXPECT_TRUE(wait_until([&] { return log("reference").find("start 2") != std::string::npos; }, 40))
      << status();
  EXPECT_TRUE(wait_until([&] { return parts(record("reference")) > kept; }, 20)) << status();
}

TEST_F(Slurm, ATimeLimitTooShortForOnePromptEndsAfterTwoTries) {
  write_site({{"setup", "['kill -USR1 $$']"}});  // as if the limit were near before anything was done
  write_study();
  ASSERT_EQ(submit({"--only", "reference"}).code, 0);
  const auto table = wait_for_end(60);
  EXPECT_THAT(row_of(table, "reference"), HasSubstr("no prompt was finished within the time limit, twice"));
  EXPECT_THAT(log("reference"), HasSubstr("start 2"));
}

TEST_F(Slurm, AFailedRunLeavesNothingPending) {
  // The reference fails, so its follower can never run; the analysis says what is missing all the same.
  write_site({{"setup", "['[[ $name != reference ]] || load_module nonsense/1.0']"}});
  write_study("[[candidate]]\nname = \"followed\"\nfollow = \"reference\"\ntensor-parallel = 2\n");
  ASSERT_EQ(submit().code, 0);
  const auto table = wait_for_end(60);
  EXPECT_THAT(row_of(table, "reference"), HasSubstr("module nonsense/1.0 cannot be loaded"));
  EXPECT_THAT(row_of(table, "followed"), HasSubstr("not started: a run whose record it reads failed"));
  EXPECT_THAT(row_of(table, "tp2"), HasSubstr("done"));
  EXPECT_THAT(row_of(table, "analysis"), HasSubstr("done"));
  EXPECT_THAT(log("analysis"), HasSubstr("left out: reference (failed: module nonsense/1.0"));
  EXPECT_EQ(shardrift(folder_, {"status", "out"}).code, 70);

  // Submitted again, only what is missing runs.
  write_site();
  const auto again = submit();
  ASSERT_EQ(again.code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("done already: pp2, tp2"));
  EXPECT_EQ(wait_for_end(60).find("failed"), std::string::npos);
  EXPECT_EQ(first_difference(record("reference"), record("pp2")), "");
}

TEST_F(Slurm, CancelledItStopsAndGoesOnWhenSubmittedAgain) {
  write_site();
  write_study("", "max-new-tokens = 200\n", 60);
  ASSERT_EQ(submit().code, 0);
  const auto second = submit();
  EXPECT_EQ(second.code, 64);
  EXPECT_THAT(second.output, HasSubstr("still in the queue"));
  ASSERT_TRUE(wait_until([&] { return parts(record("reference")) >= 2; }, 60)) << status();
  const auto cancelled = shardrift(folder_, {"cancel", "out"});
  EXPECT_EQ(cancelled.code, 0) << cancelled.output;
  const auto table = wait_for_end(30);
  EXPECT_THAT(row_of(table, "reference"), HasSubstr("interrupted"));
  EXPECT_THAT(shardrift(folder_, {"cancel", "out"}).output, HasSubstr("nothing of it is in the queue"));
  EXPECT_GE(parts(record("reference")), 2U);
  ASSERT_EQ(submit({"--only", "reference"}).code, 0);
  EXPECT_THAT(row_of(wait_for_end(60), "reference"), HasSubstr("done"));
}

}  // namespace
}  // namespace shardrift::testing
