#include "analysis/envelope/envelope.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "analysis/envelope/envelope_presenters.hpp"

#include "example_runs.hpp"

namespace shardrift::analysis {
namespace {

using record::testing::Scratch;
using ::testing::ElementsAre;

class Envelope : public ::testing::Test {
 protected:
  record::Reader run(const std::string& name, const testing::Rows& rows,
                     const std::string& identity = "model-1") {
    auto info = testing::small_run();
    info.model.identity = identity;
    record::testing::write_record(scratch / name, info, {testing::greedy_prompt(info, "p0", 0, rows)});
    return record::Reader::open(scratch / name);
  }
  Scratch scratch;
};

TEST_F(Envelope, SpreadAndChoicesByHand) {
  std::vector<record::Reader> runs;
  runs.push_back(run("a.h5", {{1, 0, 0, 0, 0}, {0, 2, 1, 0, 0}}));
  runs.push_back(run("b.h5", {{1, 0.5, 0, 0, -0.25}, {0, 2, 1, 0, 0}}));
  runs.push_back(
      run("c.h5", {{1, 0.25, 0, 0, 0}, {0, 2, 3, 0, 0}}));  // chooses another token in the second row
  std::vector<double> highest;
  const auto prompts = envelope(runs, [&](const std::string&, const EnvelopeRow& row,
                                          const std::vector<double>&, const std::vector<double>& high) {
    if (row.position == 8) highest = high;
  });
  ASSERT_EQ(prompts.size(), 1U);
  ASSERT_EQ(prompts[0].rows.size(), 2U);
  const auto& first = prompts[0].rows[0];
  EXPECT_EQ(first.max_spread, 0.5);
  EXPECT_EQ(first.max_at, 1);
  EXPECT_EQ(first.mean_spread, (0.5 + 0.25) / 5);
  EXPECT_EQ(first.margin, 1);
  EXPECT_THAT(first.chosen, ElementsAre(0));
  EXPECT_THAT(highest, ElementsAre(1, 0.5, 0, 0, 0));
  EXPECT_THAT(prompts[0].rows[1].chosen, ElementsAre(1, 2));
  EXPECT_EQ(prompts[0].rows[1].max_spread, 2);
}

TEST_F(Envelope, NotANumberInOneRunIsNoSpread) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<record::Reader> runs;
  runs.push_back(run("a.h5", {{1, 0, -infinity, 0, 0}, {0, 2, -infinity, 0, 0}}));
  runs.push_back(run("b.h5", {{1, 0.5, -infinity, 0, 0}, {0, 2, -infinity, nan, 0}}));
  const auto prompts = envelope(runs);
  EXPECT_EQ(prompts[0].rows[0].max_spread, 0.5);  // two equal infinities are no spread
  EXPECT_TRUE(std::isnan(prompts[0].rows[1].max_spread));
  EXPECT_TRUE(std::isnan(prompts[0].rows[1].mean_spread));
  const auto text = envelope_text(prompts, runs, 10);
  EXPECT_THAT(text, ::testing::Not(::testing::HasSubstr("nan")));
  EXPECT_THAT(text, ::testing::HasSubstr("largest spread of a logit -, mean -"));
}

TEST_F(Envelope, StopsWhereRunsWereFedOtherTokens) {
  std::vector<record::Reader> runs;
  runs.push_back(run("a.h5", {{1, 0, 0, 0, 0}, {0, 2, 1, 0, 0}}));
  runs.push_back(run("b.h5", {{0, 1, 0, 0, 0}, {0, 2, 1, 0, 0}}));
  const auto prompts = envelope(runs);
  EXPECT_EQ(prompts[0].rows.size(), 1U);
  EXPECT_EQ(prompts[0].recorded, 2);
}

TEST_F(Envelope, RefusesAnotherModel) {
  std::vector<record::Reader> runs;
  runs.push_back(run("a.h5", {{1, 0, 0, 0, 0}}));
  runs.push_back(run("b.h5", {{1, 0, 0, 0, 0}}, "model-2"));
  EXPECT_THROW(envelope(runs), Error);
}

}  // namespace
}  // namespace shardrift::analysis
