// Flipped routes apart from drifted weights, from two records to text, JSON, CSV and the kept metrics.
#include "analysis/measure/routes.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "analysis/compare/comparison_presenters.hpp"
#include "analysis/measure/differences.hpp"
#include "analysis/measure/measure_all_rows.hpp"
#include "analysis/measure/metrics_file.hpp"
#include "tests/unit/analysis/every_value.hpp"
#include "tests/unit/analysis/example_runs.hpp"

namespace shardrift::analysis {
namespace {

using record::Reader;
using record::testing::error_of;
using record::testing::Scratch;
using record::testing::write_record;
using testing::everything;
using testing::greedy_prompt;
using ::testing::HasSubstr;
using testing::Rows;
using testing::small_run;

// 4 rows at positions 8 to 11; the third one's choice can flip, so the fourth is not common.
const Rows kRows{{0, 3, 1, 0, 0}, {0, 0, 2, 1, 0}, {0, 1, 0, 1.25, 0}, {4, 0, 0, 0, 0}};

Rows flipped() {
  Rows rows = kRows;
  rows[2][1] = 1.5;
  return rows;
}

// Layers 1 and 4, experts 1 and 3 with weights 0.75 and 0.25 everywhere.
record::PromptRecord routed(const std::string& id, std::int64_t index, const Rows& rows) {
  auto prompt = greedy_prompt(small_run(), id, index, rows);
  record::Routes& routes = prompt.routes;
  routes = {{1, 4}, 12, 2, {}, {}};
  for (int i = 0; i < 2 * 12; ++i) {
    routes.experts.insert(routes.experts.end(), {1, 3});
    routes.weights.insert(routes.weights.end(), {0.75F, 0.25F});
  }
  return prompt;
}

class MeasuredRoutes : public ::testing::Test {
 protected:
  Reader write(const std::string& name, const std::vector<record::PromptRecord>& prompts) {
    write_record(scratch_ / name, small_run(), prompts);
    return Reader::open(scratch_ / name);
  }
  Measurement measured(const std::vector<record::PromptRecord>& reference,
                       const std::vector<record::PromptRecord>& candidate) {
    static int count = 0;
    ++count;
    return measure_all_rows(write(fmt::format("r{}.h5", count), reference),
                            write(fmt::format("c{}.h5", count), candidate));
  }
  // p0 flips in layer 4 at position 2 (of the prompt) and in both layers at position 9; p1 drifts, and flips
  // where it was fed another token already.
  Measurement example() {
    auto p0 = routed("p0", 0, kRows);
    p0.routes.experts[p0.routes.at(1, 2)] = 0;
    p0.routes.experts[p0.routes.at(0, 9) + 1] = 4;
    p0.routes.experts[p0.routes.at(1, 9)] = 2;
    auto p1 = routed("p1", 1, flipped());
    p1.routes.weights[p1.routes.at(0, 0)] = 0.5F;
    p1.routes.weights[p1.routes.at(1, 10) + 1] = 0.375F;
    p1.routes.weights[p1.routes.at(1, 11) + 1] = 9;
    p1.routes.experts[p1.routes.at(0, 11)] = 0;
    return measured({routed("p0", 0, kRows), routed("p1", 1, kRows)}, {p0, p1});
  }
  Scratch scratch_;
};

TEST_F(MeasuredRoutes, FlipsAreCountedApartFromDrift) {
  const Measurement measurement = example();
  const PromptRoutes& p0 = measurement.prompts[0].routes;
  EXPECT_EQ(p0.tokens, 12);
  EXPECT_EQ(p0.tokens_flipped, 2);
  ASSERT_EQ(p0.layers.size(), 2U);
  EXPECT_EQ(p0.layers[0].layer, 1);
  EXPECT_EQ(p0.layers[0].flips, 1);
  EXPECT_EQ(p0.layers[0].first_flip, 9);
  EXPECT_EQ(p0.layers[1].layer, 4);
  EXPECT_EQ(p0.layers[1].flips, 2);
  EXPECT_EQ(p0.layers[1].first_flip, 2);
  EXPECT_EQ(p0.layers[1].max_drift, 0);
  const PromptRoutes& p1 = measurement.prompts[1].routes;
  EXPECT_EQ(p1.tokens, 11);  // position 11 was fed another token
  EXPECT_EQ(p1.tokens_flipped, 0);
  EXPECT_EQ(p1.layers[0].max_drift, 0.25);
  EXPECT_EQ(p1.layers[1].sum_drift, 0.125);

  const auto totals = routes_of(measurement);
  ASSERT_TRUE(totals);
  EXPECT_EQ(totals->tokens, 23);
  EXPECT_EQ(totals->pairs(), 46);
  EXPECT_EQ(totals->pairs_flipped(), 3);
  EXPECT_EQ(totals->max_drift(), 0.25);
  EXPECT_EQ(totals->mean_drift(), 0.375 / (43 * 2));
  ASSERT_TRUE(totals->first_flip);
  EXPECT_EQ(totals->first_flip->prompt, "p0");
  EXPECT_EQ(totals->first_flip->position, 2);
  EXPECT_EQ(totals->first_flip->layer, 4);
}

TEST_F(MeasuredRoutes, OfARowAreThoseOfItsToken) {
  const Measurement measurement = example();
  const auto& p0 = measurement.prompts[0].steps;
  EXPECT_EQ(p0[0].route_flips, 0);
  EXPECT_EQ(p0[0].route_drift, 0);
  EXPECT_EQ(p0[1].route_flips, 2);
  EXPECT_TRUE(std::isnan(p0[1].route_drift));  // no layer kept its experts
  EXPECT_EQ(measurement.prompts[1].steps[2].route_drift, 0.125);
}

TEST_F(MeasuredRoutes, OfOneRecordOnlyOrOfOtherLayersAreNotCompared) {
  const std::vector<record::PromptRecord> reference{routed("p0", 0, kRows)};
  auto none = greedy_prompt(small_run(), "p0", 0, kRows);
  auto other_layers = routed("p0", 0, kRows);
  other_layers.routes.layers = {1, 5};
  auto one_expert = routed("p0", 0, kRows);
  one_expert.routes.k = 1;
  one_expert.routes.experts.resize(24, 1);
  one_expert.routes.weights.resize(24);
  for (auto& expert : one_expert.routes.experts) expert = 1;
  for (const auto& candidate : {none, other_layers, one_expert}) {
    const auto measurement = measured(reference, {candidate});
    EXPECT_FALSE(routes_of(measurement));
    EXPECT_TRUE(std::isnan(measurement.prompts[0].steps[0].route_flips));
    EXPECT_EQ(routes_text(measurement), "");  // neither model says that it has experts
  }
  auto measurement = measured({none}, reference);
  EXPECT_FALSE(routes_of(measurement));
  // Why, where a model does.
  measurement.candidate.run.model.config = R"({"architectures": ["MixtralForCausalLM"], "hidden_size": 64,
 "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
 "vocab_size": 32, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "num_local_experts": 4,
 "num_experts_per_tok": 2})";
  EXPECT_EQ(routes_text(measurement),
            "routes: not compared, of the two models only the candidate's is a mixture of experts\n");
  measurement.reference.run.model.config = measurement.candidate.run.model.config;
  EXPECT_THAT(routes_text(measurement), HasSubstr("routes: not compared, one record has none"));
}

// Each prompt's routes are read alone: one that is of another model than the first is left out of the sum.
TEST_F(MeasuredRoutes, OfPromptsThatDisagreeTheFirstsAreSummed) {
  auto p1 = routed("p1", 1, kRows);
  p1.routes.layers = {1, 4, 6};
  p1.routes.experts.insert(p1.routes.experts.end(), 24, 0);
  p1.routes.weights.insert(p1.routes.weights.end(), 24, 0.5F);
  for (std::size_t i = 49; i < 72; i += 2) p1.routes.experts[i] = 3;
  const std::vector<record::PromptRecord> prompts{routed("p0", 0, kRows), p1};
  const auto measurement = measured(prompts, prompts);
  EXPECT_EQ(measurement.prompts[1].routes.layers.size(), 3U);
  const auto totals = routes_of(measurement);
  ASSERT_TRUE(totals);
  EXPECT_EQ(totals->layers.size(), 2U);
  EXPECT_EQ(totals->tokens, 12);
}

// A score run has all rows, a greedy one those from the last prompt token on; a run may also stop earlier.
TEST_F(MeasuredRoutes, GoAsFarAsBothRunsDo) {
  auto shorter = routed("p0", 0, {kRows.begin(), kRows.begin() + 2});
  shorter.routes = {{1, 4}, 10, 2, {}, {}};
  for (int i = 0; i < 2 * 10; ++i) {
    shorter.routes.experts.insert(shorter.routes.experts.end(), {1, 3});
    shorter.routes.weights.insert(shorter.routes.weights.end(), {0.75F, 0.25F});
  }
  for (const auto& measurement :
       {measured({routed("p0", 0, kRows)}, {shorter}), measured({shorter}, {routed("p0", 0, kRows)})}) {
    EXPECT_EQ(measurement.prompts[0].routes.tokens, 10);
    EXPECT_EQ(measurement.prompts[0].routes.tokens_flipped, 0);
  }
}

TEST_F(MeasuredRoutes, TextSaysFlipsAndDriftByLayer) {
  EXPECT_EQ(routes_text(example()),
            "routes: 23 tokens fed alike through 2 layers with experts, 2 a token (layers from 0)\n"
            "layer  flipped  of tokens  first at position  drift max  drift mean\n"
            "    1        1      4.35%                 10       0.25     0.00568\n"
            "    4        2       8.7%                  3      0.125     0.00298\n"
            "  all        3      6.52%                  3       0.25     0.00436\n"
            "2 of 23 tokens (8.7%) went to other experts in a layer; first position 3 of p0, layer 4\n");
  const std::vector<record::PromptRecord> same{routed("p0", 0, kRows)};
  EXPECT_THAT(routes_text(measured(same, same)), HasSubstr("no token went to another expert"));
}

TEST_F(MeasuredRoutes, JsonHasThemAndNullWithout) {
  const Reader reference = write("one.h5", {routed("p0", 0, kRows)});
  const auto json_of = [&](Measurement measurement) {
    return nlohmann::json::parse(
        comparisons_json(reference, {{std::move(measurement), std::nullopt}}))["candidates"][0]["routes"];
  };
  const auto routes = json_of(example());
  EXPECT_EQ(routes["pairs_flipped"], 3);
  EXPECT_EQ(routes["first_flip"]["layer"], 4);
  EXPECT_EQ(routes["layers"][0]["first_flip_position"], 9);
  EXPECT_EQ(routes["tokens_flipped_share"], 2.0 / 23);
  const std::vector<record::PromptRecord> none{greedy_prompt(small_run(), "p0", 0, kRows)};
  EXPECT_TRUE(json_of(measured(none, none)).is_null());
}

TEST_F(MeasuredRoutes, CsvHasThoseOfEachRow) {
  std::ostringstream out;
  write_csv_head(out);
  write_csv_rows(out, example());
  std::istringstream lines(out.str());
  std::string line;
  std::getline(lines, line);
  EXPECT_TRUE(line.ends_with(",route_flips,route_drift"));
  std::getline(lines, line);
  EXPECT_TRUE(line.ends_with(",0,0"));
  std::getline(lines, line);
  EXPECT_TRUE(line.ends_with(",2,"));
}

TEST_F(MeasuredRoutes, AreKeptWithTheMetrics) {
  const Measurement measurement = example();
  const auto file = scratch_ / "c.vs.r.metrics";
  write_metrics(file, measurement, {});
  EXPECT_EQ(everything(read_metrics(file).measurement), everything(measurement));
}

TEST_F(MeasuredRoutes, KeptOnesThatCannotBeAreRefused) {
  const auto file = scratch_ / "c.vs.r.metrics";
  const auto refused = [&](const auto& change) {
    Measurement measurement = example();
    change(measurement.prompts[0].routes);
    write_metrics(file, measurement, {});
    EXPECT_THAT(error_of([&] { read_metrics(file); }).what(), HasSubstr("/routes"));
  };
  refused([](PromptRoutes& routes) { routes.tokens = -1; });
  refused([](PromptRoutes& routes) { routes.tokens_flipped = 13; });
  refused([](PromptRoutes& routes) { routes.k = 0; });
  refused([](PromptRoutes& routes) { routes.layers[0].flips = 13; });
  refused([](PromptRoutes& routes) { routes.layers[0].first_flip = -1; });
  refused([](PromptRoutes& routes) { routes.layers[1].first_flip = 12; });
}

// Such a run cannot be served with: wherever a plan is named, it says so.
TEST(ReplayedRoutes, StandBesideThePlan) {
  auto run = small_run();
  const auto plain = describe_plan(run);
  run.environment.settings["routes"] = "replayed: 0123456789abcdef";
  EXPECT_EQ(describe_plan(run), plain + ", routes replayed");
}

}  // namespace
}  // namespace shardrift::analysis
