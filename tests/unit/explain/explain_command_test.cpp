// shardrift explain: what is refused, and the files it writes.
#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/unit/explain/ladder_files.hpp"

namespace shardrift::analysis {
namespace {

using record::Operation;
using record::testing::contents;
using record::testing::write_record;
using testing::change_sum;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kHops;
using testing::kReal;
using testing::kShards;
using testing::score_run;
using testing::scored_prompt;
using testing::set_hidden;

class ExplainCommand : public testing::LadderFiles {
 protected:
  void write_ladder() {
    write("one", "", {{1, 0, 0, 0, 0}});
    write("h", kHops, {{3, 0, 0, 0, 0}});
    write("s", kShards, {{2, 0, 0, 0, 0}});
    write("tp3", kReal, {{3, 0, 0, 0, 0}});
    write("other", kReal, {{4, 0, 0, 0, 0}});
  }
  // Three and five tokens; other in every way there is.
  void write_pair() {
    const testing::Rows three{{1, 0, 0, 0, 0}, {0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}};
    testing::Rows five = three;
    five.insert(five.end(), {{0, 0, 0, 1, 0}, {0, 0, 0, 0, 1}});
    const auto p0 = scored_prompt(score_run(), "p0", 0, three);
    write_record(scratch_ / "a.h5", score_run(), {p0, scored_prompt(score_run(), "p1", 1, five)});
    five[1][0] = std::nan("");
    five[4][0] = 4;
    auto p1 = scored_prompt(score_run(), "p1", 1, five);
    change_sum(p1, {Operation::gate_up, 1}, 2);
    set_hidden(p1, 2, 0, 1, 7.0F);
    write_record(scratch_ / "b.h5", score_run(), {p0, p1});
  }
  // What a page is drawn from.
  nlohmann::json data(const std::string& page) {
    const std::string html = contents(scratch_ / page);
    const std::string open = "id=\"data\">";
    const auto begin = html.find(open) + open.size();
    return nlohmann::json::parse(html.substr(begin, html.find("</script>", begin) - begin));
  }
};

TEST_F(ExplainCommand, ReadsPairsAndLadders) {
  write_ladder();
  EXPECT_EQ(run("--ladder tp3.h5 h.h5 one.h5 s.h5 --json l.json"), 0) << error_;  // in order by their plans
  EXPECT_THAT(out_, HasSubstr("residue: 0 bits"));
  const auto json = nlohmann::json::parse(contents(scratch_ / "l.json"));
  std::vector<std::string> names;
  for (const auto& rung : json.at("rungs")) names.push_back(rung.at("name"));
  EXPECT_THAT(names, ::testing::ElementsAre("reference", "shards", "hops", "real"));
  EXPECT_EQ(run("--rung mine=one.h5 --rung hops=h.h5 --rung real=other.h5"), 1) << error_;
  EXPECT_THAT(out_, HasSubstr("(named by you)"));
  EXPECT_EQ(run("one.h5 h.h5 --json e.json"), 0);
  EXPECT_EQ(nlohmann::json::parse(contents(scratch_ / "e.json")).at("schema"), "shardrift explain 1");
  for (const char* usage :
       {"", "one.h5", "one.h5 h.h5 s.h5", "--ladder tp3.h5 other.h5 one.h5", "--rung one.h5",
        "--rung a=one.h5 --rung a=h.h5", "--rung real=tp3.h5 --rung a=one.h5", "--rung a=one.h5 h.h5",
        "--rung a=one.h5", "--nonsense"}) {
    EXPECT_EQ(run(usage), 64) << usage << error_;
    EXPECT_THAT(error_, ::testing::StartsWith("shardrift: "));
  }
  EXPECT_EQ(run("one.h5 none.h5"), 65);
  EXPECT_EQ(run("--help"), 0);
}

TEST_F(ExplainCommand, ThePageOfAPair) {
  write_pair();
  ASSERT_EQ(run("a.h5 b.h5 --html 'a page.html'"), 0) << error_;
  const auto page = data("a page.html");
  ASSERT_EQ(page.at("runs").size(), 1U);
  EXPECT_EQ(page["runs"][0]["name"], "b");
  EXPECT_EQ(page["reference"]["name"], "a");
  EXPECT_EQ(page["command"], "shardrift explain a.h5 b.h5 --html 'a page.html'");
  EXPECT_EQ(page["layers"]["growth"].at(0)["layers"].size(), 3U);  // embedding and two layers
  EXPECT_TRUE(page["layers"]["ladders"].empty());
}

// Of the first and the last rung, with the ladder in between: as report --ladder draws it from the JSON.
TEST_F(ExplainCommand, ThePageOfALadder) {
  write_ladder();
  const auto names = [](const nlohmann::json& ladder) {
    std::vector<std::string> found;
    for (const auto& rung : ladder.at("rungs")) found.push_back(rung.at("name"));
    return found;
  };
  ASSERT_EQ(run("--ladder other.h5 h.h5 one.h5 s.h5 --html l.html --json l.json"), 1) << error_;
  const auto page = data("l.html");
  ASSERT_EQ(page.at("runs").size(), 1U);
  EXPECT_EQ(page["reference"]["name"], "one");
  EXPECT_EQ(page["runs"][0]["name"], "other");
  EXPECT_FALSE(page["layers"]["growth"].empty());
  const auto& ladder = page["layers"]["ladders"].at(0);
  EXPECT_THAT(names(ladder), ElementsAre("shards", "hops", "real"));
  EXPECT_EQ(ladder["rungs"][1]["meaning"], changes(RungKind::hops));
  EXPECT_EQ(ladder["rungs"][1]["share"], 0.3333);
  EXPECT_THAT(ladder["residue"], HasSubstr(" bits"));
  const int status = std::system(fmt::format("cd {} && {}/bin/shardrift report one.h5 other.h5 --ladder "
                                             "l.json --output r.html > out",
                                             scratch_.path().string(), SHARDRIFT_BINARY_DIR)
                                     .c_str());
  ASSERT_EQ(status, 0);
  EXPECT_EQ(data("r.html")["layers"], page["layers"]);
  // Without a real run: of the last rung.
  ASSERT_EQ(run("--rung mine=one.h5 --rung yours=s.h5 --html n.html"), 0) << error_;
  EXPECT_EQ(data("n.html")["runs"][0]["name"], "s");
  EXPECT_THAT(names(data("n.html")["layers"]["ladders"].at(0)), ElementsAre("yours"));
}

TEST_F(ExplainCommand, OutputThatCannotBeWritten) {
  write_ladder();
  for (const char* flag : {"--json", "--csv", "--html"}) {
    EXPECT_EQ(run(fmt::format("one.h5 s.h5 {} no/file", flag)), 70);
    EXPECT_THAT(error_, HasSubstr("no/file"));
  }
}

// For json_schema.py: every kind of document there is.
TEST_F(ExplainCommand, WritesJsonToBeCheckedAgainstItsSchema) {
  const std::filesystem::path out = std::filesystem::path(SHARDRIFT_BINARY_DIR) / "tests" / "explain-json";
  std::filesystem::remove_all(out);
  std::filesystem::create_directories(out);
  const auto json = [&](const std::string& name, const std::string& files, int code) {
    EXPECT_EQ(run(files + " --json " + (out / (name + ".json")).string()), code) << name << error_;
  };
  write_ladder();
  write_pair();
  auto bare = scored_prompt(score_run(), "p0", 0, {{1, 0, 0, 0, 0}});
  bare.checksums = {};
  bare.hidden = {};
  bare.logits.clear();
  write_record(scratch_ / "bare.h5", score_run(), {bare});
  const auto narrow = score_run("", DType::bfloat16);
  write_record(scratch_ / "narrow.h5", narrow, {scored_prompt(narrow, "p0", 0, {{2, 0, 0, 0, 0}})});
  prepare_output({scratch_ / "partial.h5", false, 0}, score_run());
  json("ladder-repeats", "--ladder one.h5 tp3.h5 --repeat other.h5", 1);
  json("pair-equal", "one.h5 one.h5", 0);
  json("pair", "a.h5 b.h5", 0);
  json("pair-shards", "one.h5 s.h5", 0);
  json("pair-bare", "one.h5 bare.h5", 0);
  json("pair-dtypes", "one.h5 narrow.h5", 0);
  json("pair-partial", "one.h5 partial.h5", 0);
  json("ladder", "--ladder one.h5 s.h5 h.h5 tp3.h5", 0);
  json("ladder-residue", "--ladder one.h5 s.h5 h.h5 other.h5", 1);
  json("ladder-named", "--rung mine=a.h5 --rung hops=b.h5", 0);
  json("ladder-equal", "--rung mine=one.h5 --rung again=one.h5", 0);
}

}  // namespace
}  // namespace shardrift::analysis
