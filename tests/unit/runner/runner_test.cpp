// `shardrift study` with a worker that stands in for the real one: what is run, what is not run again, what
// is said when something goes wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "common/json_file.hpp"
#include "experiments/runner/status.hpp"
#include "held_run.hpp"
#include "program.hpp"
#include "record/reader.hpp"
#include "tests/unit/study/tiny_model.hpp"

namespace shardrift::runner {
namespace {

namespace fs = std::filesystem;
using ::shardrift::testing::Finished;
using ::shardrift::testing::HeldRun;
using ::shardrift::testing::holding;
using ::shardrift::testing::run_program;
using ::shardrift::testing::Running;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kStudy = R"(
question = "one against two?"
[run]
model = "model"
prompts = "prompts.jsonl"
max-new-tokens = 3
[reference]
repeats = 1
[[candidate]]
matrix = { tensor-parallel = [2, 3] }
reduction = "linear"
name = "tp{tensor-parallel}"
[[candidate]]
pipeline = 2
)";

class StudyProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    testing_studies::make_model(folder_ / "model");
    testing_studies::make_prompts(folder_ / "prompts.jsonl", 3);
    write(kStudy);
  }

  void write(const std::string& study) { folder_.write("study.toml", study); }

  std::vector<std::string> command(const std::vector<std::string>& more = {},
                                   const std::map<std::string, std::string>& environment = {}) const {
    std::vector<std::string> words{"env"};
    for (const auto& [name, value] : environment) words.push_back(name + "=" + value);
    words.insert(words.end(),
                 {SHARDRIFT_BINARY_DIR "/bin/shardrift", "study", (folder_ / "study.toml").string(),
                  "--output", output().string(), "--worker", SHARDRIFT_BINARY_DIR "/tests/fake_worker",
                  "--device", "cpu", "--devices", "4", "--launcher", "env RANKS={ranks}"});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  Finished run(const std::vector<std::string>& more = {},
               const std::map<std::string, std::string>& environment = {}) const {
    return run_program(command(more, environment));
  }

  fs::path output() const { return folder_ / "out"; }
  StudyStatus status() const { return read_status(output()).value(); }
  std::string log_of(const std::string& name) const {
    return read_text_file(output() / "logs" / (name + ".log"), 1 << 20);
  }
  // How often the worker ran this prompt, over all attempts.
  int runs_of(const std::string& name, const std::string& prompt) const {
    const auto log = log_of(name);
    int count = 0;
    for (auto at = log.find("ran " + prompt); at != std::string::npos; at = log.find("ran " + prompt, at + 1))
      ++count;
    return count;
  }
  HeldRun run_of(const std::string& name) const { return HeldRun(output() / (name + ".h5")); }
  nlohmann::json verdict() const {
    return nlohmann::json::parse(read_text_file(output() / "verdict-reference.json", 1 << 24));
  }
  // "tp3: left out by --only", …: what the verdict says was not judged.
  std::vector<std::string> not_judged() const {
    std::vector<std::string> list;
    const auto json = verdict();
    for (const auto& one : json.at("not_judged"))
      list.push_back(one.at("name").get<std::string>() + ": " + one.at("why").get<std::string>());
    return list;
  }
  // "began reference", "ended reference", …: needs FAKE_JOURNAL.
  std::string journal() const { return read_text_file(journal_path(), 1 << 20); }
  std::string journal_path() const { return folder_ / "journal"; }

  TemporaryDirectory folder_;
};

// Another engine's command, started as it is, with the flags of the run.
TEST_F(StudyProgram, AnEngineWritesARecord) {
  const std::string engine =
      "[[candidate]]\nname = 'other'\nengine = '" SHARDRIFT_BINARY_DIR "/tests/fake_worker run'\n";
  write(kStudy + engine);
  const auto first = run();
  EXPECT_EQ(first.code, 0) << first.output;
  EXPECT_THAT(first.output, AllOf(HasSubstr("other: started (fake_worker run)"), HasSubstr("other: done")));
  EXPECT_THAT(log_of("other"), AllOf(HasSubstr("/tests/fake_worker run --device cpu"),
                                     HasSubstr("--max-new-tokens 3"), Not(HasSubstr("env RANKS"))));
  EXPECT_THAT(run().output, HasSubstr("other: done already"));
  write(kStudy + engine + "max-new-tokens = 4\n");
  EXPECT_THAT(run().output, HasSubstr("max-new-tokens 3 -> 4"));
  write(kStudy + std::string("[[candidate]]\nname = 'other'\nengine = 'false'\n"));
  const auto failed = run({"--rerun-changed"});
  EXPECT_EQ(failed.code, 70) << failed.output;
  EXPECT_THAT(failed.output, HasSubstr("other: failed"));
}

// Else it would be done now, and not done at the next command.
TEST_F(StudyProgram, AnEngineThatEndsWellWithoutARecordFailed) {
  const std::string name = "[[candidate]]\nname = 'other'\n";
  const auto failing = [&](const std::string& engine, const std::vector<std::string>& more = {}) {
    write(kStudy + name + "engine = " + engine + "\n");
    const auto finished = run(more);
    EXPECT_EQ(finished.code, 70) << finished.output;
    EXPECT_EQ(status().find("other")->state, RunState::failed);
    return status().find("other")->reason;
  };
  const auto other = (output() / "other.h5").string();
  EXPECT_EQ(failing("'true'"), "exit code 0, but it wrote no record: " + other + " is not there");
  EXPECT_EQ(run({"--no-run"}).code, 2);  // the others are compared
  folder_.write("engine.sh", "while [ \"$1\" != --output ]; do shift; done\necho text >\"$2\"\n");
  EXPECT_THAT(failing("'sh ./engine.sh'", {"--rerun-changed"}),
              AllOf(StartsWith("exit code 0, but it wrote no record: " + other), HasSubstr("HDF5")));
  fs::remove(other);
  write(kStudy + name + "engine = '" SHARDRIFT_BINARY_DIR "/tests/fake_worker run'\n");
  const auto whole = run({"--rerun-changed"});
  EXPECT_EQ(whole.code, 0) << whole.output;
  EXPECT_EQ(failing("'true'", {"--rerun-changed"}),
            "exit code 0, but it wrote no record: " + other +
                " is still the older record, which it was to replace");
}

// Before any run spends time: a program that is not there, and what a command says to --check.
TEST_F(StudyProgram, AnEngineThatCannotRunIsFoundFirst) {
  const auto script = folder_.write("engine.sh",
                                    "for word; do\n  case $word in\n"
                                    "    --batch) echo 'engine: error: unknown --batch' >&2; exit 2 ;;\n"
                                    "    --check) echo checked >>\"$0.log\"; exit 0 ;;\n  esac\ndone\n"
                                    "exec " SHARDRIFT_BINARY_DIR "/tests/fake_worker run \"$@\"\n");
  const std::string engine = "[[candidate]]\nname = 'other'\nrepeats = 1\nengine = 'sh ./engine.sh'\n";
  write(kStudy + engine + "check = true\n");
  const auto dry = run({"--dry-run"});
  EXPECT_EQ(dry.code, 0) << dry.output;
  EXPECT_THAT(dry.output, AllOf(HasSubstr("other engines' commands, with the run's flags"),
                                HasSubstr("engine.sh --device cpu --max-new-tokens 3"),
                                HasSubstr("--output other.h5"), Not(HasSubstr("--output other-again.h5"))));
  EXPECT_EQ(read_text_file(script.string() + ".log", 1 << 20), "checked\n");  // once for the two runs
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--set", "batch=3", "--dry-run"}, {"--set", "batch=3"}}) {
    const auto refused = run(more);
    EXPECT_EQ(refused.code, 65) << refused.output;
    EXPECT_THAT(refused.output,
                HasSubstr("other: the engine's command cannot run: exit code 2: unknown --batch"));
    EXPECT_THAT(refused.output, HasSubstr("nothing was started"));
  }
  EXPECT_FALSE(fs::exists(output()));
  EXPECT_EQ(run({"--set", "batch=3", "--only", "reference"}).code, 0);  // it is not asked for
  write(kStudy + std::string("[[candidate]]\nname = 'absent'\nengine = 'no-such-program'\n"));
  const auto missing = run({"--dry-run"});
  EXPECT_EQ(missing.code, 65);
  EXPECT_THAT(missing.output,
              HasSubstr("study.toml:15: absent: the engine's command cannot run: there is no program "
                        "no-such-program here"));
}

TEST_F(StudyProgram, RunsEverythingOnceAndConcludes) {
  const auto first = run();
  EXPECT_EQ(first.code, 0) << first.output;
  for (const auto* text : {"tp2: done", "tp3: done", "pp2: done", "reference-again",
                           "compared with reference", "verdict:", "one against two?"})
    EXPECT_THAT(first.output, HasSubstr(text));
  EXPECT_TRUE(fs::exists(output() / "verdict-reference.json"));
  EXPECT_TRUE(fs::exists(output() / "compare-reference.json"));
  EXPECT_EQ(read_text_file(output() / "study.toml", 1 << 20), kStudy);
  EXPECT_EQ(status().state, "done");

  const auto second = run();
  EXPECT_EQ(second.code, 0) << second.output;
  EXPECT_THAT(second.output, AllOf(HasSubstr("tp2: done already"), Not(HasSubstr("started"))));
  EXPECT_EQ(status().find("tp2")->attempts, 1);
  EXPECT_EQ(runs_of("tp2", "p0"), 1);
}

TEST_F(StudyProgram, OfSeveralStudiesOneIsToBeNamed) {
  for (const auto* name : {"a", "b"}) {
    fs::create_directories(output() / name);
    std::ofstream(output() / name / "status.json") << "{}";
  }
  const auto several = run_program(
      {"env", "-C", output().parent_path().string(), SHARDRIFT_BINARY_DIR "/bin/shardrift", "status"});
  EXPECT_EQ(several.code, 64);
  EXPECT_THAT(several.output, HasSubstr("status: out/ has 2 studies, a for one: shardrift status out/a"));
}

TEST_F(StudyProgram, ALostStatusFileRepeatsNothing) {
  ASSERT_EQ(run().code, 0);
  fs::remove(status_path(output()));
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(runs_of("tp2", "p0"), 1);  // the worker found its record complete
}

TEST_F(StudyProgram, AStrangersRecordIsNotTakenForOurs) {
  ASSERT_EQ(run({"--only", "reference"}).code, 0);
  fs::remove(status_path(output()));
  fs::rename(output() / "reference.h5", output() / "tp2.h5");
  const auto refused = run();
  EXPECT_EQ(refused.code, 64) << refused.output;
  EXPECT_THAT(refused.output, HasSubstr("tp2: a record of another plan lies there"));
  EXPECT_EQ(run({"--rerun-changed"}).code, 0);
  EXPECT_EQ(status().find("tp2")->state, RunState::done);
}

TEST_F(StudyProgram, ADryRunStartsNothing) {
  const auto shown = run({"--dry-run"});
  EXPECT_EQ(shown.code, 0) << shown.output;
  EXPECT_THAT(shown.output, AllOf(HasSubstr("TP=3, linear, float32, cpu"), HasSubstr("to do")));
  EXPECT_FALSE(fs::exists(output()));
}

TEST_F(StudyProgram, OneFailureDoesNotStopTheOthers) {
  write(std::string(kStudy) + "[[yardstick]]\nname = 'follower'\nfollow = 'tp2'\n");
  const auto finished = run({}, {{"FAKE_EXIT", "tp2:70:rank 1 on node7: no space left on device"}});
  EXPECT_EQ(finished.code, 70) << finished.output;
  EXPECT_THAT(finished.output,
              AllOf(HasSubstr("tp2: failed: rank 1 on node7: no space left on device"),
                    HasSubstr("follower: skipped: follows tp2, which failed"), HasSubstr("tp3: done"),
                    HasSubstr("compared with reference"), HasSubstr("left out: tp2")));
  EXPECT_EQ(status().state, "failed");
  // The next run does only what is missing.
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(runs_of("tp2", "p0"), 1);
  EXPECT_EQ(runs_of("tp2", "p1"), 1);
  EXPECT_EQ(runs_of("tp3", "p0"), 1);
  EXPECT_EQ(status().find("tp2")->attempts, 2);
  EXPECT_EQ(status().find("follower")->state, RunState::done);
}

TEST_F(StudyProgram, SaysInWordsWhatHappened) {
  for (const auto& [environment, words] :
       std::vector<std::pair<std::pair<std::string, std::string>, std::string>>{
           {{"FAKE_EXIT", "tp2:64:--shards 3 is not possible"}, "refused: --shards 3 is not possible"},
           {{"FAKE_EXIT", "tp2:65:model.safetensors: cut off"}, "bad data: model.safetensors: cut off"},
           {{"FAKE_EXIT", "tp2:3:odd"}, "exit code 3: odd"},
           {{"FAKE_SIGNAL", "tp2:9"}, "killed by signal 9 (Killed); memory ran out, or someone killed it"},
           {{"FAKE_SIGNAL", "tp2:11"}, "killed by signal 11 (Segmentation fault)"}}) {
    fs::remove_all(output());
    const auto finished = run({"--only", "tp2"}, {environment});
    EXPECT_EQ(finished.code, 70) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr("tp2: failed: " + words));
    EXPECT_THAT(status().find("tp2")->reason, HasSubstr(words));
  }
}

TEST_F(StudyProgram, AWorkerThatCannotStartIsOneFailureEach) {
  auto words = command({"--launcher", "no-such-launcher {ranks}"});
  const auto finished = run_program(words);
  EXPECT_EQ(finished.code, 64) << finished.output;  // --launcher twice
  std::replace(words.begin(), words.end(), std::string("env RANKS={ranks}"),
               std::string("no-such-launcher {ranks}"));
  words.resize(words.size() - 2);
  const auto failed = run_program(words);
  EXPECT_EQ(failed.code, 70) << failed.output;
  EXPECT_THAT(failed.output, HasSubstr("no-such-launcher cannot be started: No such file or directory"));
  EXPECT_EQ(status().find("tp3")->state, RunState::failed);
}

TEST_F(StudyProgram, AKilledStudyGoesOnWhereItStopped) {
  Running study(holding("tp2:1", command()));
  ASSERT_TRUE(run_of("tp2").is_reached(study));
  kill(study.pid(), SIGKILL);
  study.wait();
  EXPECT_EQ(status().find("tp2")->state, RunState::running);  // so it stands in the file
  // The worker it left was told to end and is waited for.
  const auto finished = run();
  EXPECT_EQ(finished.code, 0) << finished.output;
  EXPECT_EQ(status().state, "done");
  for (const auto* prompt : {"p0", "p1", "p2"}) EXPECT_EQ(runs_of("tp2", prompt), 1) << prompt;
  EXPECT_EQ(runs_of("reference", "p0"), 1);
}

TEST_F(StudyProgram, ASignalIsPassedOnAndTheRerunGoesOn) {
  for (const int number : {SIGINT, SIGTERM}) {
    fs::remove_all(output());
    Running study(holding("tp2:1", command()));
    ASSERT_TRUE(run_of("tp2").is_reached(study));
    kill(study.pid(), number);
    const auto stopped = study.wait();
    EXPECT_EQ(stopped.code, 75) << stopped.output;
    EXPECT_THAT(stopped.output,
                AllOf(HasSubstr("stopping"), HasSubstr("the same command goes on from here")));
    EXPECT_EQ(status().state, "interrupted");
    EXPECT_EQ(status().find("tp2")->state, RunState::interrupted);
    EXPECT_EQ(status().find("tp3")->state, RunState::waiting);
    EXPECT_EQ(run().code, 0);
    EXPECT_EQ(runs_of("tp2", "p0"), 1);
  }
}

TEST_F(StudyProgram, InterruptedItConcludesWithWhatThereIs) {
  Running study(holding("tp3:1", command()));
  ASSERT_TRUE(run_of("tp3").is_reached(study));
  kill(study.pid(), SIGINT);
  const auto stopped = study.wait();
  EXPECT_EQ(stopped.code, 75) << stopped.output;
  EXPECT_THAT(stopped.output, AllOf(HasSubstr("compared with reference"), HasSubstr("verdict: inconclusive"),
                                    HasSubstr("the same command goes on from here")));
  EXPECT_THAT(not_judged(), ElementsAre("tp3: interrupted (1 of 3 prompts recorded)", "pp2: not run yet"));
  EXPECT_EQ(verdict().at("not_judged")[0].at("plan"), "TP=3, linear, float32, cpu");
  EXPECT_EQ(verdict().at("candidates").size(), 1U);
  EXPECT_TRUE(fs::exists(output() / "report-reference.html"));
  EXPECT_EQ(run().code, 0);
  EXPECT_THAT(not_judged(), ElementsAre());
  EXPECT_EQ(verdict().at("candidates").size(), 3U);
}

TEST_F(StudyProgram, InterruptedBeforeTheReferenceThereIsNoAnswer) {
  Running study(holding("reference:2", command()));
  ASSERT_TRUE(run_of("reference").is_reached(study));
  kill(study.pid(), SIGTERM);
  const auto stopped = study.wait();
  EXPECT_EQ(stopped.code, 75) << stopped.output;
  EXPECT_THAT(stopped.output, HasSubstr("no answer yet: reference: interrupted (2 of 3 prompts recorded)"));
  EXPECT_FALSE(fs::exists(output() / "verdict-reference.json"));
}

// What an earlier command left is not asked for by --only, and does not make the next one interrupted.
TEST_F(StudyProgram, OnlyWhatIsChosenHasToBeDone) {
  Running study(holding("reference-again:1", command()));
  ASSERT_TRUE(run_of("reference-again").is_reached(study));
  kill(study.pid(), SIGINT);
  EXPECT_EQ(study.wait().code, 75);
  const auto only = run({"--only", "tp2"});
  EXPECT_EQ(only.code, 0) << only.output;
  EXPECT_THAT(only.output, Not(HasSubstr("the same command goes on")));
  EXPECT_EQ(status().find("reference-again")->state, RunState::interrupted);
  EXPECT_EQ(verdict().at("candidates").size(), 1U);
  EXPECT_THAT(not_judged(), ElementsAre("reference-again: noise floor, interrupted (1 of 3 prompts recorded)",
                                        "tp3: left out by --only", "pp2: left out by --only"));
  EXPECT_THAT(only.output, AllOf(HasSubstr("reference-again"), Not(HasSubstr("(--noise-floor)"))));
  EXPECT_THAT(read_text_file(output() / "report-reference.html", 1 << 24),
              HasSubstr("noise floor, interrupted (1 of 3 prompts recorded)"));
  // A failure that --only leaves out is not this command's either.
  EXPECT_EQ(run({"--only", "tp3"}, {{"FAKE_EXIT", "tp3:70:no space left on device"}}).code, 70);
  EXPECT_EQ(run({"--only", "tp2"}).code, 0);
  EXPECT_EQ(run().code, 0);
  EXPECT_THAT(not_judged(), ElementsAre());
}

TEST_F(StudyProgram, AYardstickThatFailedIsNamed) {
  write(std::string(kStudy) + "[[yardstick]]\nname = 'half'\npipeline = 3\n");
  EXPECT_EQ(run({}, {{"FAKE_EXIT", "half:70:no space left on device"}}).code, 70);
  EXPECT_THAT(not_judged(), ElementsAre("half: yardstick, failed: no space left on device (1 of 3 prompts "
                                        "recorded)"));
  EXPECT_EQ(verdict().at("state"), "inconclusive");
}

// timeout(1) signals the program and then its group.
TEST_F(StudyProgram, TwoSignalsAtOnceAreOneWish) {
  Running study(holding("tp3:1", command()));
  ASSERT_TRUE(run_of("tp3").is_reached(study));
  kill(study.pid(), SIGSTOP);  // both arrive before it looks
  kill(study.pid(), SIGINT);
  kill(study.pid(), SIGTERM);
  kill(study.pid(), SIGCONT);
  const auto stopped = study.wait();
  EXPECT_EQ(stopped.code, 75) << stopped.output;
  EXPECT_THAT(stopped.output, HasSubstr("compared with reference"));
  EXPECT_EQ(not_judged().size(), 2U);
}

TEST_F(StudyProgram, ToldTwiceItEndsWithoutAnAnswer) {
  Running study(holding("tp3:1", command()));
  const auto held = run_of("tp3");
  ASSERT_TRUE(held.is_reached(study));
  const int worker = held.pid();
  kill(worker, SIGSTOP);  // does not see that it shall end
  kill(study.pid(), SIGINT);
  ASSERT_TRUE(::shardrift::testing::wait_for("it to stop", [&] { return status().state == "stopping"; }));
  kill(study.pid(), SIGTERM);
  kill(worker, SIGCONT);
  const auto stopped = study.wait();
  EXPECT_EQ(stopped.code, 75) << stopped.output;
  EXPECT_THAT(stopped.output, Not(HasSubstr("compared with reference")));
  EXPECT_FALSE(fs::exists(output() / "verdict-reference.json"));
  EXPECT_EQ(run().code, 0);
}

TEST_F(StudyProgram, WhatWasAskedForAndNotJudgedIsInTheVerdict) {
  // Left out by the user: what was chosen is done.
  EXPECT_EQ(run({"--only", "reference,tp2"}).code, 0);
  EXPECT_THAT(not_judged(), ElementsAre("tp3: left out by --only", "pp2: left out by --only"));
  EXPECT_EQ(verdict().at("state"), "inconclusive");

  // Failed.
  EXPECT_EQ(run({}, {{"FAKE_EXIT", "tp3:70:no space left on device"}}).code, 70);
  EXPECT_THAT(not_judged(), ElementsAre("tp3: failed: no space left on device (1 of 3 prompts "
                                        "recorded)"));

  // Not possible on this machine.
  write(std::string(kStudy) + "[[candidate]]\nname = 'tp6'\ntensor-parallel = 6\n");
  const auto impossible = run();
  EXPECT_EQ(impossible.code, 2) << impossible.output;
  ASSERT_EQ(not_judged().size(), 1U);
  EXPECT_THAT(not_judged()[0], HasSubstr("tp6: not possible here: "));
  EXPECT_EQ(verdict().at("not_judged")[0].at("plan"), "TP=6, native, float32, cpu");
  EXPECT_EQ(verdict().at("state"), "inconclusive");

  // A record that was damaged after it was finished.
  write(kStudy);
  std::vector<std::byte> words;
  record::Reader::open(output() / "tp2.h5").read_logits("p1", 0, 1, words);
  auto bytes = read_text_file(output() / "tp2.h5", 1 << 26);
  const auto at = bytes.find(std::string(reinterpret_cast<const char*>(words.data()), words.size()));
  ASSERT_NE(at, std::string::npos);
  bytes[at] ^= 1;
  std::ofstream(output() / "tp2.h5", std::ios::binary) << bytes;
  const auto damaged = run();
  EXPECT_EQ(damaged.code, 2) << damaged.output;
  EXPECT_THAT(damaged.output, HasSubstr("not compared: tp2: "));
  ASSERT_EQ(not_judged().size(), 1U);
  EXPECT_THAT(not_judged()[0], AllOf(HasSubstr("tp2: "), HasSubstr("tp2.h5: ")));
  EXPECT_EQ(verdict().at("candidates").size(), 2U);
}

TEST_F(StudyProgram, TwoStudiesDoNotShareAFolder) {
  Running study(holding("reference:1", command()));
  ASSERT_TRUE(run_of("reference").is_reached(study));
  const auto refused = run();
  EXPECT_EQ(refused.code, 64) << refused.output;
  EXPECT_THAT(refused.output, HasSubstr("another study (process"));
  run_of("reference").let_go();
  EXPECT_EQ(study.wait().code, 0);
}

TEST_F(StudyProgram, AChangedStudyIsNoticed) {
  ASSERT_EQ(run().code, 0);
  const auto refused = run({"--set", "max-new-tokens=4"});
  EXPECT_EQ(refused.code, 64) << refused.output;
  EXPECT_THAT(refused.output, AllOf(HasSubstr("tp2: max-new-tokens 3 -> 4"), HasSubstr("--rerun-changed")));
  // What is not chosen does not matter.
  EXPECT_EQ(run({"--only", "tp2"}).code, 0);
  // A longer prompts file changes every run, another candidate none.
  testing_studies::make_prompts(folder_ / "prompts.jsonl", 4);
  EXPECT_THAT(
      run().output,
      HasSubstr("the model's files, the prompts, the collective profile or the followed record changed"));
  testing_studies::make_prompts(folder_ / "prompts.jsonl", 3);
  write(std::string(kStudy) + "[[candidate]]\nreplicas = 2\n");
  const auto added = run();
  EXPECT_EQ(added.code, 0) << added.output;
  EXPECT_THAT(added.output, AllOf(HasSubstr("tp2: done already"), HasSubstr("dp2: done in")));
  // Made again on request: the records are the new ones.
  const auto again = run({"--set", "max-new-tokens=4", "--rerun-changed"});
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_EQ(record::Reader::open(output() / "tp2.h5").prompt("p0").rows.size(), 4U);
  EXPECT_EQ(run({"--set", "max-new-tokens=4"}).code, 0);
}

TEST_F(StudyProgram, OnlyRunsWhatIsNamedAndWhatThatFollows) {
  write(std::string(kStudy) + "[[yardstick]]\nname = 'follower'\nfollow = 'tp2'\n");
  EXPECT_EQ(run({"--only", "follower"}).code, 0);
  EXPECT_EQ(status().find("follower")->state, RunState::done);
  EXPECT_EQ(status().find("tp2")->state, RunState::done);
  EXPECT_EQ(status().find("tp3")->state, RunState::waiting);
  const auto refused = run({"--only", "tp9"});
  EXPECT_EQ(refused.code, 64);
  EXPECT_THAT(refused.output, HasSubstr("--only tp9: there is no such run here; there are reference"));
}

TEST_F(StudyProgram, SingleDevicesRunSideBySide) {
  Running study(holding("reference:1,reference-again:1", command({"--jobs", "2"})));
  for (const auto* name : {"reference", "reference-again"}) ASSERT_TRUE(run_of(name).is_reached(study));
  for (const auto* name : {"reference", "reference-again"}) run_of(name).let_go();
  const auto finished = study.wait();
  EXPECT_EQ(finished.code, 0) << finished.output;
  // The control: one at a time, one after the other.
  fs::remove_all(output());
  ASSERT_EQ(
      run({"--only", "reference,reference-again", "--jobs", "1"}, {{"FAKE_JOURNAL", journal_path()}}).code,
      0);
  EXPECT_EQ(journal(), "began reference\nended reference\nbegan reference-again\nended reference-again\n");
}

// Four GPUs that are a script called nvidia-smi.
class StudyOnGpus : public StudyProgram {
 protected:
  void SetUp() override {
    StudyProgram::SetUp();
    write(
        "[run]\nmodel = 'model'\nprompts = 'prompts.jsonl'\n[reference]\nrepeats = 1\n"
        "[[candidate]]\nname = 'third'\ngpu = 2\n[[candidate]]\ntensor-parallel = 2\n");
    const auto script = folder_.write("nvidia-smi", R"(#!/bin/sh
for i in 0 1 2 3; do echo "$i, NVIDIA ${GPU:-H100}, 81559, GPU-a$i"; done
)");
    fs::permissions(script, fs::perms::owner_all);
  }
  std::vector<std::string> command_on_gpus(const std::vector<std::string>& more,
                                           std::map<std::string, std::string> environment = {}) {
    environment["PATH"] = output().parent_path().string() + ":" + std::getenv("PATH");
    environment.emplace("FAKE_CUDA", "1");
    auto words = command(more, environment);
    const auto device = std::find(words.begin(), words.end(), "--device");
    words.erase(device, device + 4);  // --device cpu --devices 4
    return words;
  }
  Finished on_gpus(const std::vector<std::string>& more,
                   const std::map<std::string, std::string>& environment = {}) {
    return run_program(command_on_gpus(more, environment));
  }
  std::string devices_of(const std::string& name) const {
    const auto log = log_of(name);
    const std::string variable = "CUDA_VISIBLE_DEVICES=";
    const auto at = log.find(variable);
    return at == std::string::npos
               ? ""
               : log.substr(at + variable.size(), log.find(' ', at) - at - variable.size());
  }
};

TEST_F(StudyOnGpus, EachRunHasItsOwn) {
  // Three of one GPU each stand there together; the fourth, of two ranks, waits until it is alone.
  const std::vector<std::string> names{"reference", "reference-again", "third"};
  Running study(holding("reference:1,reference-again:1,third:1", command_on_gpus({"--jobs", "4"})));
  for (const auto& name : names) ASSERT_TRUE(run_of(name).is_reached(study));
  for (const auto& name : names) run_of(name).let_go();
  const auto finished = study.wait();
  EXPECT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(finished.output,
              AllOf(HasSubstr("machine: 4 x NVIDIA H100"), HasSubstr("TP=2, native, float32, cuda")));
  EXPECT_EQ(devices_of("reference"), "0");
  EXPECT_EQ(devices_of("reference-again"), "1");
  EXPECT_EQ(devices_of("third"), "2");
  EXPECT_EQ(devices_of("tp2"), "0,1");
}

TEST_F(StudyOnGpus, TheUsersOwnChoiceOfDevicesHolds) {
  const auto finished =
      on_gpus({"--only", "reference,third", "--jobs", "2"}, {{"CUDA_VISIBLE_DEVICES", "3,GPU-a1"}});
  EXPECT_EQ(finished.code, 64) << finished.output;  // third asks for GPU 2 of two
  EXPECT_THAT(finished.output, HasSubstr("--only third: not possible here: asks for GPU 2, here are 2"));
  EXPECT_EQ(on_gpus({"--only", "reference,tp2"}, {{"CUDA_VISIBLE_DEVICES", "3,GPU-a1"}}).code, 0);
  EXPECT_EQ(devices_of("reference"), "3");
  EXPECT_EQ(devices_of("tp2"), "3,GPU-a1");
}

TEST_F(StudyOnGpus, TheListIsReadAsCudaReadsIt) {
  const auto machine = [&](const std::string& visible) {
    const auto text =
        on_gpus({"--dry-run", "--only", "reference"}, {{"CUDA_VISIBLE_DEVICES", visible}}).output;
    const auto at = text.find("machine: ");
    return at == std::string::npos ? text : text.substr(at, text.find(';', at) - at);
  };
  EXPECT_EQ(machine("0,-1,1"), "machine: 1 x NVIDIA H100");
  EXPECT_THAT(machine("0,0"), HasSubstr("no GPU: CUDA_VISIBLE_DEVICES=0,0 lists one twice"));
  EXPECT_THAT(machine("MIG-377e0049"),
              HasSubstr("no GPU found that CUDA_VISIBLE_DEVICES=MIG-377e0049 means"));
}

// The fake worker does not tell CUDA's order; the order of the buses would be a guess.
TEST_F(StudyOnGpus, MixedCardsAreNotNumberedByGuess) {
  fs::permissions(folder_.write("nvidia-smi", R"(#!/bin/sh
echo "0, NVIDIA T4, 15360, GPU-t4"; echo "1, NVIDIA A100, 81920, GPU-a100")"),
                  fs::perms::owner_all);
  const auto refused = on_gpus({"--dry-run"});
  EXPECT_EQ(refused.code, 64);
  EXPECT_THAT(refused.output, HasSubstr("CUDA_DEVICE_ORDER=PCI_BUS_ID"));
  EXPECT_THAT(
      on_gpus({"--dry-run", "--devices", "1", "--only", "reference"}, {{"CUDA_DEVICE_ORDER", "PCI_BUS_ID"}})
          .output,
      HasSubstr("machine: 1 x NVIDIA T4"));
  EXPECT_THAT(on_gpus({"--dry-run", "--only", "reference"}, {{"CUDA_VISIBLE_DEVICES", "GPU-a100"}}).output,
              HasSubstr("machine: 1 x NVIDIA A100"));
}

TEST_F(StudyOnGpus, WhatCannotBeUsedIsSaid) {
  EXPECT_THAT(on_gpus({"--dry-run"}, {{"FAKE_CUDA", ""}}).output, HasSubstr("was built without CUDA"));
  const auto none = on_gpus({"--dry-run", "--device", "cuda"}, {{"CUDA_VISIBLE_DEVICES", ""}});
  EXPECT_EQ(none.code, 64);
  EXPECT_THAT(none.output, HasSubstr("--device cuda: no GPU found"));
  const auto many = on_gpus({"--dry-run", "--devices", "5"});
  EXPECT_EQ(many.code, 64);
  EXPECT_THAT(many.output, HasSubstr("--devices 5: here are 4 GPUs"));
  EXPECT_EQ(on_gpus({"--dry-run", "--jobs", "5"}).code, 64);
}

TEST_F(StudyProgram, ADamagedStatusBesideWholeRecordsIsNamedWithTheWayOn) {
  ASSERT_EQ(run({"--only", "reference,tp2"}).code, 0);
  fs::resize_file(status_path(output()), fs::file_size(status_path(output())) / 2);
  const auto refused = run();
  EXPECT_EQ(refused.code, 65);
  EXPECT_THAT(refused.output,
              AllOf(HasSubstr("status.json"), HasSubstr("move it away and give the command again")));
  fs::remove(status_path(output()));
  EXPECT_EQ(run({"--only", "reference,tp2"}).code, 0);
  EXPECT_EQ(runs_of("tp2", "p0"), 1) << "its record was whole";
}

TEST_F(StudyProgram, StatusTellsOfAStudyOnThisMachine) {
  const auto told = [&] {
    return run_program({SHARDRIFT_BINARY_DIR "/bin/shardrift", "status", output().string()});
  };
  EXPECT_EQ(told().code, 64);
  EXPECT_THAT(told().output, HasSubstr("no study was run or submitted from here"));
  ASSERT_EQ(run({"--only", "reference,tp2"}).code, 0);
  auto some = told();
  EXPECT_EQ(some.code, 70) << some.output;
  EXPECT_THAT(some.output,
              AllOf(HasSubstr("study: 5 runs, 3 waiting, 2 done"), HasSubstr("the same command")));
  ASSERT_EQ(run().code, 0);
  EXPECT_EQ(told().code, 0) << told().output;
  EXPECT_THAT(told().output, HasSubstr("5 runs, 5 done"));
}

TEST_F(StudyProgram, StatusKnowsWhetherTheStudyRuns) {
  const auto told = [&] {
    return run_program({SHARDRIFT_BINARY_DIR "/bin/shardrift", "status", output().string()});
  };
  Running study(holding("tp2:1", command({"--only", "tp2"})));
  const auto held = run_of("tp2");
  ASSERT_TRUE(held.is_reached(study));
  const auto running = told();
  EXPECT_EQ(running.code, 75) << running.output;
  EXPECT_THAT(running.output, AllOf(HasSubstr(" running "), HasSubstr("1 of 3 prompts recorded"),
                                    HasSubstr(fmt::format("(process {})", study.pid()))));
  held.let_go();
  study.wait();
}

TEST_F(StudyProgram, WithoutRunningWhatIsThereIsCompared) {
  ASSERT_EQ(run({"--only", "reference,tp2"}).code, 0);
  fs::remove(status_path(output()));
  const auto finished = run({"--no-run"});
  EXPECT_THAT(finished.output, AllOf(HasSubstr("compared with reference"), Not(HasSubstr("started")),
                                     HasSubstr("left out: tp3: waiting")));
}

TEST_F(StudyProgram, AFailedPredictionIsSaidLoudly) {
  write(std::string(kStudy) +
        "[[candidate]]\nname = 'check'\ntensor-parallel = 2\nreduction = 'linear'\n"
        "predict = true\ncompare-with = 'tp2'\n");
  EXPECT_THAT(run().output,
              HasSubstr("prediction checked: check gave every bit of the live tp2, in all 3 prompts"));
  fs::remove_all(output());
  EXPECT_THAT(run({}, {{"FAKE_OFF", "check"}}).output,
              HasSubstr("PREDICTION FAILED: check has other bits than the live tp2 in 3 of 3 prompts"));
}

TEST_F(StudyProgram, AnotherStudysFolderIsRefused) {
  ASSERT_EQ(run({"--only", "reference"}).code, 0);
  write("name = 'other'\n" + std::string(kStudy));
  const auto refused = run();
  EXPECT_EQ(refused.code, 64);
  EXPECT_THAT(refused.output, HasSubstr("holds the study 'study', not 'other'"));
}

TEST_F(StudyProgram, ImpossibleEntriesAreRefusedTogetherBeforeAnythingStarts) {
  write(R"([run]
model = "model"
prompts = "prompts.jsonl"
[[candidate]]
matrix = { shards = [2, 3], tensor-parallel = [2] }
[[candidate]]
pipeline = 7
[[candidate]]
no-such-flag = 3
)");
  const auto refused = run();
  EXPECT_EQ(refused.code, 65) << refused.output;
  EXPECT_THAT(refused.output,
              AllOf(HasSubstr("study.toml:5: s3-tp2: --shards 3 is not a multiple of --tensor-parallel 2"),
                    HasSubstr("study.toml:7: pp7: --pipeline 7: the model has 6 layers"),
                    HasSubstr("study.toml:9: no-such-flag-3: unrecognised option '--no-such-flag'"),
                    HasSubstr("3 entries cannot be; nothing was started")));
  EXPECT_FALSE(fs::exists(output()));
}

TEST_F(StudyProgram, BadCommandLinesAreUsageErrors) {
  const std::string study = (folder_ / "study.toml").string();
  for (const auto& [words, message] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{}, "needs a file"},
           {{study, "--jobs", "0"}, "--jobs 0"},
           {{study, "--device", "tpu"}, "--device tpu"},
           {{study, "--worker", "/nowhere"}, "--worker /nowhere: no such program"},
           {{study, "--set", "x"}, "--set x"},
           {{study, "--worker", "/bin/true", "--launcher", "srun"}, "{ranks}"},
           {{study, "--nonsense"}, "--nonsense"}}) {
    std::vector<std::string> all{SHARDRIFT_BINARY_DIR "/bin/shardrift", "study"};
    all.insert(all.end(), words.begin(), words.end());
    const auto refused = run_program(all);
    EXPECT_EQ(refused.code, 64) << refused.output;
    EXPECT_THAT(refused.output, HasSubstr(message));
  }
  const auto missing = run_program({SHARDRIFT_BINARY_DIR "/bin/shardrift", "study", "/nowhere.toml"});
  EXPECT_EQ(missing.code, 65);
  EXPECT_THAT(missing.output, HasSubstr("/nowhere.toml: no such file"));
}

}  // namespace
}  // namespace shardrift::runner
