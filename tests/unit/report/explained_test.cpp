// Growth from hidden states and ladders from explain's JSON, as the page draws them.
#include "analysis/report/explained.hpp"

#include <gmock/gmock.h>

#include "analysis/explain/explain_presenters.hpp"
#include "analysis/explain/ladder.hpp"
#include "tests/unit/explain/traced_runs.hpp"

namespace shardrift::report {
namespace {

namespace fs = std::filesystem;
using analysis::testing::score_run;
using analysis::testing::scored_prompt;
using record::testing::error_of;
using record::testing::replace_contents;
using record::testing::Scratch;
using record::testing::write_record;
using ::testing::HasSubstr;

const analysis::testing::Rows kRows{{1, 0, 0, 0, 0}, {0, 1, 0, 0, 0}};

TEST(Explained, GrowthIsTheMedianRow) {
  const Scratch scratch;
  auto a = scored_prompt(score_run(), "p0", 0, kRows);
  auto b = a;
  for (std::int64_t row = 0; row < 2; ++row) analysis::testing::set_hidden(b, 2, row, 0, 4);  // 3 -> 4
  write_record(scratch / "a.h5", score_run(), {a});
  write_record(scratch / "b.h5", score_run(), {b});
  a.hidden = {};
  write_record(scratch / "bare.h5", score_run(), {a});
  const auto reference = record::Reader::open(scratch / "a.h5");
  const auto layers = growth_through_layers(reference, record::Reader::open(scratch / "b.h5"));
  ASSERT_EQ(layers.size(), 3U);
  EXPECT_EQ(layers[1].y, 0);
  EXPECT_EQ(layers[2].x, 2);
  EXPECT_NEAR(layers[2].y, 1 / (3 * std::sqrt(14.0)), 1e-12);
  EXPECT_EQ(layers[2].low, layers[2].high);
  EXPECT_TRUE(growth_through_layers(reference, record::Reader::open(scratch / "bare.h5")).empty());
}

class Ladders : public ::testing::Test {
 protected:
  void SetUp() override {
    write_record(scratch_ / "one.h5", score_run(), {scored_prompt(score_run(), "p0", 0, kRows)});
    auto moved = kRows;
    moved[0][2] = 0.5;
    const auto real = score_run(R"(,"shards":3,"tensor_parallel":3)");
    write_record(scratch_ / "real.h5", real, {scored_prompt(real, "p0", 0, moved)});
    report::Run other;
    other.measurement.candidate.path = (scratch_ / "one.h5").string();
    report::Run run;
    run.measurement.candidate.path = (scratch_ / "real.h5").string();
    runs_ = {other, run};
    const auto ladder =
        analysis::measure_ladder({{"reference", analysis::RungKind::reference, scratch_ / "one.h5"},
                                  {"hops", analysis::RungKind::hops, scratch_ / "real.h5"},
                                  {"real", analysis::RungKind::real, scratch_ / "real.h5"}});
    json_ = analysis::ladder_json(ladder);
    write(json_);
  }
  void write(const std::string& text) { replace_contents(file_, text); }
  std::string replaced(const std::string& from, const std::string& to) const {
    auto text = json_;
    text.replace(text.find(from), from.size(), to);
    return text;
  }
  Scratch scratch_;
  fs::path file_ = scratch_ / "ladder.json";
  std::vector<report::Run> runs_;
  std::string json_;
};

TEST_F(Ladders, AreOfTheirLastRung) {
  const Ladder ladder = read_ladder(file_, runs_);
  EXPECT_EQ(ladder.run, 1U);
  ASSERT_EQ(ladder.rungs.size(), 2U);
  EXPECT_EQ(ladder.rungs[0].name, "hops");
  EXPECT_EQ(ladder.rungs[0].share, 1);
  EXPECT_EQ(ladder.rungs[0].meaning, analysis::changes(analysis::RungKind::hops));
  EXPECT_EQ(ladder.residue, "0 bits: explained completely");
}

TEST_F(Ladders, OfOtherRunsOrOtherFilesAreRefused) {
  const auto refused = [&](ExitCode code, const std::string& words) {
    const auto error = error_of([&] { read_ladder(file_, runs_); });
    EXPECT_EQ(error.code(), code);
    EXPECT_THAT(error.what(), HasSubstr(words));
    EXPECT_THAT(error.what(), HasSubstr("ladder.json"));
  };
  runs_.pop_back();
  refused(ExitCode::usage, "none of this report's runs");
  write(replaced("explain ladder 1", "explain 1"));
  refused(ExitCode::bad_data, "no ladder");
  write(replaced("\"rungs\"", "\"rung\""));
  refused(ExitCode::bad_data, "\"rungs\" is missing");
  write(replaced("\"name\": \"hops\"", "\"name\": 7"));
  refused(ExitCode::bad_data, "a text is expected");
  write(replaced("\"share\": 1.0", "\"share\": \"1\""));
  refused(ExitCode::bad_data, "a number is expected");
  write("[]");
  refused(ExitCode::bad_data, "");
}

}  // namespace
}  // namespace shardrift::report
