// What the page is told, checked against the measurement it is made of.
#include "analysis/report/payload.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/synthetic_measurement.hpp"

namespace shardrift::report {
namespace {

using testing::synthetic_measurement;
using testing::SyntheticRun;

Run run_of(const SyntheticRun& run, Role role = Role::candidate) {
  Run out;
  out.measurement = synthetic_measurement(run);
  out.role = role;
  statistics::BootstrapOptions options;
  options.resamples = 50;
  out.statistics = statistics::statistics_of(out.measurement, options);
  return out;
}

Report two_runs() {
  Report report;
  report.runs.push_back(run_of({"tp4", 4, 0.3}));
  report.runs.push_back(run_of({"again", 1, 0}, Role::noise_floor));
  return report;
}

TEST(Number, FourDigitsAndNoValue) {
  EXPECT_EQ(number(0.123456), 0.1235);
  EXPECT_EQ(number(123456).dump(), "123500");
  EXPECT_EQ(number(0).dump(), "0");
  EXPECT_EQ(number(1.5e-12).dump(), "1.5e-12");
  EXPECT_TRUE(number(analysis::kNoValue).is_null());
  EXPECT_TRUE(number(std::numeric_limits<double>::infinity()).is_null());
}

TEST(Payload, HasEverySectionAndSurvivesARoundTrip) {
  const Json payload = payload_of(two_runs());
  EXPECT_EQ(Json::parse(payload.dump()), payload);
  for (const char* key : {"reference", "verdict", "runs", "differences", "survival", "first", "positions",
                          "margins", "layers", "orders", "tokens", "notes"})
    EXPECT_TRUE(payload.contains(key)) << key;
  EXPECT_TRUE(payload["verdict"].is_null());
}

TEST(Payload, RunsSayWhatWasMeasured) {
  const Report report = two_runs();
  const Json tp4 = run_json(report, 0);
  EXPECT_EQ(tp4["equality"], "differs");
  EXPECT_EQ(tp4["role"], "candidate");
  EXPECT_EQ(tp4["ranks"], 4);
  EXPECT_EQ(tp4["devices"], "4 x NVIDIA H200");
  const auto& prompts = report.runs[0].measurement.prompts;
  std::int64_t same = 0;
  std::int64_t earliest = std::numeric_limits<std::int64_t>::max();
  for (const auto& prompt : prompts) {
    same += prompt.first_flip ? 0 : 1;
    if (prompt.first_flip) earliest = std::min(earliest, prompt.steps.back().step);
  }
  EXPECT_LT(same, static_cast<std::int64_t>(prompts.size())) << "the example has no flips";
  EXPECT_EQ(tp4["prompts_same_text"], same);
  EXPECT_EQ(tp4["flip_first"], earliest);
  const Json again = run_json(report, 1);
  EXPECT_EQ(again["equality"], "bit-equal");
  EXPECT_EQ(again["role"], "noise floor");
  EXPECT_TRUE(again["flip_first"].is_null());
}

TEST(Payload, RoutesAreSharesOfTokensByLayer) {
  Report report = two_runs();
  EXPECT_TRUE(layers_json(report)["routes"].empty());
  auto& prompts = report.runs[0].measurement.prompts;
  prompts.resize(2);
  prompts[0].routes = {2, 6, 3, {{.layer = 1, .flips = 3, .first_flip = 2}, {.layer = 4, .max_drift = 0.25}}};
  prompts[1].routes = {2, 4, 1, {{.layer = 1, .flips = 1, .first_flip = 0}, {.layer = 4, .max_drift = 0.5}}};
  const Json routes = layers_json(report)["routes"];
  ASSERT_EQ(routes.size(), 1U);
  EXPECT_EQ(routes[0]["run"], 0);
  EXPECT_EQ(routes[0]["tokens"], 0.4);
  EXPECT_EQ(routes[0]["drift"], 0.5);
  EXPECT_EQ(routes[0]["layers"].dump(), "[[1,0.4],[4,0]]");
}

TEST(Payload, VerdictsAreTheCandidates) {
  Report report = two_runs();
  verdict::Evidence evidence;
  evidence.candidates.push_back(report.runs[0].measurement);
  evidence.repeats.push_back(report.runs[1].measurement);
  report.verdict = verdict::judge(evidence, verdict::preset("bitwise"));
  const Json json = payload_of(report);
  EXPECT_EQ(json["verdict"]["state"], "fail");
  EXPECT_EQ(json["verdict"]["thresholds"], "preset bitwise");
  EXPECT_EQ(json["runs"][0]["verdict"]["criteria"][0]["limit"], "bit_equal");
  EXPECT_EQ(json["runs"][0]["verdict"]["criteria"][0]["state"], "fail");
  EXPECT_EQ(json["runs"][0]["verdict"]["devices"], report.verdict->candidates[0].cost.devices);
  EXPECT_TRUE(json["runs"][1]["verdict"].is_null()) << "a repeat is no candidate";
}

TEST(Payload, EmptyReportsAndPromptsWithoutRowsDraw) {
  Report empty;
  EXPECT_TRUE(payload_of(empty)["reference"].is_null());
  Report report = two_runs();
  for (auto& run : report.runs) {
    for (auto& prompt : run.measurement.prompts) {
      prompt.steps.clear();
      prompt.first_flip.reset();
    }
    run.statistics = statistics::statistics_of(run.measurement, {});
  }
  const Json payload = payload_of(report);
  EXPECT_TRUE(payload["positions"]["step"]["runs"].empty());
  EXPECT_TRUE(payload["margins"]["scatter"].empty());
}

TEST(Payload, EveryPromptOfEveryRunHasItsCell) {
  Report report = two_runs();
  report.runs[1].measurement.prompts.erase(report.runs[1].measurement.prompts.begin());
  const Json first = first_differences_json(report);
  ASSERT_EQ(first["prompts"].size(), 8U);
  EXPECT_EQ(first["prompts"][0], "p00");
  EXPECT_TRUE(first["runs"][1][0].is_null()) << "not compared";
  EXPECT_EQ(first["runs"][1][1], Json::parse("[-1,1,64]"));
  for (std::size_t p = 0; p < 8; ++p) {
    const auto& prompt = report.runs[0].measurement.prompts[p];
    EXPECT_EQ(first["runs"][0][p][0], prompt.first_flip ? prompt.steps.back().step : -1);
  }
}

TEST(Payload, ACellSaysHowFarItsPromptMovedAndWhatIsNotKnownOfIt) {
  Report report;
  report.runs.push_back(run_of({"tp2", 2, 1e-6, 2, 3}));
  auto& prompts = report.runs[0].measurement.prompts;
  auto& steps = prompts[0].steps;
  for (std::size_t i = 0; i < 3; ++i) {
    steps[i].max_abs = i == 1 ? 0.5 : 0.25;
    steps[i].kl = 0.125;
    steps[i].margin_reference = i == 2 ? 0.0625 : 1;
  }
  prompts[1].differs = prompts[1].has_logits = false;  // the most likely tokens alone
  for (auto& step : prompts[1].steps) {
    step = {.step = step.step};
  }
  const Json cells = first_differences_json(report)["runs"][0];
  EXPECT_EQ(cells[0], Json::parse("[-1,0,3,3,0.5,1,0.125,0.0625,2]"));
  EXPECT_EQ(cells[1], Json::parse("[-1,3,3]")) << "neither equal nor other bits";
  prompts[1].has_logits = true;
  EXPECT_EQ(first_differences_json(report)["runs"][0][1][1], 2) << "rows are missing on one side";
}

TEST(Payload, PositionsAreMediansOfTheirBin) {
  Report report;
  report.runs.push_back(run_of({"tp2", 2, 0.1, 1, 3}));
  auto& steps = report.runs[0].measurement.prompts[0].steps;
  steps.resize(1);
  steps[0].kl = 0.25;
  auto second = report.runs[0].measurement.prompts[0];
  second.id = "q";
  second.steps[0].kl = 0.75;
  report.runs[0].measurement.prompts.push_back(second);
  const Json step = positions_json(report)["step"];
  EXPECT_EQ(step["x"], Json::parse("[1]"));  // the first token
  EXPECT_EQ(step["runs"][0]["kl"]["median"], Json::parse("[0.5]"));
  EXPECT_EQ(step["runs"][0]["kl"]["low"], Json::parse("[0.3]"));
  EXPECT_EQ(step["runs"][0]["kl"]["high"], Json::parse("[0.7]"));
}

TEST(Payload, ManyPlacesAreDrawnInGroupsAndPromptLengthsByThePassOverThePrompt) {
  Report report;
  report.runs.push_back(run_of({"tp2", 2, 1e-6, 7, 200}));  // too little noise to flip anything
  const Json json = positions_json(report);
  EXPECT_EQ(json["step"]["width"], 4);  // 200 rows in 50 groups
  ASSERT_EQ(json["step"]["x"].size(), 50U);
  EXPECT_EQ(json["step"]["x"][0], 2.5);
  EXPECT_EQ(json["length"]["x"], Json::parse("[9,10,11,12,13]"));
  // Prompts 0 and 5 have 9 tokens; only their first rows count.
  const auto& prompts = report.runs[0].measurement.prompts;
  EXPECT_EQ(json["length"]["runs"][0]["kl"]["median"][0],
            number((prompts[0].steps[0].kl + prompts[5].steps[0].kl) / 2));
}

TEST(Payload, TheMarginPlotKeepsEveryFlip) {
  Report report;
  report.runs.push_back(run_of({"tp4", 4, 0.05, 60, 200}));
  const Json one = margins_json(report)["scatter"][0];
  std::size_t flips = 0;
  std::size_t rows = 0;
  for (const auto& prompt : report.runs[0].measurement.prompts) {
    flips += prompt.first_flip ? 1 : 0;
    rows += prompt.steps.size();
  }
  EXPECT_GT(rows, kScatterPoints);
  EXPECT_EQ(one["rows"], rows);
  EXPECT_EQ(one["flips"].size(), flips);
  EXPECT_EQ(one["kept"].size(), kScatterPoints);
  for (const auto& mark : one["flips"]) EXPECT_EQ(mark.size(), 5U);
}

TEST(Payload, DifferencesOfSeveralRunsStandInOneLine) {
  Report report;
  report.runs.push_back(run_of({"tp2", 2, 0.1}));
  report.runs.push_back(run_of({"tp4", 4, 0.1}));
  report.runs.push_back(run_of({"tp4b", 4, 0.1}));
  const Json json = differences_json(report);
  ASSERT_EQ(json.size(), 3U);
  EXPECT_EQ(json[0]["what"], "plan shards");
  EXPECT_EQ(json[0]["reference"], "1");
  EXPECT_EQ(json[0]["values"], Json::parse(R"([{"value":"2","runs":[0]},{"value":"4","runs":[1,2]}])"));
}

}  // namespace
}  // namespace shardrift::report
