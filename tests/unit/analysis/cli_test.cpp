// The program itself: exit codes, one line of error, output that cannot be written.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/unit/analysis/example_runs.hpp"

namespace shardrift::analysis {
namespace {

using record::testing::contents;
using record::testing::write_record;
using ::testing::EndsWith;
using testing::greedy_prompt;
using ::testing::HasSubstr;
using testing::small_run;
using ::testing::StartsWith;

class Program : public ::testing::Test {
 protected:
  void SetUp() override {
    const testing::Rows rows{{0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}};
    testing::Rows other = rows;
    other[1][3] = 2;
    write_record(scratch_ / "a.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, rows)});
    write_record(scratch_ / "b.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, other)});
  }
  // In the scratch directory; out_ and error_ are what it printed.
  int run(const std::string& arguments, const std::string& output = "out") {
    const std::string command =
        fmt::format("cd {} && {}/bin/shardrift {} >{} 2>err", scratch_.path().string(), SHARDRIFT_BINARY_DIR,
                    arguments, output);
    const int status = std::system(command.c_str());
    out_ = contents(scratch_ / "out");
    error_ = contents(scratch_ / "err");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  record::testing::Scratch scratch_;
  std::string out_;
  std::string error_;
};

TEST_F(Program, ExitCodes) {
  EXPECT_EQ(run("compare a.h5 a.h5"), 0);
  EXPECT_THAT(out_, EndsWith("verdict: bit-equal in 1 of 1 prompt\n"));
  EXPECT_EQ(run("compare a.h5 b.h5 a.h5 --json c.json"), 1);
  EXPECT_THAT(out_, HasSubstr("<-- here"));
  EXPECT_EQ(nlohmann::json::parse(contents(scratch_ / "c.json")).at("candidates").size(), 2U);
  EXPECT_EQ(run("compare a.h5 a.h5 --prompt p0 --steps 1"), 0);
  EXPECT_THAT(out_, HasSubstr("tokens of prompt p0"));
  EXPECT_EQ(run("inspect a.h5"), 0);
  EXPECT_THAT(out_, HasSubstr("LlamaForCausalLM"));
  for (const char* usage :
       {"", "nonsense", "compare a.h5", "compare a.h5 b.h5 --nonsense", "compare a.h5 b.h5 --steps 0",
        "compare a.h5 b.h5 --prompt none", "inspect", "inspect a.h5 b.h5"}) {
    EXPECT_EQ(run(usage), 64) << usage;
    EXPECT_THAT(error_, StartsWith("shardrift: "));
    EXPECT_EQ(std::count(error_.begin(), error_.end(), '\n'), 1) << error_;
  }
  EXPECT_EQ(run("compare a.h5 none.h5"), 65);
  EXPECT_THAT(error_, HasSubstr("none.h5: no such file"));
  EXPECT_EQ(run("compare a.h5 b.h5 --json no/c.json"), 70);
  EXPECT_EQ(run("compare a.h5 a.h5", "/dev/full"), 70);
  EXPECT_EQ(run("--version"), 0);
}

// What the candidate's own repeats move is said beside what it moves.
TEST_F(Program, CompareSaysHowFarRepeatsAre) {
  testing::Rows again{{0, 1, 0, 0, 0}, {0, 0, 1, 2, 0}};
  again[0][4] = 0.5;
  write_record(scratch_ / "again.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, again)});
  EXPECT_EQ(run("compare a.h5 b.h5 --repeat again.h5 --repeat b.h5 --json c.json"), 1) << error_;
  EXPECT_THAT(out_, HasSubstr("run-to-run: 2 repeats, the bits of 1 of 4 rows (25%) move, 0 other choices"));
  const auto json = nlohmann::json::parse(contents(scratch_ / "c.json")).at("candidates")[0].at("run_to_run");
  EXPECT_EQ(json.at("repeats"), nlohmann::json({"again", "b"}));
  EXPECT_GT(json.at("kl_floor").get<double>(), 0);
  EXPECT_GE(json.at("kl_above").get<double>(), 0);
  EXPECT_EQ(run("compare a.h5 b.h5 --repeat b.h5"), 1);
  EXPECT_THAT(out_, HasSubstr("run-to-run: 1 repeat, no bit of 2 rows moves"));
  EXPECT_EQ(run("compare a.h5 b.h5 a.h5 --repeat b.h5"), 64);
  EXPECT_EQ(run("compare a.h5 b.h5 --repeat b.h5 --json b.h5"), 64);
  EXPECT_EQ(run("explain a.h5 b.h5 --repeat b.h5"), 64);
  EXPECT_THAT(error_, HasSubstr("shardrift compare --repeat"));
}

// One row has no interval; what is not measured is "-", never "nan".
TEST_F(Program, NoNumberIsNotANumber) {
  for (const double other : {0.0, 2.0}) {
    std::filesystem::remove(scratch_ / "one.h5");
    std::filesystem::remove(scratch_ / "two.h5");
    write_record(scratch_ / "one.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, {{0, 1, 0, 0, 0}})});
    write_record(scratch_ / "two.h5", small_run(),
                 {greedy_prompt(small_run(), "p0", 0, {{0, 1, 0, other, 0}})});
    EXPECT_EQ(run("compare one.h5 two.h5 --no-cache"), other == 0 ? 0 : 1) << error_;
    EXPECT_THAT(out_, HasSubstr(other == 0 ? "same top-1 100.000%;" : "same top-1 0.000%;"));
    EXPECT_EQ(out_.find("nan"), std::string::npos) << out_;
    for (const char* command : {"gate", "explain", "envelope"}) {
      run(std::string(command) + " one.h5 two.h5");
      EXPECT_EQ(out_.find("nan"), std::string::npos) << out_;
    }
  }
}

// Nothing of ours on standard output is lost unseen, whatever the command.
TEST_F(Program, StandardOutputThatCannotBeWrittenIsAFailure) {
  std::ofstream(scratch_ / "empty.toml") << "[run]\nmodel = 'none'\n";
  for (const std::string words : {"--help",
                                  "--version",
                                  "compare --help",
                                  "diagnose --help",
                                  "gate --help",
                                  "envelope --help",
                                  "explain --help",
                                  "inspect --help",
                                  "import --help",
                                  "profile --help",
                                  "report --help",
                                  "study --help",
                                  "submit --help",
                                  "status --help",
                                  "cancel --help",
                                  "scale-out --help",
                                  "compare a.h5 a.h5",
                                  "gate a.h5 a.h5",
                                  "envelope a.h5 a.h5",
                                  "explain a.h5 a.h5",
                                  "inspect a.h5",
                                  "report a.h5 a.h5 --output page.html"}) {
    for (const char* lost : {"/dev/full", "&-"}) {
      EXPECT_EQ(run(words, lost), 70) << words << " " << lost;
      EXPECT_THAT(error_, HasSubstr("standard output cannot be written: ")) << words;
    }
  }
  EXPECT_EQ(run("inspect a.h5 2>&-"), 0) << "what a closed file is not asked for is not missed";
}

// The signal of a limit is no message.
TEST_F(Program, ALimitOnFilesIsNamedWithItsRemedy) {
  const auto limited = [&](const std::string& limit, const std::string& words) {
    const auto command =
        fmt::format("cd {} && bash -o pipefail -c '(ulimit {}; exec {}/bin/shardrift {}) 2>&1 | cat >out'",
                    scratch_.path().string(), limit, SHARDRIFT_BINARY_DIR, words);
    const int status = std::system(command.c_str());
    out_ = contents(scratch_ / "out");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  EXPECT_EQ(limited("-f 0", "compare a.h5 b.h5 --no-cache --json big.json"), 70) << out_;
  EXPECT_THAT(out_, HasSubstr("big.json: cannot be written: File too large"));
  EXPECT_THAT(out_, HasSubstr("raise ulimit -f"));
}

TEST_F(Program, ALimitOnOpenFilesIsNamedWithItsRemedy) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{64, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<int> open_files;
  for (int file = open("/dev/null", O_RDONLY); file >= 0; file = open("/dev/null", O_RDONLY))
    open_files.push_back(file);
  std::string refusal;
  try {
    record::Reader::open(scratch_ / "a.h5");
  } catch (const Error& error) {
    refusal = error.what();
  }
  for (const int file : open_files) close(file);
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_THAT(refusal, HasSubstr("a.h5"));
  EXPECT_THAT(refusal, HasSubstr("raise ulimit -n"));
}

TEST_F(Program, WordsAreReadAlikeByEveryCommand) {
  const std::vector<std::pair<std::string, std::string>> refused{
      {"compare a.h5 b.h5 --json --csv c.csv", "option '--json' is missing: next comes --csv"},
      {"compare a.h5 b.h5 --steps x", "compare: the argument ('x') for option '--steps' is invalid"},
      {"gate a.h5 b.h5 --json c.json --json d.json", "option '--json' cannot be specified more than once"},
      {"envelope a.h5 b.h5 --rows -1", "--rows -1: must be at least 0"},
      {"explain a.h5 b.h5 --live", "explain: --live goes with --run"},
      {"scale-out a.h5", "scale-out: 'a.h5' is not understood: see shardrift scale-out --help"},
      {"study a.toml b.toml", "study: 'b.toml' is not understood: see shardrift study --help"},
      {"status a b", "status: 'b' is not understood: see shardrift status --help"},
      {"cancel --all", "cancel: unrecognised option '--all': see shardrift cancel --help"}};
  for (const auto& [words, sentence] : refused) {
    EXPECT_EQ(run(words), 64) << words;
    EXPECT_THAT(error_, HasSubstr(sentence));
    EXPECT_FALSE(std::filesystem::exists(scratch_ / "--csv"));
  }
  EXPECT_EQ(run("compare a.h5 a.h5 --steps=3 --json='two words.json' --no-cache"), 0);
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "two words.json"));
  EXPECT_EQ(run("study none.toml --output 'two words'"), 65);  // the path is taken as it is
  EXPECT_THAT(error_, HasSubstr("none.toml: no such file"));
}

// Before anything is read: a name that a file could not have, or have only once it is written.
TEST_F(Program, OverlongNamesAreRefusedAtTheStart) {
  const std::string name(256, 'n');
  for (const std::string words :
       {"compare a.h5 b.h5 --json ", "gate none.h5 none.h5 --html ", "report none.h5 none.h5 --output ",
        "explain none.h5 none.h5 --csv ", "scale-out --model none --output ", "inspect a.h5 --csv "}) {
    EXPECT_EQ(run(words + name), 64) << words << error_;
    EXPECT_THAT(error_, HasSubstr("this file system takes 255: choose a shorter one"));
    EXPECT_EQ(std::count(error_.begin(), error_.end(), '\n'), 1) << error_;
  }
  EXPECT_EQ(run("compare a.h5 a.h5 --json " + name.substr(6)), 64);  // with ".PID.tmp"
  EXPECT_THAT(error_, HasSubstr("would be a name of 262 bytes"));
  EXPECT_EQ(run("study " + name + ".toml"), 65);
  EXPECT_THAT(error_, HasSubstr("File name too long"));
}

// A command that fails leaves the files of an earlier one as they are, and no others.
TEST_F(Program, FilesAreWrittenWholeOrNotAtAll) {
  EXPECT_EQ(run("compare a.h5 b.h5 --json c.json --csv c.csv"), 1);
  const auto json = contents(scratch_ / "c.json");
  const auto csv = contents(scratch_ / "c.csv");
  for (const char* command : {"compare a.h5 none.h5", "gate a.h5 none.h5", "explain a.h5 none.h5",
                              "envelope a.h5 none.h5", "inspect none.h5"}) {
    EXPECT_EQ(run(std::string(command) + " --json c.json --csv c.csv"), 65) << command << error_;
    EXPECT_EQ(run(std::string(command) + " --json new.json"), 65) << command;
  }
  EXPECT_EQ(contents(scratch_ / "c.json"), json);
  EXPECT_EQ(contents(scratch_ / "c.csv"), csv);
  for (const auto& file : std::filesystem::directory_iterator(scratch_.path())) {
    EXPECT_NE(file.path().filename(), "new.json");
    EXPECT_NE(file.path().extension(), ".tmp") << file.path();
  }
  EXPECT_EQ(run("compare a.h5 b.h5 --json /dev/full"), 70);
  std::filesystem::create_symlink("c.json", scratch_ / "link.json");
  EXPECT_EQ(run("compare a.h5 a.h5 --json link.json"), 0);
  EXPECT_TRUE(std::filesystem::is_symlink(scratch_ / "link.json"));
  EXPECT_NE(contents(scratch_ / "c.json"), json);
}

TEST_F(Program, ToleranceIsOfLogitsAndTokens) {
  const testing::Rows rows{{0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}};
  testing::Rows near = rows;
  near[1][3] = 0.25;
  testing::Rows odd = near;
  odd[0][4] = std::numeric_limits<double>::quiet_NaN();
  write_record(scratch_ / "near.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, near)});
  write_record(scratch_ / "odd.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, odd)});
  write_record(scratch_ / "top.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, near, false)});
  EXPECT_EQ(run("compare a.h5 near.h5"), 1);
  EXPECT_EQ(run("compare a.h5 near.h5 --tolerance 0.25"), 0);
  EXPECT_THAT(out_, HasSubstr("tolerance 0.25: kept"));
  EXPECT_EQ(run("compare a.h5 near.h5 --tolerance 0.2499"), 1);
  EXPECT_THAT(out_, HasSubstr("tolerance 0.2499: not kept"));
  EXPECT_EQ(run("compare a.h5 b.h5 --tolerance 100"), 1);  // another token
  EXPECT_EQ(run("compare a.h5 near.h5 b.h5 --tolerance 100"), 1);
  EXPECT_EQ(run("compare a.h5 odd.h5 --tolerance 100"), 1);  // a NaN is not near
  EXPECT_EQ(run("compare a.h5 top.h5 --tolerance 100"), 2);  // no logits to look at
  EXPECT_EQ(run("compare a.h5 a.h5 --tolerance 0"), 0);
  for (const char* value : {"-1", "nan", "x"})
    EXPECT_EQ(run(std::string("compare a.h5 a.h5 --tolerance=") + value), 64) << value;
}

// Another engine's record says its plan in words.
TEST_F(Program, WhatIsNoRungOrNoLadderIsSaid) {
  auto engine = small_run();
  engine.plan = R"({"engine": "transformers 5.24 sdpa, bfloat16"})";
  const testing::Rows rows{{0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}};
  write_record(scratch_ / "tf.h5", engine, {greedy_prompt(engine, "p0", 0, rows)});
  EXPECT_EQ(run("explain --ladder a.h5 tf.h5"), 64);
  EXPECT_THAT(error_, StartsWith("shardrift: tf.h5: is another engine's record, whose plan is no rung"));
  EXPECT_THAT(error_, HasSubstr("--rung NAME=tf.h5\n"));
  EXPECT_EQ(run("explain --rung one=a.h5 --rung tf=tf.h5"), 0) << error_;
  EXPECT_EQ(run("report a.h5 b.h5 --output r.html --ladder b.h5"), 64);
  EXPECT_THAT(error_, HasSubstr("--ladder b.h5: is a record: give the JSON that shardrift explain"));
  std::ofstream(scratch_ / "no.json") << "{\"a\": ";
  EXPECT_EQ(run("report a.h5 b.h5 --output r.html --ladder no.json"), 65);
  EXPECT_THAT(error_, HasSubstr("no.json: not valid JSON: parse error at line 1"));
}

// What cannot be diagnosed is said before any run is made: there is no model to make one with.
TEST_F(Program, DiagnosingNothingRunsNothing) {
  auto engine = small_run();
  engine.level = "top";
  const testing::Rows rows{{0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}};
  write_record(scratch_ / "top.h5", engine, {greedy_prompt(engine, "p0", 0, rows, false)});
  EXPECT_EQ(run("diagnose a.h5 top.h5 --model none --json d.json"), 2) << error_;
  EXPECT_THAT(out_, StartsWith("cannot tell\n"));
  EXPECT_THAT(out_, HasSubstr("holds no logits: nothing can be held against a rerun, and none was made"));
  EXPECT_THAT(out_, HasSubstr("to know more, record: --record logits --sketches\n"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "out/diagnose"));
  EXPECT_EQ(nlohmann::json::parse(contents(scratch_ / "d.json")).at("finding"), "cannot tell");
  auto wider = engine;
  wider.model.vocabulary = 6;
  write_record(scratch_ / "wider.h5", wider,
               {greedy_prompt(wider, "p0", 0, {{0, 1, 0, 0, 0, 0}, {0, 0, 1, 0, 0, 0}}, false)});
  EXPECT_EQ(run("diagnose a.h5 wider.h5 --model none"), 65);
  EXPECT_THAT(error_, HasSubstr("wider.h5: vocabulary of 6, a.h5 has 5: these runs are of different models"));
  engine.plan = R"({"engine": "a server"})";
  write_record(scratch_ / "server.h5", engine, {greedy_prompt(engine, "p0", 0, rows, false)});
  EXPECT_EQ(run("diagnose a.h5 server.h5 --model none"), 2) << error_;
  EXPECT_THAT(out_, HasSubstr("record: the engine's logits (docs/engines.md)"));
}

TEST_F(Program, ProfilesSideBySide) {
  const std::string folder = SHARDRIFT_SOURCE_DIR "/experiments/profiles/";
  const std::string one = folder + "one-shot-4ranks.json ", two = folder + "two-shot-4ranks.json ";
  EXPECT_EQ(run("profile show " + two), 0);
  EXPECT_THAT(out_, HasSubstr("  a  ((0+1)+2)+3\n"));
  EXPECT_THAT(out_, HasSubstr("aaaaaaaaaaaabbbbbbbbbbbbccccccccccccdddddddddddd"));
  EXPECT_EQ(run("profile diff " + one + one), 0);
  EXPECT_THAT(out_, HasSubstr("the same orders in all messages that both know"));
  EXPECT_EQ(run("profile diff " + one + two + "--json diff.json"), 1);
  EXPECT_THAT(out_, HasSubstr("are added in another order (75.0%)\n"));
  EXPECT_LT(out_.find(" messages that both know have sums of other bits"),
            out_.find("\nA "));  // the answer first
  EXPECT_THAT(out_, HasSubstr(" more messages that differ (--rows, --json)\n"));
  EXPECT_LT(std::count(out_.begin(), out_.end(), '\n'), 40);
  EXPECT_THAT(contents(scratch_ / "diff.json"), HasSubstr("\"b\": \"((1+2)+3)+0\""));
  EXPECT_EQ(run("profile diff " + one + folder + "one-shot-3ranks.json"), 64);
  EXPECT_THAT(error_, HasSubstr("compare profiles of as many ranks"));
  // An engine's sum that changes from call to call, as scripts/python/probe_collective.py writes it.
  std::ofstream(scratch_ / "engine.json")
      << R"({"format": "shardrift collective profile 1", "library": "engine",
    "library_version": "1", "transport": "python", "ranks": 3, "device": "cpu", "machine": "host", "variables": {},
    "date": "2026-01-02T03:04:05Z", "model": null, "probed": [{"operation": "all-reduce", "dtype": "bfloat16",
    "count": 8, "calls": 9, "accumulator": null, "first_unexplained": -1, "model_agrees": null,
    "seen": "nondeterministic: 12.500% of the elements changed", "trees": [], "segments": [[0, 8, -1]]}]})";
  EXPECT_EQ(run("profile show engine.json"), 0) << error_;
  EXPECT_THAT(out_,
              HasSubstr("all-reduce of 8 bfloat16 elements: nondeterministic: 12.500% of the elements"));
  EXPECT_EQ(run("profile show a.h5"), 65);
  EXPECT_EQ(run("profile show none.json"), 65);
  for (const std::string words : {"profile", "profile show", "profile draw x.json", "profile diff x.json",
                                  "profile show x.json --json y.json"})
    EXPECT_EQ(run(words), 64) << words;
}

TEST_F(Program, HelpOfEveryCommand) {
  EXPECT_EQ(run("--help"), 0);
  for (const std::string command : {"compare", "inspect", "import", "explain", "report", "gate", "envelope",
                                    "profile", "study", "scale-out", "submit", "status", "cancel"}) {
    EXPECT_THAT(out_, HasSubstr(command)) << "in shardrift --help";
    const std::string all = out_;
    EXPECT_EQ(run(command + " --help"), 0);
    EXPECT_THAT(out_, StartsWith("usage: shardrift " + command));
    out_ = all;
  }
}

// What is read is never written over, whatever the command.
TEST_F(Program, RecordsAreNotOverwritten) {
  const auto before = contents(scratch_ / "b.h5");
  const std::vector<std::string> files{"--json", "--csv", "--html"};
  const std::vector<std::pair<std::string, std::vector<std::string>>> commands{
      {"compare a.h5 b.h5", files},
      {"gate a.h5 b.h5", files},
      {"gate a.h5 a.h5 --truth b.h5", files},
      {"report a.h5 b.h5", {"--output"}},
      {"explain a.h5 b.h5", files},
      {"explain --ladder a.h5 b.h5", files},
      {"explain --rung one=a.h5 --rung two=b.h5", files},
      {"explain --run --model . --real b.h5", files},
      {"explain --run --model . --shards 2 --follow b.h5", files},
      {"explain --run --model . --real a.h5 --collective-profile b.h5", files},
      {"envelope a.h5 b.h5", {"--json", "--csv"}},
      {"inspect b.h5", {"--json", "--csv"}}};
  for (const auto& [start, flags] : commands)
    for (const auto& flag : flags)
      for (const std::string path : {"b.h5", "./b.h5"}) {
        const std::string command = start + " " + flag + " " + path;
        EXPECT_EQ(run(command), 64) << command;
        EXPECT_THAT(error_, HasSubstr(flag + " " + path + ": is one of the files that are read")) << command;
        ASSERT_TRUE(contents(scratch_ / "b.h5") == before) << command;
      }
}

// Nor are the rungs that explain --run makes and reads, the model, and the parts of a run.
TEST_F(Program, WhatWillBeReadIsNotOverwritten) {
  write_record(scratch_ / "real.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, {{0, 1, 0, 0, 0}})});
  std::filesystem::create_directory(scratch_ / "model");
  record::testing::replace_contents(scratch_ / "model" / "config.json", "{}");
  const record::WriterOptions partial{scratch_ / "c.h5", false, 0};
  prepare_output(partial, small_run());
  for (const std::string flag : {"--json", "--csv", "--html"}) {
    const std::string start = "explain --run --model model --real b.h5 ";
    EXPECT_EQ(run(start + "--output . " + flag + " real.h5"), 64) << flag;
    EXPECT_THAT(error_, HasSubstr(flag + " real.h5: is one of the files that are read"));
    EXPECT_EQ(run(start + "--output new " + flag + " new/hops.h5"), 64) << flag;  // will be there
    EXPECT_THAT(error_, HasSubstr("is one of the files that are read"));
    EXPECT_EQ(run(start + flag + " model/config.json"), 64) << flag;
    EXPECT_THAT(error_, HasSubstr("is one of the files that are read"));
    EXPECT_EQ(run("explain a.h5 c.h5.parts " + flag + " c.h5.parts/p0.h5"), 64) << flag;
    EXPECT_THAT(error_, HasSubstr("lies in c.h5.parts, which is read"));
  }
  EXPECT_EQ(contents(scratch_ / "model" / "config.json"), "{}");
  EXPECT_EQ(run("inspect real.h5"), 0);
}

TEST_F(Program, CsvHasARowAStep) {
  EXPECT_EQ(run("compare a.h5 b.h5 a.h5 --csv c.csv"), 1);
  const std::string csv = contents(scratch_ / "c.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 2 * 2);
  EXPECT_THAT(csv,
              StartsWith("candidate,prompt,step,candidate_step,position,input_id,phase,measured,bit_equal,"));
  EXPECT_THAT(csv, HasSubstr("\nb.h5,p0,1,1,9,1,decode,1,0,1,0,2,0.4,"));
  const auto cells = std::count(csv.begin(), csv.end(), ',');
  EXPECT_EQ(cells % 5, 0);  // every line has as many
}

// For json_schema.py: every kind of document there is.
TEST_F(Program, WritesJsonToBeCheckedAgainstItsSchema) {
  const std::filesystem::path out = std::filesystem::path(SHARDRIFT_BINARY_DIR) / "tests" / "compare-json";
  std::filesystem::remove_all(out);
  std::filesystem::create_directories(out);
  const auto json = [&](const std::string& name, const std::string& files, int code) {
    EXPECT_EQ(run("compare " + files + " --no-cache --json " + (out / (name + ".json")).string()), code)
        << name;
  };
  const testing::Rows rows{{0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}};
  testing::Rows strange = rows;
  strange[0][4] = std::nan("");
  strange[1][4] = -std::numeric_limits<double>::infinity();
  const auto run_of = [](DType dtype) { return small_run(dtype, 2); };
  write_record(scratch_ / "strange.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, strange)});
  write_record(scratch_ / "other.h5", run_of(DType::bfloat16),
               {greedy_prompt(run_of(DType::bfloat16), "p0", 0, rows)});
  write_record(scratch_ / "top.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, rows, false)});
  const record::WriterOptions options{scratch_ / "partial.h5", false, 0};
  prepare_output(options, small_run());
  json("equal", "a.h5 a.h5", 0);
  json("flip", "a.h5 b.h5 a.h5", 1);
  json("repeats", "a.h5 b.h5 --repeat a.h5", 1);
  json("table", "a.h5 a.h5 --prompt p0", 0);
  json("strange", "a.h5 strange.h5", 1);
  json("other-dtype", "a.h5 other.h5", 0);
  json("without-logits", "a.h5 top.h5", 0);
  json("partial", "a.h5 partial.h5", 2);
  for (const std::uint32_t seed : {1U, 2U}) {
    auto prompt = greedy_prompt(small_run(), "p0", 0, rows);
    record::testing::add_routes(prompt, seed);
    write_record(scratch_ / fmt::format("routes{}.h5", seed), small_run(), {prompt});
  }
  json("routes", "routes1.h5 routes2.h5 routes1.h5", 0);
}

// For json_schema.py: a record with everything, one with nothing, another engine's, a metrics file.
TEST_F(Program, InspectWritesWhatItShows) {
  const std::filesystem::path out = std::filesystem::path(SHARDRIFT_BINARY_DIR) / "tests" / "inspect-json";
  std::filesystem::remove_all(out);
  std::filesystem::create_directories(out);
  auto full = record::testing::example_run();
  full.level = "hidden";
  full.environment.collectives = {record::testing::example_collective()};
  auto traced = record::testing::example_prompt(full, "traced", 0);
  record::testing::add_traces(traced, DType::float32);
  record::testing::add_routes(traced);
  traced.prefilled_with = {"traced", "plain"};
  traced.decoded_with = {"traced", "plain", "p2", "p3", "p4"};
  write_record(scratch_ / "full.h5", full, {traced, record::testing::example_prompt(full, "plain", 1)});
  auto engine = small_run();
  engine.plan = R"({"engine": "vLLM 0.11, TP=4"})";
  engine.environment = {};
  write_record(scratch_ / "engine.h5", engine, {greedy_prompt(engine, "p0", 0, {{0, 1, 0, 0, 0}})});
  for (const std::string name : {"engine", "a", "full"})
    EXPECT_EQ(run("inspect " + name + ".h5 --json " + (out / (name + ".json")).string()), 0) << error_;
  EXPECT_THAT(out_, HasSubstr("prefilled with  decoded with"));
  EXPECT_THAT(out_, HasSubstr("traced plain    traced … p4 (5)"));
  const auto neighbours = nlohmann::json::parse(contents(out / "full.json")).at("prompts");
  EXPECT_EQ(neighbours.at(0).at("prefilled_with"), nlohmann::json::array({"traced", "plain"}));
  EXPECT_EQ(neighbours.at(0).at("decoded_with").size(), 5U);
  EXPECT_EQ(neighbours.at(1).at("decoded_with"), nlohmann::json::array());
  EXPECT_EQ(run("compare a.h5 b.h5"), 1);
  EXPECT_EQ(run("inspect b.vs.a.metrics --json " + (out / "metrics.json").string()), 0) << error_;
  EXPECT_EQ(run("inspect b.h5 --json b.json --csv b.csv"), 0);
  const auto json = nlohmann::json::parse(contents(scratch_ / "b.json"));
  EXPECT_EQ(json.at("compared"), nlohmann::json::array({"b.vs.a.metrics"}));
  const auto& prompt = json.at("prompts").at(0);
  EXPECT_EQ(prompt.at("id"), "p0");
  EXPECT_EQ(prompt.at("steps"), 2);
  const std::string csv = contents(scratch_ / "b.csv");
  EXPECT_THAT(csv, StartsWith("prompt,tokens,steps,stop,replica,logits,checksums,sha256,text\np0,"));
  EXPECT_THAT(csv, HasSubstr(prompt.at("sha256").get<std::string>()));
  EXPECT_EQ(run("inspect b.vs.a.metrics --csv b.csv"), 64);
  // A model's own files say how they are inspected.
  std::filesystem::create_directory(scratch_ / "model");
  std::ofstream(scratch_ / "model/config.json") << "{}";
  std::ofstream(scratch_ / "model.gguf") << "GGUF";
  for (const std::string model : {"model", "model/config.json", "model/model.safetensors", "model.gguf"}) {
    EXPECT_EQ(run("inspect " + model), 64);
    EXPECT_THAT(error_, HasSubstr("shardrift inspect --model " + model.substr(0, model.find('/'))));
  }
  EXPECT_EQ(run("inspect b.h5 --json same --csv ./same"), 64);
  EXPECT_EQ(run("inspect b.h5 --json ./b.h5"), 64);
}

TEST_F(Program, MetricsAreKeptUnlessToldNotTo) {
  const auto kept = scratch_ / "b.vs.a.metrics";
  EXPECT_EQ(run("compare a.h5 b.h5 --no-cache"), 1);
  const std::string want = out_;
  EXPECT_FALSE(std::filesystem::exists(kept));
  EXPECT_EQ(run("compare a.h5 b.h5"), 1);
  EXPECT_TRUE(std::filesystem::exists(kept));
  EXPECT_EQ(out_, want);
  EXPECT_EQ(run("compare a.h5 b.h5"), 1);
  EXPECT_EQ(out_, want);
  EXPECT_EQ(error_, "");
  EXPECT_EQ(run("inspect b.h5"), 0);
  EXPECT_THAT(out_, HasSubstr("compared       b.vs.a.metrics\n"));
  EXPECT_THAT(out_, HasSubstr("decode 5 tokens in 3 s"));
  EXPECT_EQ(run("inspect b.vs.a.metrics"), 0);
  EXPECT_THAT(out_, HasSubstr("1 prompt, 2 rows compared, 2 measured, 1 differ, 1 flip\n"));
  EXPECT_EQ(run("inspect none.metrics"), 65);
}

}  // namespace
}  // namespace shardrift::analysis
