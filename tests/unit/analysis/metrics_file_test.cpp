// Metrics kept beside the records: every value comes back, and never for other records.
#include "analysis/measure/metrics_file.hpp"

#include <gmock/gmock.h>

#include "analysis/measure/measure.hpp"
#include "analysis/measure/measure_all_rows.hpp"
#include "tests/unit/analysis/every_value.hpp"
#include "tests/unit/analysis/example_runs.hpp"

namespace shardrift::analysis {
namespace {

namespace fs = std::filesystem;
using record::Reader;
using record::testing::contents;
using record::testing::error_of;
using record::testing::replace_contents;
using record::testing::Scratch;
using record::testing::write_record;
using testing::everything;
using testing::greedy_prompt;
using ::testing::HasSubstr;
using testing::Rows;
using testing::small_run;

const Rows kRows{{0, 3, 1, 0, 0}, {0, 0, 2, 1, 0}, {0, 1, 0, 1.25, 0}, {4, 0, 0, 0, 0}};

class Kept : public ::testing::Test {
 protected:
  void SetUp() override {
    auto run = small_run();
    run.environment.collectives = {{"all-reduce",
                                    4,
                                    "float32",
                                    2,
                                    "mpi",
                                    "4.1.4",
                                    "",
                                    "",
                                    "",
                                    "",
                                    "probed",
                                    false,
                                    {{0, 4, 0}},
                                    {"0+1"}}};
    write_record(reference_, run,
                 {greedy_prompt(run, "p0", 0, kRows), greedy_prompt(run, "p1", 1, kRows, false)});
    write_candidate(0.25);
  }
  void write_candidate(double changed) {
    fs::remove(candidate_);
    auto run = small_run(DType::float32, 2);
    Rows rows = kRows;
    rows[0][4] = std::numeric_limits<double>::quiet_NaN();
    rows[1][4] = changed;
    rows[2][1] = 1.5;
    write_record(candidate_, run,
                 {greedy_prompt(run, "p0", 0, rows), greedy_prompt(run, "p1", 1, kRows, false)});
  }
  Measurement measured() {
    return measure(Reader::open(reference_), Reader::open(candidate_),
                   {.say = [&](const std::string& text) { said_ += text + "\n"; }});
  }
  MeasuredFrom identities() {
    return {*Reader::open(reference_).identity(), *Reader::open(candidate_).identity()};
  }
  Measurement afresh() { return measure_all_rows(Reader::open(reference_), Reader::open(candidate_)); }

  Scratch scratch_;
  fs::path reference_ = scratch_ / "one.h5";
  fs::path candidate_ = scratch_ / "tp2.h5";
  fs::path file_ = scratch_ / "tp2.vs.one.metrics";
  std::string said_;
};

TEST_F(Kept, EveryValueComesBack) {
  const std::string want = everything(afresh());
  EXPECT_EQ(metrics_path(reference_, candidate_), file_);
  EXPECT_EQ(everything(measured()), want);
  ASSERT_TRUE(fs::exists(file_));
  EXPECT_EQ(everything(read_metrics(file_).measurement), want);
  EXPECT_EQ(everything(measured()), want);
  EXPECT_EQ(said_, "");
}

// A changed value in the kept file shows that it is what the second call reads.
TEST_F(Kept, TheSecondCallDoesNotMeasure) {
  auto marked = afresh();
  marked.prompts[0].steps[0].kl = 77;
  write_metrics(file_, marked, identities());
  EXPECT_EQ(measured().prompts[0].steps[0].kl, 77);
  const auto again =
      measure(Reader::open(reference_), Reader::open(candidate_), {.use_kept = false, .keep = false});
  EXPECT_NE(again.prompts[0].steps[0].kl, 77);
  EXPECT_EQ(measured().prompts[0].steps[0].kl, 77);
}

TEST_F(Kept, AnotherRunOfTheSameNameIsMeasuredAgain) {
  EXPECT_EQ(measured().prompts[0].steps[1].max_abs, 0.25);
  write_candidate(0.5);  // the same size, key and created
  EXPECT_EQ(measured().prompts[0].steps[1].max_abs, 0.5);
  EXPECT_EQ(read_metrics(file_).measurement.prompts[0].steps[1].max_abs, 0.5);
  EXPECT_EQ(said_, "");
}

TEST_F(Kept, ATouchedFileIsMeasuredAgain) {
  auto marked = afresh();
  marked.prompts[0].steps[0].kl = 77;
  write_metrics(file_, marked, identities());
  fs::last_write_time(reference_, fs::last_write_time(reference_) + std::chrono::seconds(1));
  EXPECT_NE(measured().prompts[0].steps[0].kl, 77);
}

TEST_F(Kept, UnderAnotherNameItIsNamedAsGiven) {
  measured();
  const auto elsewhere = scratch_ / "sub";
  fs::create_directory(elsewhere);
  fs::rename(candidate_, elsewhere / "x.h5");
  fs::rename(file_, elsewhere / "x.vs.one.metrics");
  const auto measurement = measure(Reader::open(reference_), Reader::open(elsewhere / "x.h5"));
  EXPECT_EQ(measurement.candidate.name, "x");
  EXPECT_EQ(measurement.candidate.path, (elsewhere / "x.h5").string());
}

TEST_F(Kept, DamagedMetricsAreSaidAndMeasuredAgain) {
  const std::string want = everything(measured());
  const std::string good = contents(file_);
  replace_contents(file_, good.substr(0, good.size() / 2));
  EXPECT_EQ(everything(measured()), want);
  EXPECT_THAT(said_, HasSubstr("tp2.vs.one.metrics"));
  EXPECT_THAT(said_, HasSubstr("measuring again"));
  EXPECT_EQ(everything(read_metrics(file_).measurement), want);
}

TEST_F(Kept, APaceThatCannotBeIsRefused) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const Pace& pace : {Pace{1, true, 1, 2, 3}, Pace{1, true, 4, 2, 3}, Pace{-1, true, 2, 1, 3},
                           Pace{1, true, kNan, 1, 3}, Pace{1, true, 2, 1, kInfinity}, Pace{1, true, 2, -1, 3},
                           Pace{1, true, 0, 0, 0}, Pace{0, true, 2, 1, 3}}) {
    auto measurement = afresh();
    measurement.candidate.pace = pace;
    write_metrics(file_, measurement, identities());
    said_.clear();
    EXPECT_EQ(everything(measured()), everything(afresh()));
    EXPECT_THAT(said_, HasSubstr("/candidate/pace: no times of passes"));
  }
  auto measurement = afresh();
  measurement.candidate.pace = {7, false, 2, 1, 3};
  write_metrics(file_, measurement, identities());
  EXPECT_EQ(everything(read_metrics(file_).measurement), everything(measurement));
}

TEST_F(Kept, WhereNothingCanBeKeptItIsSaid) {
  fs::create_directory(file_);  // stands for a folder that cannot be written: tests may run as root
  replace_contents(file_ / "in the way", "x");
  EXPECT_EQ(everything(measured()), everything(afresh()));
  EXPECT_THAT(said_, HasSubstr("the metrics are not kept"));
  for (const auto& entry : fs::directory_iterator(scratch_.path()))
    EXPECT_NE(entry.path().extension(), ".tmp");
}

TEST_F(Kept, PartsAreNotKept) {
  const auto run = small_run();
  const record::WriterOptions options{scratch_ / "parts.h5", false, 0};
  prepare_output(options, run);
  record::PartWriter writer(options, run);
  writer.add(greedy_prompt(run, "p0", 0, kRows));
  writer.finish();
  const auto measurement = measure(Reader::open(reference_), Reader::open(scratch_ / "parts.h5"));
  EXPECT_FALSE(measurement.candidate.complete);
  EXPECT_EQ(measurement.candidate.name, "parts");
  EXPECT_FALSE(fs::exists(metrics_path(reference_, scratch_ / "parts.h5")));
}

TEST_F(Kept, ARecordIsNoMetricsFileAndTheOtherWayRound) {
  measured();
  EXPECT_THAT(error_of([&] { read_metrics(reference_); }).what(), HasSubstr("not a metrics file"));
  EXPECT_THAT(error_of([&] { Reader::open(file_); }).what(), HasSubstr("not a record"));
}

}  // namespace
}  // namespace shardrift::analysis
