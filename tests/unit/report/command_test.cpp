// shardrift report and compare --html, from records to the page: what is on it, and what is refused.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/unit/analysis/example_runs.hpp"

namespace shardrift::report {
namespace {

using analysis::testing::greedy_prompt;
using analysis::testing::Rows;
using analysis::testing::small_run;
using record::testing::contents;
using record::testing::write_record;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Command : public ::testing::Test {
 protected:
  void SetUp() override {
    const Rows rows{{0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}, {0, 1, 0, 0, 0}};
    Rows other = rows;
    other[1][3] = 2;  // another token at row 1
    write_record(scratch_ / "a.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, rows)});
    write_record(scratch_ / "b.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, other)});
    write_record(scratch_ / "again.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, rows)});
  }
  int run(const std::string& arguments) {
    const std::string command = fmt::format("cd {} && {}/bin/shardrift {} > out 2> err",
                                            scratch_.path().string(), SHARDRIFT_BINARY_DIR, arguments);
    const int status = std::system(command.c_str());
    error_ = contents(scratch_ / "err");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  nlohmann::json data(const std::string& file) {
    const std::string html = contents(scratch_ / file);
    const std::string open = "id=\"data\">";
    const auto begin = html.find(open) + open.size();
    return nlohmann::json::parse(html.substr(begin, html.find("</script>", begin) - begin));
  }
  record::testing::Scratch scratch_;
  std::string error_;
};

TEST_F(Command, WritesWhatTheRecordsSay) {
  ASSERT_EQ(run("report a.h5 b.h5 --noise-floor again.h5 --title 'Two <b>devices</b>' --output r.html"), 0)
      << error_;
  EXPECT_THAT(contents(scratch_ / "r.html"), HasSubstr("<h1>Two &lt;b&gt;devices&lt;/b&gt;</h1>"));
  const auto page = data("r.html");
  ASSERT_EQ(page["runs"].size(), 2U);
  EXPECT_EQ(page["runs"][0]["name"], "b");
  EXPECT_EQ(page["runs"][0]["equality"], "differs");
  EXPECT_EQ(page["runs"][0]["flip_first"], 1);
  EXPECT_EQ(page["runs"][1]["role"], "noise floor");
  EXPECT_EQ(page["runs"][1]["equality"], "bit-equal");
  // What followed the flip is in the records only.
  const auto& table = page["tokens"]["tables"].at(0);
  EXPECT_EQ(table["prompt"], "p0");
  ASSERT_EQ(table["rows"].size(), 3U);
  EXPECT_EQ(table["rows"][1][2][0], 2);
  EXPECT_EQ(table["rows"][1][3][0], 3);
  EXPECT_EQ(table["rows"][1][4], 1);
  EXPECT_EQ(table["rows"][2][2][0], 1);
  EXPECT_EQ(page["tokens"]["strings"]["2"], "\"" + small_run().model.vocab[2] + "\"");
}

TEST_F(Command, CompareWritesTheSamePage) {
  ASSERT_EQ(run("compare a.h5 b.h5 again.h5 --html c.html"), 1) << error_;
  EXPECT_EQ(data("c.html")["runs"].size(), 2U);
  EXPECT_EQ(data("c.html")["runs"][1]["equality"], "bit-equal");
}

TEST_F(Command, AWorkingTruthAndYardstickAreColumns) {
  ASSERT_EQ(run("report a.h5 b.h5 --truth again.h5 --yardstick b.h5 -o r.html"), 0) << error_;
  const auto page = data("r.html");
  EXPECT_EQ(page["verdict"]["yardsticks"].size(), 1U);
  EXPECT_EQ(page["runs"][0]["verdict"]["yardsticks"].size(), 1U);
  EXPECT_FALSE(page["runs"][0]["verdict"]["excess_error"].is_null());
}

// A pipe gets the page, and stays a pipe; no two results get one file, by whatever name.
TEST_F(Command, EveryOutputOfEveryCommandIsTreatedAlike) {
  const auto pipe = scratch_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::filesystem::create_symlink("pipe", scratch_ / "link");
  for (const std::string command : {"report a.h5 b.h5 --output", "gate a.h5 b.h5 --html",
                                    "compare a.h5 b.h5 --html", "explain a.h5 b.h5 --html"}) {
    for (const std::string name : {"pipe", "link"}) {
      // The shell's reader opens its end and the command its own: each waits for the other.
      const std::string line =
          fmt::format("cd {} && {{ cat pipe > page.html & {}/bin/shardrift {} {} > out 2> err; wait; }}",
                      scratch_.path().string(), SHARDRIFT_BINARY_DIR, command, name);
      EXPECT_EQ(std::system(line.c_str()), 0);
      EXPECT_TRUE(std::filesystem::is_fifo(pipe)) << command;
      EXPECT_TRUE(std::filesystem::is_symlink(scratch_ / "link")) << command;
      EXPECT_EQ(data("page.html")["runs"].size(), 1U) << command << contents(scratch_ / "err");
    }
  }
  std::filesystem::create_symlink("x", scratch_ / "x.link");
  std::ofstream(scratch_ / "x") << "as it was";
  for (const std::string command :
       {"gate a.h5 b.h5 --certificate x --html ", "gate a.h5 b.h5 --json x --html ",
        "compare a.h5 b.h5 --json x --html ", "compare a.h5 b.h5 --csv x --html ",
        "explain a.h5 b.h5 --json x --html "}) {
    for (const std::string other : {"x", "./x", "x.link"}) {
      EXPECT_EQ(run(command + other), 64) << command << other;
      EXPECT_THAT(error_, HasSubstr("--html " + other + ": is written already, for another flag")) << command;
    }
  }
  EXPECT_EQ(contents(scratch_ / "x"), "as it was");
}

TEST_F(Command, Refuses) {
  for (const char* usage :
       {"report a.h5 -o r.html", "report a.h5 b.h5", "report a.h5 b.h5 -o b.h5",
        "report a.h5 b.h5 --noise-floor again.h5 -o ./again.h5", "report a.h5 b.h5 -o r.html --nonsense",
        "report a.h5 b.h5 -o r.html --preset none", "compare a.h5 b.h5 --html a.h5"}) {
    EXPECT_EQ(run(usage), 64) << usage;
    EXPECT_THAT(error_, StartsWith("shardrift: ")) << usage;
    EXPECT_EQ(std::count(error_.begin(), error_.end(), '\n'), 1) << error_;
  }
  EXPECT_EQ(run("inspect b.h5"), 0) << "a record was overwritten";
  EXPECT_EQ(run("report a.h5 none.h5 -o r.html"), 65);
  EXPECT_EQ(run("report a.h5 b.h5 -o no/r.html"), 70);
  EXPECT_THAT(error_, HasSubstr("no/r.html"));
  EXPECT_EQ(run("report --help"), 0);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "r.html"));
}

}  // namespace
}  // namespace shardrift::report
