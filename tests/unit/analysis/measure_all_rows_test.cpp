// Whole files: alignment, verdicts, refusals, the token table's text, JSON.
#include "analysis/measure/measure_all_rows.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <random>

#include "analysis/compare/comparison_presenters.hpp"
#include "analysis/measure/alignment.hpp"
#include "analysis/measure/totals.hpp"
#include "common/text_columns.hpp"
#include "tests/unit/analysis/every_value.hpp"
#include "tests/unit/analysis/example_runs.hpp"

namespace shardrift::analysis {
namespace {

using record::Reader;
using record::testing::error_of;
using record::testing::Scratch;
using record::testing::write_record;
using testing::greedy_prompt;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Rows;
using testing::small_run;

std::vector<record::Row> rows_of(const std::vector<std::array<std::int32_t, 3>>& values) {
  std::vector<record::Row> rows;
  for (const auto& [input, position, chosen] : values) {
    record::Row row;
    row.input_id = input;
    row.position = position;
    row.chosen = chosen;
    rows.push_back(row);
  }
  return rows;
}

TEST(Alignment, GreedyRowsUpToAndIncludingTheFirstFlip) {
  const auto a = rows_of({{7, 4, 1}, {1, 5, 2}, {2, 6, 3}, {3, 7, 4}});
  const auto b = rows_of({{7, 4, 1}, {1, 5, 9}, {9, 6, 3}, {3, 7, 4}});
  const Alignment alignment = align(a, b);
  EXPECT_EQ(alignment.count, 2);  // row 3 was fed 3 at position 7 in both, but after different tokens
  EXPECT_EQ(first_flip(a, b, alignment), 1);
}

TEST(Alignment, ForcedRowsGoOnPastAFlip) {
  const auto a = rows_of({{7, 4, 1}, {1, 5, 2}, {2, 6, 3}});
  const auto b = rows_of({{7, 4, 8}, {1, 5, 2}, {2, 6, 9}});
  EXPECT_EQ(align(a, b).count, 3);
  EXPECT_EQ(first_flip(a, b, align(a, b)), 0);
}

TEST(Alignment, ByPositionNotByRowNumber) {
  const auto score = rows_of({{5, 0, 1}, {6, 1, 1}, {7, 2, 1}, {1, 3, 2}});
  const auto greedy = rows_of({{7, 2, 1}, {1, 3, 2}, {2, 4, 3}});
  const Alignment alignment = align(score, greedy);
  EXPECT_EQ(alignment.reference_begin, 2);
  EXPECT_EQ(alignment.candidate_begin, 0);
  EXPECT_EQ(alignment.count, 2);
  EXPECT_EQ(align(greedy, score).candidate_begin, 2);
  EXPECT_EQ(align({}, greedy).count, 0);
  EXPECT_EQ(align(rows_of({{1, 0, 1}}), rows_of({{1, 5, 1}})).count, 0);
}

// 4 steps over 5 tokens. Step 2's choice hangs on 0.25.
const Rows kRows{{0, 3, 1, 0, 0}, {0, 0, 2, 1, 0}, {0, 1, 0, 1.25, 0}, {4, 0, 0, 0, 0}};

Rows flipped() {
  Rows rows = kRows;
  rows[1][4] = 0.5;  // differs, no flip
  rows[2][1] = 1.5;  // flips 3 -> 1
  rows[3] = {0, 0, 0, 0, 2};
  return rows;
}

class CompareFiles : public ::testing::Test {
 protected:
  Reader write(const std::string& name, const record::RunInfo& run,
               const std::vector<record::PromptRecord>& prompts) {
    write_record(scratch_ / name, run, prompts);
    return Reader::open(scratch_ / name);
  }
  Reader write(const std::string& name, const record::RunInfo& run, const Rows& rows) {
    return write(name, run, {greedy_prompt(run, "p0", 0, rows)});
  }
  Scratch scratch_;
};

TEST_F(CompareFiles, AFileWithItself) {
  const Reader a = write("a.h5", small_run(), kRows);
  const Measurement measurement = measure_all_rows(a, Reader::open(scratch_ / "a.h5"));
  EXPECT_EQ(equality_of(measurement), Equality::bit_equal);
  EXPECT_EQ(prompts_bit_equal(measurement), 1);
  EXPECT_EQ(totals_of(measurement).steps, 4);
  EXPECT_EQ(totals_of(measurement).elements, 20);
  EXPECT_EQ(totals_of(measurement).elements_differ, 0);
  EXPECT_TRUE(measurement.differences.empty());
  EXPECT_FALSE(first_flip(measurement).has_value());
}

TEST_F(CompareFiles, ADifferenceAndAFlip) {
  const Reader a = write("a.h5", small_run(), kRows);
  const Reader b = write("b.h5", small_run(DType::float32, 2), flipped());
  const Measurement measurement = measure_all_rows(a, b);
  EXPECT_EQ(equality_of(measurement), Equality::differs);
  ASSERT_EQ(measurement.prompts.size(), 1U);
  const PromptMeasurement& prompt = measurement.prompts[0];
  EXPECT_FALSE(prompt.bit_equal);
  const Totals totals = totals_of(prompt, 5);
  EXPECT_EQ(totals.steps, 3);  // row 3 was fed another token
  EXPECT_EQ(totals.steps_differ, 2);
  EXPECT_EQ(totals.elements, 15);
  EXPECT_EQ(totals.elements_differ, 2);
  EXPECT_EQ(totals.max_abs, 0.5);
  EXPECT_DOUBLE_EQ(totals.mean_abs(), 1.0 / 15);
  EXPECT_EQ(totals.top1_equal, 2);
  EXPECT_GT(totals.max_kl, totals.mean_kl());
  const Step* flip = flip_of(prompt);
  ASSERT_NE(flip, nullptr);
  EXPECT_EQ(flip->step, 2);
  EXPECT_EQ(flip->position, 10);
  EXPECT_EQ(flip->chosen_reference, 3);
  EXPECT_EQ(flip->chosen_candidate, 1);
  EXPECT_EQ(flip->margin_reference, 0.25);
  // the realised token of a greedy row is the chosen one
  EXPECT_NEAR(flip->log_ratio, std::log(flip->p_candidate / flip->p_reference), 1e-15);
  EXPECT_EQ(first_flip(measurement), 0U);
  EXPECT_EQ(measurement.candidate.shards, 2);
  ASSERT_EQ(measurement.differences.size(), 2U);
  EXPECT_EQ(measurement.differences[0].what, "plan shards");
  EXPECT_EQ(measurement.differences[0].reference, "1");
  EXPECT_EQ(measurement.differences[0].candidate, "2");
}

TEST_F(CompareFiles, BlocksOfALargeRowAreAllSeen) {  // several reads, the difference in the very last element
  record::RunInfo run = small_run();
  run.model.vocabulary = 300'000;
  run.model.vocab.clear();
  std::vector<double> row(300'000);
  row[1] = 1;
  Rows rows(9, row);
  const Reader a = write("a.h5", run, {greedy_prompt(run, "p0", 0, rows)});
  rows[8].back() = 0.5;
  const Reader b = write("b.h5", run, {greedy_prompt(run, "p0", 0, rows)});
  const Measurement measurement = measure_all_rows(a, b);
  EXPECT_EQ(totals_of(measurement).elements, 9 * 300'000);
  EXPECT_EQ(totals_of(measurement).elements_differ, 1);
  EXPECT_EQ(totals_of(measurement).steps_differ, 1);
}

TEST_F(CompareFiles, ThreadsChangeNoValue) {
  record::RunInfo run = small_run(DType::bfloat16);
  run.model.vocabulary = 70'001;
  run.model.vocab.clear();
  std::mt19937 random(5);
  std::normal_distribution<double> normal(0, 2);
  Rows rows(40, std::vector<double>(70'001));
  Rows moved = rows;
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::size_t j = 0; j < rows[i].size(); ++j) {
      rows[i][j] = normal(random);
      moved[i][j] = rows[i][j] + 0.02 * normal(random);
    }
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i][i] = moved[i][i] = 20;
  const Reader a = write("a.h5", run, {greedy_prompt(run, "p0", 0, rows)});
  const Reader b = write("b.h5", run, {greedy_prompt(run, "p0", 0, moved)});
  const std::string one = testing::everything(measure_all_rows(a, b, {.threads = 1}));
  EXPECT_THAT(one, HasSubstr("step=39 "));
  for (const unsigned threads : {2U, 3U, 8U})
    EXPECT_EQ(testing::everything(measure_all_rows(a, b, {.threads = threads})), one) << threads;
}

TEST_F(CompareFiles, DamageInAThreadsBlockIsOneError) {
  record::RunInfo run = small_run();
  run.model.vocabulary = 70'000;
  run.model.vocab.clear();
  const Rows rows(60, std::vector<double>(70'000));
  const Reader a = write("a.h5", run, {greedy_prompt(run, "p0", 0, rows)});
  write("b.h5", run, {greedy_prompt(run, "p0", 0, rows)});
  std::string bytes = record::testing::contents(scratch_ / "b.h5");
  bytes[bytes.size() / 2] ^= 1;
  record::testing::replace_contents(scratch_ / "b.h5", bytes);
  const Error error = error_of([&] { measure_all_rows(a, Reader::open(scratch_ / "b.h5"), {.threads = 3}); });
  EXPECT_EQ(error.code(), ExitCode::bad_data);
  EXPECT_THAT(error.what(), HasSubstr("b.h5: /prompts/p0/logits rows"));
}

TEST_F(CompareFiles, ExactTiesAreCounted) {
  const Reader a = write("a.h5", small_run(), Rows{{1, 1, 0, 0, 0}, {0, 2, 0, 0, 0}});
  const Reader b = write("b.h5", small_run(), Rows{{1, 1, 0.5, 0, 0}, {0, 2, 0, 0, 0}});
  const Measurement measurement = measure_all_rows(a, b);
  EXPECT_EQ(totals_of(measurement).ties_reference, 1);
  EXPECT_EQ(totals_of(measurement).ties_candidate, 1);
}

TEST_F(CompareFiles, TwoDtypesHaveNumbersAndNoBits) {
  const Reader a = write("a.h5", small_run(DType::float32), kRows);
  for (const DType dtype : {DType::float64, DType::bfloat16}) {
    const Reader b = write(std::string(name_of(dtype)) + ".h5", small_run(dtype), kRows);
    const Measurement measurement = measure_all_rows(a, b);
    EXPECT_EQ(equality_of(measurement), Equality::same_numbers);
    EXPECT_EQ(closeness_of(measurement, 0), Closeness::within);
    EXPECT_EQ(totals_of(measurement).elements_differ, 0);
    EXPECT_EQ(totals_of(measurement).steps_differ, 0);
    EXPECT_EQ(prompts_bit_equal(measurement), 0);
    const Comparison comparison{measurement, std::nullopt};
    const std::string text = comparison_text(comparison);
    EXPECT_THAT(text,
                HasSubstr(fmt::format("verdict: the same numbers in 1 of 1 prompt (float32 beside {}: no "
                                      "bits to compare)",
                                      name_of(dtype))));
    EXPECT_THAT(text, HasSubstr("0/4"));  // rows differ
    EXPECT_THAT(text, ::testing::Not(HasSubstr("NO")));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("0/1")));  // bit-equal
    const auto json = nlohmann::json::parse(comparisons_json(a, {comparison}))["candidates"][0];
    EXPECT_EQ(json["verdict"], "same-numbers");
    EXPECT_TRUE(json["prompts_bit_equal"].is_null());
    EXPECT_TRUE(json["prompts"][0]["bit_equal"].is_null());
    EXPECT_EQ(json["prompts"][0]["differs"], false);
    EXPECT_EQ(json["totals"]["steps_differ"], 0);
    std::ostringstream csv;
    write_csv_rows(csv, measurement);
    EXPECT_THAT(csv.str(), HasSubstr(",1,,0,0,"));  // measured, bit_equal, elements_differ
  }
}

TEST_F(CompareFiles, TwoDtypesDifferWhereANumberDoes) {
  const Reader a = write("a.h5", small_run(DType::float32), kRows);
  Rows rows = kRows;
  rows[1][4] = 0.5;
  const Measurement measurement = measure_all_rows(a, write("b.h5", small_run(DType::bfloat16), rows));
  EXPECT_EQ(equality_of(measurement), Equality::differs);
  EXPECT_EQ(totals_of(measurement).steps_differ, 1);
  const Measurement cut =
      measure_all_rows(a, write("c.h5", small_run(DType::bfloat16), Rows(kRows.begin(), kRows.begin() + 2)));
  EXPECT_EQ(equality_of(cut), Equality::inconclusive);
}

TEST_F(CompareFiles, HashesOfTwoDtypesSayNothing) {
  const Reader a = write("a.h5", small_run(), {greedy_prompt(small_run(), "p0", 0, kRows, false)});
  const auto run = small_run(DType::bfloat16);
  const Reader b = write("b.h5", run, {greedy_prompt(run, "p0", 0, kRows, false)});
  EXPECT_EQ(equality_of(measure_all_rows(a, b)), Equality::inconclusive);
}

TEST_F(CompareFiles, WithoutLogitsTheHashSpeaks) {
  const record::RunInfo run = small_run();
  const Reader a = write("a.h5", run, {greedy_prompt(run, "p0", 0, kRows, false)});
  const Reader b = write("b.h5", run, {greedy_prompt(run, "p0", 0, kRows, true)});
  EXPECT_EQ(equality_of(measure_all_rows(a, b)), Equality::bit_equal);
  Rows rows = kRows;
  rows[0][0] = 0.125;
  const Reader c = write("c.h5", run, {greedy_prompt(run, "p0", 0, rows, false)});
  const Measurement measurement = measure_all_rows(a, c);
  EXPECT_EQ(equality_of(measurement), Equality::differs);
  EXPECT_EQ(totals_of(measurement).steps_measured, 0);
  EXPECT_EQ(totals_of(measurement).top1_equal, 4);
  EXPECT_THAT(comparison_text({measurement, std::nullopt}), HasSubstr("NO"));
}

TEST_F(CompareFiles, AShorterEqualRunIsInconclusive) {
  const Reader a = write("a.h5", small_run(), kRows);
  const Reader b = write("b.h5", small_run(), Rows(kRows.begin(), kRows.begin() + 2));
  const Measurement measurement = measure_all_rows(a, b);
  EXPECT_EQ(equality_of(measurement), Equality::inconclusive);
  EXPECT_EQ(totals_of(measurement).steps, 2);
  EXPECT_THAT(comparison_text({measurement, std::nullopt}), HasSubstr("2 of 4"));
}

TEST_F(CompareFiles, PartsAreComparedAsFarAsTheyGo) {
  const record::RunInfo run = small_run();
  const Reader a =
      write("a.h5", run, {greedy_prompt(run, "p0", 0, kRows), greedy_prompt(run, "p1", 1, kRows)});
  const record::WriterOptions options{scratch_ / "b.h5", false, 0};
  prepare_output(options, run);
  record::PartWriter writer(options, run);
  writer.add(greedy_prompt(run, "p1", 1, kRows));
  writer.finish();
  const Measurement measurement = measure_all_rows(a, Reader::open(scratch_ / "b.h5"));
  EXPECT_FALSE(measurement.candidate.complete);
  EXPECT_EQ(equality_of(measurement), Equality::inconclusive);
  EXPECT_THAT(measurement.missing_in_candidate, ::testing::ElementsAre("p0"));
  EXPECT_THAT(comparison_text({measurement, std::nullopt}), HasSubstr("partial"));
}

TEST_F(CompareFiles, RefusesFilesThatDoNotBelongTogether) {
  const record::RunInfo run = small_run();
  const Reader a = write("a.h5", run, kRows);
  const auto refused = [&](const std::string& name, const record::RunInfo& other,
                           const std::vector<record::PromptRecord>& prompts) {
    const Reader b = write(name, other, prompts);
    const Error error = error_of([&] { measure_all_rows(a, b); });
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), HasSubstr(name));
    return std::string(error.what());
  };
  record::RunInfo other = run;
  other.model.vocabulary = 6;
  Rows wide = kRows;
  for (auto& row : wide) row.push_back(0);
  EXPECT_THAT(refused("vocabulary.h5", other, {greedy_prompt(other, "p0", 0, wide)}),
              HasSubstr("vocabulary"));
  auto tokens = greedy_prompt(run, "p0", 0, kRows);
  tokens.prompt.tokens[3] = 2;
  EXPECT_THAT(refused("tokens.h5", run, {tokens}), HasSubstr("prompt p0 has other tokens"));
  EXPECT_THAT(refused("ids.h5", run, {greedy_prompt(run, "p1", 0, kRows)}), HasSubstr("none is in both"));
}

TEST_F(CompareFiles, AnotherCheckpointIsComparedAndSaidFirst) {
  const Reader a = write("a.h5", small_run(), kRows);
  record::RunInfo other = small_run(DType::bfloat16, 2);
  other.model.identity = "model-2";
  other.model.quantization = "int8";
  other.model.vocab[2] = "b";
  const Measurement measurement = measure_all_rows(a, write("b.h5", other, kRows));
  ASSERT_GE(measurement.differences.size(), 4U);
  EXPECT_EQ(measurement.differences[0].what, "model identity");
  EXPECT_EQ(measurement.differences[1].what, "model quantization");
  EXPECT_EQ(measurement.differences[2].what, "model token 2");
  EXPECT_EQ(measurement.differences[2].candidate, "b");
  EXPECT_EQ(equality_of(measurement), Equality::same_numbers);
}

TEST_F(CompareFiles, TheSummarySaysWhatTheFileSays) {
  const Reader a = write("a.h5", small_run(), kRows);
  const Measurement measurement = measure_all_rows(a, write("b.h5", small_run(DType::float32, 2), kRows));
  const RunSummary& run = measurement.candidate;
  EXPECT_EQ(run.name, "b");
  EXPECT_EQ(run.plan, "TP=2, native, float32, cpu");
  EXPECT_EQ(run.prompts, 1);
  EXPECT_EQ(run.prefill_seconds, 2.0);
  EXPECT_EQ(run.decode_seconds, 3.0);
  EXPECT_EQ(run.prefill_tokens, 4);
  EXPECT_EQ(run.decode_tokens, 5);
  EXPECT_EQ(run.run.environment.devices.size(), 2U);
  EXPECT_TRUE(run.run.model.vocab.empty());
}

TEST_F(CompareFiles, TokenTableGoldenText) {
  const Reader a = write("a.h5", small_run(), kRows);
  const Reader b = write("b.h5", small_run(), flipped());
  const Measurement measurement = measure_all_rows(a, b);
  const auto table = token_table(a, b, measurement, {});
  ASSERT_TRUE(table.has_value());
  // The probabilities were worked out by hand: e^3 / (e^3 + e + 3), e^2 / (e^2 + e + 3), …
  EXPECT_EQ(token_table_text(*table),
            R"(token  position  reference  text             p  candidate  text              p
    1         9          1  "Ġthe"    77.8394%          1  "Ġthe"     77.8394%
    2        10          2  "Ġa"      56.3734%          2  "Ġa"       53.7149%
    3        11          3  "line\n"  37.9030%          1  "Ġthe"     40.8465%  <-- here
    4        12          0  "<s>"     93.1738%          4  "\xFF\"q"  64.8786%
)");
}

TEST_F(CompareFiles, TokenTableWindowAndPrompt) {
  const record::RunInfo run = small_run();
  const Reader a =
      write("a.h5", run, {greedy_prompt(run, "p0", 0, kRows), greedy_prompt(run, "p1", 1, kRows)});
  const Reader b =
      write("b.h5", run, {greedy_prompt(run, "p0", 0, kRows), greedy_prompt(run, "p1", 1, flipped())});
  const Measurement measurement = measure_all_rows(a, b);
  const auto flip = token_table(a, b, measurement, {std::nullopt, 1});
  ASSERT_TRUE(flip && flip->rows.size() == 1);
  EXPECT_EQ(flip->prompt, "p1");
  EXPECT_TRUE(flip->rows[0].here);
  const auto named = token_table(a, b, measurement, {"p0", 2});
  ASSERT_TRUE(named && named->rows.size() == 2);
  EXPECT_EQ(named->rows[0].step, 0);
  EXPECT_FALSE(named->rows[0].here || named->rows[1].here);
  EXPECT_EQ(error_of([&] { token_table(a, b, measurement, {"p9", 2}); }).code(), ExitCode::usage);
}

TEST_F(CompareFiles, TextSaysWhatMatters) {
  const Reader a = write("a.h5", small_run(), kRows);
  const Reader b = write("b.h5", small_run(DType::float32, 2), flipped());
  const Measurement measurement = measure_all_rows(a, b);
  const std::string text = comparison_text({measurement, token_table(a, b, measurement, {})});
  EXPECT_THAT(text, HasSubstr("plan shards           1 -> 2"));
  EXPECT_THAT(text,
              HasSubstr("two shards have one possible order (a + b = b + a), order studies need 3 or more"));
  EXPECT_THAT(text, HasSubstr("2 (13.33%)"));
  EXPECT_THAT(text, HasSubstr("<-- here"));
  EXPECT_THAT(text, HasSubstr("verdict: differs"));
  EXPECT_LT(text.find("plan shards"), text.find("elements differ"));
  const std::string summary = summary_text({{measurement, std::nullopt}, {measurement, std::nullopt}});
  EXPECT_THAT(summary, HasSubstr("token 3 of p0"));
  EXPECT_THAT(summary, HasSubstr("TP=2, native, float32, cpu"));
}

TEST_F(CompareFiles, JsonHoldsTheSameNumbers) {
  const Reader a = write("a.h5", small_run(), kRows);
  const Reader b = write("b.h5", small_run(), flipped());
  const Measurement measurement = measure_all_rows(a, b);
  const auto json =
      nlohmann::json::parse(comparisons_json(a, {{measurement, token_table(a, b, measurement, {})}}));
  const auto& candidate = json.at("candidates").at(0);
  EXPECT_EQ(candidate.at("verdict"), "differs");
  EXPECT_EQ(candidate.at("totals").at("elements_differ"), 2);
  EXPECT_EQ(candidate.at("totals").at("max_abs"), 0.5);
  EXPECT_EQ(candidate.at("totals").at("kl_mean").get<double>(), totals_of(measurement).mean_kl());
  EXPECT_EQ(candidate.at("prompts").at(0).at("first_flip").at("step"), 2);
  EXPECT_EQ(candidate.at("prompts").at(0).at("first_flip").at("margin"), 0.25);
  const auto& rows = candidate.at("token_table").at("rows");
  EXPECT_EQ(rows.at(2).at("here"), true);
  EXPECT_EQ(rows.at(2).at("candidate").at("token"), "\xC4\xA0the");
  EXPECT_EQ(rows.at(3).at("candidate").at("token"), "\xEF\xBF\xBD\"q");  // no UTF-8: U+FFFD
}

TEST_F(CompareFiles, NotANumberIsNullInJsonAndSaidInText) {
  Rows rows = kRows;
  rows[1][0] = std::numeric_limits<double>::quiet_NaN();
  const Reader a = write("a.h5", small_run(), kRows);
  const Reader b = write("b.h5", small_run(), rows);
  const Measurement measurement = measure_all_rows(a, b);
  EXPECT_EQ(equality_of(measurement), Equality::differs);
  const Comparison comparison{measurement, std::nullopt};
  const auto json = nlohmann::json::parse(comparisons_json(a, {comparison}))["candidates"][0]["totals"];
  for (const char* key : {"kl_mean", "max_abs", "mean_abs", "rms", "max_abs_delta_p"})
    EXPECT_TRUE(json[key].is_null()) << key;
  EXPECT_EQ(json["not_finite"], 1);
  // No largest difference of 0 beside a KL that is no number, and no "nan" anywhere.
  const std::string text = comparison_text(comparison);
  EXPECT_THAT(text, HasSubstr("NaN in 1 row  NaN in 1 row  NaN in 1 row  NaN in 1 row"));
  EXPECT_THAT(text, HasSubstr("no finite difference"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("nan")));
  EXPECT_THAT(summary_text({comparison}), HasSubstr("NaN in 1 row"));
}

TEST(Quoted, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(quoted("a\x1b[31m\x7f", 20), "\"a\\x1B[31m\\x7F\"");
  EXPECT_EQ(quoted("\xC2\x9B\x80\xE2\x82", 20), "\"\\u009B\\x80\\xE2\\x82\"");
  EXPECT_EQ(quoted("\xE2\x82\xAC\t\\", 20), "\"\xE2\x82\xAC\\t\\\\\"");
  EXPECT_EQ(quoted("\xED\xA0\x80", 20), "\"\\xED\\xA0\\x80\"");  // a surrogate
  EXPECT_EQ(quoted(std::string(50, 'x'), 5), "\"xxxxxx…\"");
}

}  // namespace
}  // namespace shardrift::analysis
