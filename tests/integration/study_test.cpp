// Studies with the real worker on MPI ranks: predictions against live runs, interruption, failures, and the
// shipped studies on a fixture model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/json_file.hpp"
#include "experiments/runner/status.hpp"
#include "held_run.hpp"
#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using runner::RunState;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A study in a folder of its own, on tiny-llama in bfloat16.
class Study {
 public:
  Study(const std::string& name, const std::string& sections, int prompts = 4)
      : folder_(scratch("study-" + name)) {
    std::ofstream(folder_ / "study.toml") << "[run]\nmodel = '" << fixture("tiny-llama").string()
                                          << "'\nprompts = '" << write_prompts(folder_, prompts).string()
                                          << "'\ndtype = 'bfloat16'\nignore-eos = true\nmax-new-tokens = 9\n"
                                          << sections;
  }
  std::vector<std::string> command(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words{SHARDRIFT_BINARY_DIR "/bin/shardrift",
                                   "study",
                                   (folder_ / "study.toml").string(),
                                   "--output",
                                   output().string(),
                                   "--device",
                                   "cpu",
                                   "--devices",
                                   "4"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  Finished run(const std::vector<std::string>& more = {}) const { return run_program(command(more)); }
  fs::path output() const { return folder_ / "out"; }
  fs::path record(const std::string& name) const { return output() / (name + ".h5"); }
  runner::StudyStatus status() const { return runner::read_status(output()).value(); }

 private:
  fs::path folder_;
};

// Runs, a follower and a probe on ranks, everything in folders with blanks, from the folder itself.
TEST(StudyOnRanks, FoldersWithBlanks) {
  const auto folder = scratch("study with blanks") / "two  words";
  fs::create_directories(folder / "my model");
  fs::copy(fixture("tiny-llama"), folder / "my model", fs::copy_options::recursive);
  fs::rename(write_prompts(folder, 2), folder / "my prompts.jsonl");
  std::ofstream(folder / "a study.toml") << R"([run]
model = "my model"
prompts = "my prompts.jsonl"
max-new-tokens = 3
[[candidate]]
name = "tp2"
tensor-parallel = 2
[[candidate]]
name = "again"
follow = "reference"
mode = "follow"
[[probe]]
name = "order"
ranks = 2
count = 64
save-profile = "my profile.json"
)";
  const auto finished = run_program({"/bin/sh", "-c",
                                     "cd '" + folder.string() +
                                         "' && exec " SHARDRIFT_BINARY_DIR
                                         "/bin/shardrift study 'a study.toml' --output 'my out' --device cpu "
                                         "--devices 2"});
  EXPECT_EQ(finished.code, 0) << finished.output;
  for (const char* record : {"reference.h5", "tp2.h5", "again.h5", "order.h5"})
    EXPECT_TRUE(fs::exists(folder / "my out" / record)) << record;
}

// A record of the old weights is not compared with one of the new, as if sharding had moved them.
TEST(StudyOnRanks, OtherWeightsAreNamedAndMadeAgain) {
  const auto folder = scratch("study-other-weights");
  fs::copy(fixture("tiny-llama"), folder / "model");
  write_prompts(folder, 2);
  std::ofstream(folder / "study.toml")
      << "[run]\nmodel = 'model'\nprompts = 'prompts-2.jsonl'\nmax-new-tokens = 3\n"
         "[[candidate]]\nname = 's2'\nshards = 2\n";
  std::vector<std::string> study{SHARDRIFT_BINARY_DIR "/bin/shardrift",
                                 "study",
                                 (folder / "study.toml").string(),
                                 "--output",
                                 (folder / "out").string(),
                                 "--device",
                                 "cpu"};
  ASSERT_EQ(run_program(study).code, 0);
  const auto weights_of = [&](const char* name) {
    return record::Reader::open(folder / "out" / name).run().model.weights;
  };
  const auto before = weights_of("reference.h5");
  const auto old_reference = folder / "old.h5";
  fs::copy_file(folder / "out/reference.h5", old_reference);
  {
    std::fstream file(folder / "model/model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(fs::file_size(folder / "model/model.safetensors") - 4));
    const float other = 0.25F;
    file.write(reinterpret_cast<const char*>(&other), sizeof other);
  }
  fs::remove(folder / "out/s2.h5");
  const auto refused = run_program(study);
  EXPECT_EQ(refused.code, 64) << refused.output;
  EXPECT_THAT(refused.output, AllOf(HasSubstr("reference: the weights in "), HasSubstr(" changed since"),
                                    HasSubstr("--rerun-changed")));
  EXPECT_FALSE(fs::exists(folder / "out/s2.h5"));
  study.emplace_back("--rerun-changed");
  const auto again = run_program(study);
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_NE(weights_of("reference.h5"), before);
  EXPECT_EQ(weights_of("reference.h5"), weights_of("s2.h5"));

  const std::string candidate = (folder / "out/s2.h5").string();
  const auto judged =
      run_program({SHARDRIFT_BINARY_DIR "/bin/shardrift", "gate", old_reference.string(), candidate});
  EXPECT_EQ(judged.code, 65) << judged.output;
  EXPECT_THAT(judged.output, HasSubstr("was recorded with other weights than"));
  const auto compared =
      run_program({SHARDRIFT_BINARY_DIR "/bin/shardrift", "compare", old_reference.string(), candidate});
  EXPECT_EQ(compared.code, 1) << compared.output;
  EXPECT_THAT(compared.output, HasSubstr("the records are of different weights"));
}

// The shipped profiles of OpenMPI 4.1.4 speak for this machine's own ranks.
TEST(StudyOnRanks, PredictionsHaveTheBitsOfLiveRuns) {
  const Study study("predicted", R"(
[[candidate]]
matrix = { tensor-parallel = [2, 3, 4] }
[[candidate]]
matrix = { tensor-parallel = [2, 3, 4] }
predict = true
name = "predicted-{tensor-parallel}"
[[candidate]]
name = "tp2-pp2"
tensor-parallel = 2
pipeline = 2
[[candidate]]
name = "predicted-tp2-pp2"
tensor-parallel = 2
pipeline = 2
predict = true
[[candidate]]
shards = 4
reduction = "linear"
name = "another-order"
)");
  const auto finished = study.run({"--jobs", "2"});
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(finished.output,
              AllOf(HasSubstr("predicted-4 (predicted)"), HasSubstr("openmpi-4.1.4-4ranks.json"),
                    HasSubstr("verdict:"), HasSubstr("report:")));
  for (const auto* ranks : {"2", "3", "4"}) {
    const auto live = study.record(std::string("tp") + ranks);
    EXPECT_EQ(first_difference(live, study.record(std::string("predicted-") + ranks)), "");
    EXPECT_EQ(record::Reader::open(live).run().environment.devices.size(), std::stoul(ranks));
  }
  EXPECT_EQ(first_difference(study.record("tp2-pp2"), study.record("predicted-tp2-pp2")), "");
  // The controls: another order of the same four shards, and one device, have other bits.
  EXPECT_NE(first_difference(study.record("tp4"), study.record("another-order")), "");
  EXPECT_NE(first_difference(study.record("tp4"), study.record("reference")), "");
  EXPECT_TRUE(study.status().find("predicted-3")->predicted);
  EXPECT_FALSE(study.status().find("tp3")->predicted);
}

TEST(StudyOnRanks, KilledOrInterruptedItGoesOnToTheSameBits) {
  const std::string sections = "[[candidate]]\ntensor-parallel = 2\n";
  const Study whole("whole", sections, 9);
  ASSERT_EQ(whole.run().code, 0);
  const Study study("resumed", sections, 9);
  const HeldRun run(study.record("tp2"));
  std::int64_t recorded = 0;
  for (const int number : {SIGKILL, SIGTERM}) {
    Running running(holding("tp2:3", study.command()));
    ASSERT_TRUE(run.is_reached(running));
    kill(running.pid(), number);
    const auto stopped = running.wait();
    if (number == SIGTERM) {
      EXPECT_EQ(stopped.code, 75) << stopped.output;
      EXPECT_EQ(study.status().find("tp2")->state, RunState::interrupted);
    }
    recorded += 3;
    EXPECT_EQ(runner::finished_prompts(study.record("tp2"), 0), recorded);
    EXPECT_FALSE(fs::exists(study.record("tp2")));
    run.hold_again();
  }
  const auto finished = study.run();
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(finished.output,
              AllOf(HasSubstr("reference: done already"), HasSubstr("started where it stopped")));
  EXPECT_EQ(study.status().find("tp2")->attempts, 3);
  EXPECT_EQ(first_difference(whole.record("tp2"), study.record("tp2")), "");
}

TEST(StudyOnRanks, OneThatFailsSaysWhyAndTheOthersAreThere) {
  const Study study("failing", R"(
[[candidate]]
name = "wrong-profile"
shards = 4
reduction = "profile"
collective-profile = ")" SHARDRIFT_SOURCE_DIR R"(/experiments/profiles/openmpi-4.1.4-3ranks.json"
[[candidate]]
tensor-parallel = 2
[[yardstick]]
name = "follows-it"
dtype = "float16"
follow = "wrong-profile"
[[yardstick]]
name = "at-once"
follow = "reference"
mode = "score"
compare-with = "none"
[[yardstick]]
name = "float16-at-once"
dtype = "float16"
follow = "reference"
mode = "score"
compare-with = "at-once"
)");
  const auto finished = study.run();
  EXPECT_EQ(finished.code, 70) << finished.output;
  EXPECT_THAT(finished.output, AllOf(HasSubstr("a profile of 3 ranks predicts --shards 3, not 4"),
                                     HasSubstr("follows-it: skipped: follows wrong-profile, which failed"),
                                     HasSubstr("compared with reference"), HasSubstr("compared with at-once"),
                                     HasSubstr("left out: wrong-profile")));
  EXPECT_EQ(study.status().find("tp2")->state, RunState::done);
  // Scored at once: the rows of the prompt and of what the reference said after it.
  const auto one = record::Reader::open(study.record("reference")).prompt("p2");
  const auto scored = record::Reader::open(study.record("float16-at-once")).prompt("p2");
  EXPECT_EQ(scored.rows.size(), one.prompt.tokens.size() + one.rows.size() - 1);
}

TEST(StudyOnRanks, NeighboursChangeNoBits) {
  const std::string sections = "[reference]\nrepeats = 3\n";
  const Study together("together", sections);
  const auto finished = together.run({"--jobs", "4"});
  ASSERT_EQ(finished.code, 0) << finished.output;
  const Study alone("alone", sections);
  ASSERT_EQ(alone.run().code, 0);
  for (const auto* name : {"reference", "reference-again1", "reference-again2", "reference-again3"})
    EXPECT_EQ(first_difference(together.record(name), alone.record(name)), "") << name;
}

TEST(ShippedStudies, RunOnAFixtureModel) {
  const fs::path folder = scratch("shipped-studies");
  const auto prompts = write_prompts(folder, 2);
  for (const std::string name :
       {"batch-size", "quantization", "reduction-order", "row-linear", "same-gpu-twice"}) {
    const auto finished = run_program(
        {SHARDRIFT_BINARY_DIR "/bin/shardrift", "study",
         SHARDRIFT_SOURCE_DIR "/experiments/studies/" + name + ".toml", "--model",
         fixture("tiny-llama").string(), "--prompts", prompts.string(), "--set", "max-new-tokens=3",
         "--output", (folder / name).string(), "--device", "cpu", "--devices", "2", "--jobs", "2"});
    // GPUs 1 to 3, and sums of four ranks that nothing predicts: not possible on two cores, which is said.
    const bool whole = name == "batch-size" || name == "quantization" || name == "reduction-order";
    EXPECT_EQ(finished.code, whole ? 0 : 2) << finished.output;
    EXPECT_EQ(finished.output.find("not possible here") == std::string::npos, whole) << name;
    EXPECT_THAT(finished.output, HasSubstr("verdict: "));
  }
  // Every quantization beside plain weights.
  const auto table = run_program({SHARDRIFT_SOURCE_DIR "/.venv/bin/python",
                                  SHARDRIFT_SOURCE_DIR "/scripts/python/amplification.py",
                                  (folder / "quantization").string()});
  EXPECT_EQ(table.code, 0) << table.output;
  EXPECT_EQ(std::count(table.output.begin(), table.output.end(), '\n'), 2 + 5 * 2) << table.output;
  EXPECT_THAT(table.output, AllOf(HasSubstr("| none | s2 | 0 of 2 |"), HasSubstr("| fp8 | s4 | 0 of 2 |")));
}

// Candidates that take the reference's routes have them, in every row.
TEST(ShippedStudies, RoutesAreReplayed) {
  const fs::path folder = scratch("moe-routing");
  const auto finished =
      run_program({SHARDRIFT_BINARY_DIR "/bin/shardrift", "study",
                   SHARDRIFT_SOURCE_DIR "/experiments/studies/moe-routing.toml", "--model",
                   fixture("tiny-mixtral").string(), "--prompts", write_prompts(folder, 4, 103).string(),
                   "--set", "max-new-tokens=5", "--output", (folder / "out").string(), "--device", "cpu",
                   "--devices", "2", "--jobs", "2"});
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(finished.output, AllOf(HasSubstr("verdict: "), HasSubstr("s4-replayed: done")));
  const auto reference = record::Reader::open(folder / "out/reference.h5").prompt("p2");
  ASSERT_FALSE(reference.routes.experts.empty());
  for (const std::string name : {"s2-replayed", "s4-replayed"}) {
    const auto replayed = record::Reader::open(folder / "out" / (name + ".h5")).prompt("p2");
    EXPECT_EQ(replayed.routes.experts, reference.routes.experts) << name;
    EXPECT_NE(first_difference(folder / "out/reference.h5", folder / "out" / (name + ".h5")), "") << name;
  }
}

// Three numbers through the live all-reduce of 3 and 4 ranks. OpenMPI 4.1 adds 3 ranks in the order (0+1)+2
// where the message is small, and as a ring where it is 4 KiB and more: there each third of it has its own
// order.
TEST(ShippedStudies, ThreeNumbersShowTheLiveOrder) {
  const fs::path folder = scratch("nonassociative");
  const auto finished =
      run_program({SHARDRIFT_BINARY_DIR "/bin/shardrift", "study",
                   SHARDRIFT_SOURCE_DIR "/experiments/studies/nonassociative.toml", "--output",
                   (folder / "out").string(), "--device", "cpu", "--devices", "4"});
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(finished.output, AllOf(HasSubstr("  100000000 -100000000 1: [0, 1) 1\n"),
                                     HasSubstr("  1 100000000 -100000000: [0, 1) 0\n"),
                                     HasSubstr("  100000000 -100000000 1: [0, 3264) 1 / [3264, 9792) 0")));
  const auto again = run_program({SHARDRIFT_BINARY_DIR "/bin/shardrift", "study",
                                  SHARDRIFT_SOURCE_DIR "/experiments/studies/nonassociative.toml", "--output",
                                  (folder / "out").string(), "--device", "cpu", "--devices", "4"});
  EXPECT_THAT(again.output, HasSubstr("float32-3-ranks: done already"));
}

TEST(ScaleOut, EndsWithTableVerdictAndReport) {
  const fs::path folder = scratch("scale-out");
  const auto finished = run_program(
      {SHARDRIFT_BINARY_DIR "/bin/shardrift", "scale-out", "--model", fixture("tiny-llama").string(), "--to",
       "3", "--prompts", write_prompts(folder, 4).string(), "--max-new-tokens", "4", "--dtype", "bfloat16",
       "--output", (folder / "out").string(), "--device", "cpu", "--devices", "2"});
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(
      finished.output,
      AllOf(HasSubstr("tp3 (predicted)"),
            HasSubstr("prediction checked: tp2-check gave every bit of the live tp2, in all 4 prompts"),
            HasSubstr("verdict: "), HasSubstr("report")));
  EXPECT_TRUE(fs::exists(folder / "out/report-reference.html"));
  EXPECT_THAT(finished.output, HasSubstr("By mean KL, "));
  // The prediction was checked where it could be.
  EXPECT_EQ(first_difference(folder / "out/tp2.h5", folder / "out/tp2-check.h5"), "");
}

// Quantized weights of one device as yardsticks: fed the reference's tokens, in its dtype.
TEST(ScaleOut, SaysHowManyTimesAsMuchAsQuantizing) {
  const fs::path folder = scratch("scale-out-yardsticks");
  std::vector<std::string> command{SHARDRIFT_BINARY_DIR "/bin/shardrift",
                                   "scale-out",
                                   "--model",
                                   fixture("tiny-llama").string(),
                                   "--to",
                                   "2",
                                   "--prompts",
                                   write_prompts(folder, 4).string(),
                                   "--max-new-tokens",
                                   "4",
                                   "--dtype",
                                   "bfloat16",
                                   "--output",
                                   (folder / "out").string(),
                                   "--device",
                                   "cpu",
                                   "--devices",
                                   "2",
                                   "--yardstick",
                                   "int8,nf4"};
  const auto finished = run_program(command);
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(finished.output, AllOf(HasSubstr(" moves this model "), HasSubstr(" as much as "),
                                     HasSubstr("one device, batch 8, bfloat16, int8 weights, cpu"),
                                     HasSubstr("vs int8"), HasSubstr("vs nf4")));
  std::ifstream file(folder / "out/verdict-reference.json");
  const auto verdict = nlohmann::json::parse(file);
  EXPECT_THAT(verdict.at("answer").get<std::string>(), HasSubstr("the nearest of int8 and nf4"));
  for (const auto& candidate : verdict.at("candidates")) EXPECT_EQ(candidate.at("yardsticks").size(), 2U);
  const auto run = record::Reader::open(folder / "out/int8.h5").run();
  EXPECT_THAT(run.plan, AllOf(HasSubstr(R"("quantize":"int8")"), HasSubstr(R"("dtype":"bfloat16")")));
  EXPECT_EQ(run.mode, "follow");
  EXPECT_EQ(run.model.quantization, "none");  // the checkpoint's own
  command.back() = "int8,int5";
  const auto wrong = run_program(command);
  EXPECT_EQ(wrong.code, 64);
  EXPECT_THAT(wrong.output,
              HasSubstr("unknown --yardstick 'int5': use one or several of int8, int4, nf4, fp8"));
}

}  // namespace
}  // namespace shardrift::testing
