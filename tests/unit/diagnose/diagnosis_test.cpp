// From records to a finding, its sentences and its JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "analysis/diagnose/diagnosis_presenters.hpp"
#include "tests/unit/diagnose/sketched_runs.hpp"

namespace shardrift::analysis {
namespace {

using record::Operation;
using record::Reader;
using record::testing::Scratch;
using record::testing::write_record;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Rows;
using testing::set_output;
using testing::sketched_prompt;
using testing::sketched_run;

const Rows kRows{{1, 0, 0, 0, 0}, {0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}};

// Two ranks against one device; in the band the last sums move by a thousandth.
class DiagnosisOf : public ::testing::Test {
 protected:
  record::PromptRecord moved(int shards, float by) {
    auto rows = kRows;
    for (auto& row : rows) row[4] += by;
    auto prompt = sketched_prompt("p0", 0, rows, shards);
    for (std::int64_t row = 0; row < 3; ++row)
      set_output(prompt, {Operation::mlp_sum, 1}, 0, row, {1 + by, 2, 3, 4});
    return prompt;
  }
  const std::filesystem::path& file(const std::string& name, int shards, const record::PromptRecord& prompt) {
    const auto folder = scratch_ / std::to_string(paths_.size());
    std::filesystem::create_directories(folder);
    const auto path = folder / (name + ".h5");
    write_record(path, sketched_run(shards), {prompt});
    return paths_.emplace_back(path);
  }
  Diagnosis diagnosed(const record::PromptRecord& candidate,
                      const std::vector<record::PromptRecord>& repeats = {}, float reference = 0,
                      float shards = 0.001F) {
    std::vector<Reader> readers;
    const auto open = [&](const std::string& name, int count, const record::PromptRecord& prompt) {
      readers.push_back(Reader::open(file(name, count, prompt)));
    };
    open("one", 1, moved(1, reference));
    open("tp2", 2, candidate);
    open("candidate", 2, moved(2, shards));
    open("reference", 1, moved(1, 0));
    open("shards-3", 1, moved(1, 0.0012F));
    open("order", 2, moved(2, shards - 0.002F));
    for (std::size_t i = 0; i < repeats.size(); ++i) open(fmt::format("again-{}", i), 2, repeats[i]);
    std::vector<MadeRun> made{{{RunRole::candidate, "candidate", plan_of(2)}, &readers[2]},
                              {{RunRole::reference, "reference", plan_of(1)}, &readers[3]},
                              {{RunRole::shards, "shards-3", plan_of(1)}, &readers[4]},
                              {{RunRole::order, "order", plan_of(2)}, &readers[5]}};
    std::vector<const Reader*> again;
    for (std::size_t i = 0; i < repeats.size(); ++i) again.push_back(&readers[6 + i]);
    return diagnose(readers[0], readers[1], made, again);
  }
  static Plan plan_of(int shards) {
    Plan plan;
    plan.shards = plan.tensor_parallel = shards;
    return plan;
  }
  Scratch scratch_;
  std::vector<std::filesystem::path> paths_;
};

TEST_F(DiagnosisOf, ARunWithOneDevicesBitsIsNoise) {
  const auto diagnosis = diagnosed(moved(2, 0.001F));
  EXPECT_EQ(diagnosis.finding, Finding::noise);
  EXPECT_TRUE(diagnosis.find(Side::candidate)->equal());
  EXPECT_TRUE(diagnosis.to_record.empty());
  EXPECT_THAT(diagnosis_text(diagnosis), AllOf(HasSubstr("noise\n"), HasSubstr("tp2 has every bit")));
}

TEST_F(DiagnosisOf, ADriftWithinTheBandIsNoise) {
  const auto diagnosis = diagnosed(moved(2, 0.003F));
  EXPECT_EQ(diagnosis.finding, Finding::noise);
  EXPECT_FALSE(diagnosis.find(Side::candidate)->equal());
  EXPECT_EQ(diagnosis.find(Side::candidate)->rows_differ, 3);
  const auto text = diagnosis_text(diagnosis);
  EXPECT_THAT(text, AllOf(HasSubstr("tp2 differs from its own plan on one device in 3 of 3 rows, as far as "
                                    "rounding may drive it: "),
                          HasSubstr(" times what rounding makes in the worst row, in "),
                          HasSubstr("; unclear would be more than 8 or 3, a defect more than 16 or 6")));
  EXPECT_THAT(text, Not(HasSubstr("Logits alone")));
}

TEST_F(DiagnosisOf, NoiseByLogitsAloneSaysWhatTheyDoNotShow) {
  auto candidate = moved(2, 0.003F);
  candidate.sketches = {};
  candidate.hidden = {};
  const auto diagnosis = diagnosed(candidate);
  EXPECT_EQ(diagnosis.finding, Finding::noise);
  const auto& logits = diagnosis.find(Side::candidate)->drifts.back();
  EXPECT_THAT(
      diagnosis_text(diagnosis),
      AllOf(HasSubstr(fmt::format("{:.3g} times what rounding makes in the worst row, in logits, {:.3g} "
                                  "times in the root mean square over rows; unclear",
                                  logits.worst, logits.mean)),
            HasSubstr("Logits alone were seen: a defect that moves them less than 8 times as far as "
                      "rounding does in every row, and 1.3 times in the mean, is not seen so.\n"),
            HasSubstr("record: --sketches")));
}

TEST_F(DiagnosisOf, ADefectIsNamedWithItsShardAndRank) {
  auto candidate = moved(2, 0.001F);
  set_output(candidate, {Operation::gate_up, 1}, 1, 2, {3, 9}, 2);
  set_output(candidate, {Operation::mlp_sum, 1}, 0, 2, {1, 2, 9, 4});  // and so all after it
  const auto diagnosis = diagnosed(candidate);
  ASSERT_EQ(diagnosis.finding, Finding::defect);
  const auto& defect = *diagnosis.defect;
  EXPECT_EQ(defect.side, Side::candidate);
  EXPECT_TRUE((defect.departure.point == record::Point{Operation::gate_up, 1}));
  EXPECT_THAT(defect.departure.shards, ElementsAre(1));
  EXPECT_THAT(defect.ranks, ElementsAre(1));
  EXPECT_EQ(defect.row.position, 2);
  const auto text = diagnosis_text(diagnosis);
  EXPECT_THAT(
      text,
      AllOf(HasSubstr("defect: gate_up of layer 1, shard 1 of 2 (rank 1); worst in prompt p0, position 3"),
            HasSubstr("look at weights and biases of gate and up")));
  const auto json = nlohmann::json::parse(diagnosis_json(diagnosis));
  EXPECT_EQ(json["finding"], "defect");
  EXPECT_EQ(json["defect"]["operation"], "gate_up");
  EXPECT_EQ(json["defect"]["ranks"], nlohmann::json({1}));
}

TEST_F(DiagnosisOf, ADefectOfTheReferenceOrOfTheArithmeticOfShardsIsSaidSo) {
  const auto reference = diagnosed(moved(2, 0.001F), {}, 0.9F);
  ASSERT_EQ(reference.finding, Finding::defect);
  EXPECT_EQ(reference.defect->side, Side::reference);
  EXPECT_THAT(diagnosis_text(reference), HasSubstr("of the reference"));
  // One device computing the candidate's plan is as wrong as the candidate: its bits are no excuse.
  const auto shards = diagnosed(moved(2, 0.9F), {}, 0, 0.9F);
  ASSERT_EQ(shards.finding, Finding::defect);
  EXPECT_EQ(shards.defect->side, Side::shards);
  EXPECT_TRUE(shards.find(Side::candidate)->equal());
}

TEST_F(DiagnosisOf, BetweenTheTwoNothingIsSaid) {
  const auto diagnosis = diagnosed(moved(2, 0.001F + 0.0105F));
  EXPECT_EQ(diagnosis.finding, Finding::cannot_tell);
  EXPECT_THAT(diagnosis_text(diagnosis),
              AllOf(HasSubstr("cannot tell\n"), HasSubstr("record: more prompts")));
}

TEST_F(DiagnosisOf, WithoutLogitsNothingCanBeSaid) {
  auto candidate = moved(2, 0.001F);
  candidate.sketches = {};
  candidate.hidden = {};
  candidate.logits.clear();
  const auto diagnosis = diagnosed(candidate);
  EXPECT_EQ(diagnosis.finding, Finding::cannot_tell);
  EXPECT_THAT(diagnosis_text(diagnosis), HasSubstr("record: --record logits --sketches"));
}

// llama.cpp's base files: coded, and cut off.
TEST_F(DiagnosisOf, LogProbabilitiesThatAreCutOffCannotTell) {
  auto prompt = moved(1, 0.9F);
  prompt.sketches = {};
  prompt.hidden = {};
  auto run = sketched_run(1);
  write_record(scratch_ / "one.h5", run, {prompt});
  run.environment.settings["logits"] = "log-probabilities, rounded to 16 bits and cut off there";
  write_record(scratch_ / "kld.h5", run, {prompt});
  const auto one = Reader::open(scratch_ / "one.h5");
  const auto kld = Reader::open(scratch_ / "kld.h5");
  EXPECT_FALSE(without_runs(kld, one));
  const auto diagnosis = without_runs(one, kld);
  ASSERT_TRUE(diagnosis);
  EXPECT_EQ(diagnosis->finding, Finding::cannot_tell);
  EXPECT_THAT(diagnosis_text(*diagnosis), HasSubstr("kld.h5: its log-probabilities are cut off"));
  // As a reference it is not judged.
  const std::vector<MadeRun> made{{{RunRole::candidate, "candidate", plan_of(1)}, &one}};
  const auto beside = diagnose(kld, one, made);
  EXPECT_EQ(beside.find(Side::reference), nullptr);
  EXPECT_EQ(beside.finding, Finding::noise);
  EXPECT_THAT(diagnosis_text(beside), HasSubstr("kld: its log-probabilities are cut off"));
}

TEST_F(DiagnosisOf, HiddenStatesNameTheLayerAlone) {
  auto candidate = moved(2, 0.001F);
  candidate.sketches = {};
  testing::set_hidden(candidate, 2, 1, 0, 50);
  const auto diagnosis = diagnosed(candidate);
  ASSERT_EQ(diagnosis.finding, Finding::defect);
  EXPECT_THAT(diagnosis_text(diagnosis),
              AllOf(HasSubstr("defect: layer 1; "), HasSubstr("record: --sketches")));
}

TEST_F(DiagnosisOf, LogitsAloneNameNoPlace) {
  auto candidate = moved(2, 0.9F);
  candidate.sketches = {};
  candidate.hidden = {};
  EXPECT_THAT(diagnosis_text(diagnosed(candidate)),
              AllOf(HasSubstr("defect: somewhere before the logits; "),
                    HasSubstr("departs from its own plan on one device somewhere before the logits: by ")));
}

// An engine whose bits change from run to run: all its runs are as near their plan as rounding drives them.
TEST_F(DiagnosisOf, RepeatsNearThePlanAreNoise) {
  const auto diagnosis = diagnosed(moved(2, 0.003F), {moved(2, 0), moved(2, 0.002F)});
  EXPECT_EQ(diagnosis.finding, Finding::noise);
  ASSERT_TRUE(diagnosis.run_to_run);
  EXPECT_EQ(diagnosis.run_to_run->floor.rows, 6);
  EXPECT_EQ(diagnosis.run_to_run->floor.rows_differ, 6);
  EXPECT_THAT(
      diagnosis_text(diagnosis),
      AllOf(HasSubstr("2 repeats of it, held against the same run, are within rounding as well: at most "),
            HasSubstr("run-to-run: 2 repeats, the bits of 6 of 6 rows (100%) move")));
}

// A fault in one of the two is no noise, whichever has it.
TEST_F(DiagnosisOf, ARunAndARepeatOfTwoKindsCannotTell) {
  const auto faulty = diagnosed(moved(2, 0.2F), {moved(2, 0.003F)});
  EXPECT_EQ(faulty.finding, Finding::cannot_tell);
  EXPECT_FALSE(faulty.defect);
  EXPECT_EQ(faulty.repeats.front().size, Size::within);
  EXPECT_THAT(diagnosis_text(faulty),
              AllOf(HasSubstr("a run and its repeat are not of one kind: again-0 ("),
                    HasSubstr(" is within what rounding makes, tp2 is not"),
                    HasSubstr("tp2 departs from its own plan on one device in mlp_sum of layer 1"),
                    HasSubstr("record: more repeats")));
  const auto excused = diagnosed(moved(2, 0.003F), {moved(2, 0.002F), moved(2, 0.2F)});
  EXPECT_EQ(excused.finding, Finding::cannot_tell);
  EXPECT_THAT(diagnosis_text(excused), HasSubstr("not of one kind: tp2 and again-0 ("));
  // What is wrong without any repeat stays so.
  EXPECT_EQ(diagnosed(moved(2, 0.9F), {moved(2, 0.002F)}, 0, 0.9F).finding, Finding::defect);
}

// Nor do two that are wrong alike, or each in its own way, excuse each other.
TEST_F(DiagnosisOf, RepeatsThatAreWrongTooExcuseNothing) {
  EXPECT_EQ(diagnosed(moved(2, 0.2F)).finding, Finding::defect);
  EXPECT_EQ(diagnosed(moved(2, 0.2F), {moved(2, 0.15F), moved(2, 0.3F)}).finding, Finding::defect);
  const auto alike = diagnosed(moved(2, 0.9F), {moved(2, 0.9F)});
  EXPECT_EQ(alike.finding, Finding::defect);
  EXPECT_THAT(diagnosis_text(alike), HasSubstr("run-to-run: 1 repeat, no bit of 3 rows moves"));
}

TEST_F(DiagnosisOf, OnlyARepeatIsTakenForOne) {
  const auto written = [&](const std::string& name, int shards, const auto& change) {
    auto run = sketched_run(shards);
    run.created = "2026-11-30T00:00:00Z of " + name;
    auto prompt = moved(shards, 0.001F);
    change(run, prompt);
    write_record(scratch_ / (name + ".h5"), run, {prompt});
    return Reader::open(scratch_ / (name + ".h5"));
  };
  const auto nothing = [](auto&, auto&) {};
  const auto candidate = written("tp2", 2, nothing);
  const auto again = written("again", 2, nothing);
  EXPECT_NO_THROW(require_repeats(candidate, {&again}));
  const auto refused = [&](const std::vector<const Reader*>& repeats) {
    const auto error = record::testing::error_of([&] { require_repeats(candidate, repeats); });
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    return std::string(error.what());
  };
  EXPECT_THAT(refused({&candidate}), HasSubstr("tp2.h5: it is the same file"));
  EXPECT_THAT(refused({&again, &again}), HasSubstr("again.h5: it is the same file"));
  const auto one = written("one", 1, nothing);
  EXPECT_THAT(refused({&one}), AllOf(HasSubstr("one.h5: is no repeat of "), HasSubstr(" against ")));
  const auto other = written("other", 2, [](auto& run, auto&) { run.model.identity = "another"; });
  EXPECT_THAT(refused({&other}), HasSubstr("model another against "));
  const auto half = written("half", 2, [](auto& run, auto&) { run.model.dtype = "float16"; });
  EXPECT_THAT(refused({&half}), HasSubstr("computed in float16 against "));
  const auto bare = written("bare", 2, [](auto&, auto& prompt) {
    prompt.sketches = {};
    prompt.hidden = {};
    prompt.logits.clear();
  });
  EXPECT_THAT(refused({&bare}), HasSubstr("bare.h5: has no logits"));
  const auto fed = written("fed", 2, [](auto&, auto& prompt) { prompt.prompt.id = "p9"; });
  EXPECT_THAT(refused({&fed}), HasSubstr("no row was fed the same tokens"));
}

// For json_schema.py: every kind of document there is.
TEST_F(DiagnosisOf, WritesJsonToBeCheckedAgainstItsSchema) {
  const auto out = std::filesystem::path(SHARDRIFT_BINARY_DIR) / "tests" / "diagnose-json";
  std::filesystem::remove_all(out);
  std::filesystem::create_directories(out);
  const auto write = [&](const std::string& name, const Diagnosis& diagnosis) {
    std::ofstream(out / (name + ".json")) << diagnosis_json(diagnosis);
  };
  write("noise", diagnosed(moved(2, 0.003F)));
  write("defect", diagnosed(moved(2, 0.9F)));
  write("cannot-tell", diagnosed(moved(2, 0.0115F)));
  write("repeats", diagnosed(moved(2, 0.2F), {moved(2, 0.003F)}));
}

}  // namespace
}  // namespace shardrift::analysis
