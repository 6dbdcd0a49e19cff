// Every number of a row, and the run's report, against NumPy's and SciPy's (make-references.py).
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "analysis/measure/metrics.hpp"
#include "analysis/statistics/kl_report.hpp"

namespace shardrift::analysis {
namespace {

using nlohmann::json;

const json& references() {
  static const json values = [] {
    std::ifstream file(std::string(SHARDRIFT_SOURCE_DIR) + "/tests/unit/analysis/references/metrics.json");
    return json::parse(file);
  }();
  return values;
}

std::vector<std::byte> decoded(const std::string& base64) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<std::byte> bytes;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : base64) {
    if (c == '=') break;
    bits = bits << 6U | static_cast<std::uint32_t>(digits.find(c));
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes.push_back(static_cast<std::byte>(bits >> held & 0xFFU));
  }
  return bytes;
}

double number(const json& value) {
  if (value.is_null()) return kNoValue;
  if (value.is_string()) return value == "inf" ? HUGE_VAL : -HUGE_VAL;
  return value.get<double>();
}

// Equal, both NaN or both infinite, or as near as `relative` and `absolute` say.
void expect_near(double got, double want, double relative, double absolute, const std::string& what) {
  if (std::isnan(want) || std::isinf(want)) {
    EXPECT_TRUE(got == want || (std::isnan(got) && std::isnan(want)))
        << what << ": " << got << ", not " << want;
    return;
  }
  EXPECT_NEAR(got, want, relative * std::fabs(want) + absolute) << what;
}

Step computed(const json& one) {
  const DType x = named<DType>("dtype", one["dtype"][0].get<std::string>());
  const DType y = named<DType>("dtype", one["dtype"][1].get<std::string>());
  const auto reference = decoded(one["words"][0]);
  const auto candidate = decoded(one["words"][1]);
  const auto size = reference.size() / size_of(x);
  EXPECT_EQ(candidate.size() / size_of(y), size);
  RowComparer comparer(x, y, static_cast<std::int64_t>(size));
  Step step;
  step.chosen_reference = one["want"]["chosen_reference"];
  step.chosen_candidate = one["want"]["chosen_candidate"];
  comparer.compare(reference.data(), candidate.data(), one["next"], step);
  return step;
}

TEST(References, EveryNumberOfARow) {
  std::vector<std::string> dtypes;
  for (const auto& one : references()["cases"]) {
    SCOPED_TRACE(one["name"].get<std::string>());
    const json& want = one["want"];
    const Step got = computed(one);
    dtypes.push_back(one["dtype"][0]);
    // Counts and what is a difference of two logits: exactly.
    EXPECT_EQ(got.bit_equal, want["bit_equal"]);
    EXPECT_EQ(got.elements_differ, want["elements_differ"]);
    EXPECT_EQ(got.not_finite, want["not_finite"]);
    EXPECT_EQ(got.ties_reference, want["ties_reference"]);
    EXPECT_EQ(got.ties_candidate, want["ties_candidate"]);
    EXPECT_EQ(got.top_overlap, want["top_overlap"]);
    EXPECT_EQ(got.rank_of_choice, want["rank_of_choice"]);
    expect_near(got.max_abs, number(want["max_abs"]), 0, 0, "max_abs");
    expect_near(got.max_ulp, number(want["max_ulp"]), 0, 0, "max_ulp");
    expect_near(got.regret, number(want["regret"]), 0, 0, "regret");
    expect_near(got.margin_reference, number(want["margin_reference"]), 0, 0, "margin_reference");
    expect_near(got.margin_candidate, number(want["margin_candidate"]), 0, 0, "margin_candidate");
    // Sums of float64.
    expect_near(got.mean_abs, number(want["mean_abs"]), 1e-14, 0, "mean_abs");
    expect_near(got.rms, number(want["rms"]), 1e-14, 0, "rms");
    expect_near(got.mean_ulp, number(want["mean_ulp"]), 1e-14, 0, "mean_ulp");
    expect_near(got.p_reference, number(want["p_reference"]), 1e-14, 1e-300, "p_reference");
    expect_near(got.p_candidate, number(want["p_candidate"]), 1e-14, 1e-300, "p_candidate");
    expect_near(got.p_own, number(want["p_own"]), 1e-14, 1e-300, "p_own");
    expect_near(got.p_next, number(want["p_next"]), 1e-13, 1e-300, "p_next");
    expect_near(got.log_ratio, number(want["log_ratio"]), 1e-14, 1e-14, "log_ratio");
    // Against 60 digits. Each d = log q - log p is rounded near 1e-16, which a divergence of about d^2 feels
    // as 1e-16 times its root: half a per mille at 1e-24.
    for (const auto& [name, value] :
         {std::pair{"kl", got.kl}, std::pair{"kl_reverse", got.kl_reverse}, std::pair{"js", got.js}}) {
      const double exact = number(want[name]);
      expect_near(value, exact, 1e-11, 5e-16 * std::sqrt(std::fabs(exact)) + 1e-31, name);
    }
    expect_near(got.tv, number(want["tv"]), 1e-12, 2e-16, "tv");
  }
  for (const char* dtype : {"float64", "float32", "float16", "bfloat16"})
    EXPECT_GT(std::count(dtypes.begin(), dtypes.end(), dtype), 20) << dtype;
}

void expect_distribution(const statistics::Distribution& got, const json& want) {
  for (const auto& [name, value] : std::vector<std::pair<const char*, double>>{{"mean", got.mean},
                                                                               {"mean_error", got.mean_error},
                                                                               {"rms", got.rms},
                                                                               {"min", got.min},
                                                                               {"p0_1", got.p0_1},
                                                                               {"p1", got.p1},
                                                                               {"p5", got.p5},
                                                                               {"p10", got.p10},
                                                                               {"p25", got.p25},
                                                                               {"median", got.median},
                                                                               {"p75", got.p75},
                                                                               {"p90", got.p90},
                                                                               {"p95", got.p95},
                                                                               {"p99", got.p99},
                                                                               {"p99_9", got.p99_9},
                                                                               {"max", got.max}})
    expect_near(value, number(want[name]), 1e-12, 1e-18, name);
}

TEST(References, TheRunsReport) {
  const json& want = references()["report"];
  Measurement measurement;
  measurement.prompts.resize(2);
  const std::size_t rows = want["kl_values"].size();
  for (std::size_t i = 0; i < rows; ++i) {
    Step step;
    step.measured = true;
    step.kl = want["kl_values"][i];
    step.p_next = want["p_next"][i];
    step.log_ratio = want["log_ratio"][i];
    step.chosen_candidate = want["flipped"][i].get<bool>() ? 1 : 0;
    measurement.prompts[i % 2].steps.push_back(step);
  }
  measurement.prompts[0].steps.emplace_back();  // a row without logits counts nowhere
  const auto report = statistics::kl_report(measurement);
  EXPECT_EQ(report.rows, static_cast<std::int64_t>(rows));
  expect_distribution(report.kl, want["kl"]);
  expect_distribution(report.delta_p, want["delta_p"]);
  expect_near(report.rms_delta_p_error, want["rms_delta_p_error"], 1e-11, 0, "rms_delta_p_error");
  expect_near(report.same_top_p, want["same_top_p"], 1e-15, 0, "same_top_p");
  expect_near(report.same_top_p_error, want["same_top_p_error"], 1e-13, 0, "same_top_p_error");
  expect_near(report.token_probability_error, want["token_probability_error"], 1e-14, 0,
              "token_probability_error");
}

TEST(References, ARunWithoutLogitsHasNoReport) {
  Measurement measurement;
  measurement.prompts.resize(1);
  measurement.prompts[0].steps.resize(3);
  EXPECT_EQ(statistics::kl_report(measurement).rows, 0);
  EXPECT_TRUE(std::isnan(statistics::kl_report(measurement).kl.mean));
}

}  // namespace
}  // namespace shardrift::analysis
