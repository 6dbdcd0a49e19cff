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

// What repeats move is noise, whatever makes it; what exceeds them is not.
TEST_F(DiagnosisOf, RepeatsWidenTheBand) {
  EXPECT_EQ(diagnosed(moved(2, 0.2F)).finding, Finding::defect);
  const auto again = diagnosed(moved(2, 0.2F), {moved(2, 0.15F), moved(2, 0.3F)});
  EXPECT_EQ(again.finding, Finding::noise);
  ASSERT_TRUE(again.run_to_run);
  EXPECT_EQ(again.run_to_run->floor.rows, 6);
  EXPECT_EQ(again.run_to_run->floor.rows_differ, 6);
  EXPECT_THAT(diagnosis_text(again), HasSubstr("run-to-run: 2 repeats, the bits of 6 of 6 rows (100%) move"));
  const auto still = diagnosed(moved(2, 0.9F), {moved(2, 0.9F)});
  EXPECT_EQ(still.finding, Finding::defect);
  EXPECT_THAT(diagnosis_text(still), HasSubstr("run-to-run: 1 repeat, no bit of 3 rows moves"));
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
  write("repeats", diagnosed(moved(2, 0.2F), {moved(2, 0.15F)}));
}

}  // namespace
}  // namespace shardrift::analysis
