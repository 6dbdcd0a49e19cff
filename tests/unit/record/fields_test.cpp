// What a record says about its run: no field of its tables can be forgotten in the file.
#include "record/record_fields.hpp"

#include "common/field_text.hpp"
#include "tests/support/changed_field.hpp"
#include "tests/unit/record/example_record.hpp"

namespace shardrift::record {
namespace {

using testing::example_collective;
using testing::example_prompt;
using testing::example_run;
using testing::Scratch;

// Every row of `got` has the value that it has in `want`.
template <typename Value>
void expect_same(const Value& got, const Value& want, std::string_view changed) {
  for_each_field(want, [&](const auto& row, const auto& field) {
    EXPECT_EQ(std::invoke(row.access, got), field) << row.key << " where " << changed << " was changed";
  });
}

RunInfo round_trip(const RunInfo& run) {
  const Scratch scratch;
  testing::write_record(scratch / "o.h5", run, {example_prompt(run, "a", 0)});
  return Reader::open(scratch / "o.h5").run();
}

// Changes each field of one part of a run alone, and looks at that part after writing and reading.
template <typename Part>
void expect_survival(RunInfo run, Part&& part) {
  const auto usual = part(run);
  for_each_field(usual, [&](const auto& changed, const auto& before) {
    auto& value = part(run) = usual;
    for_each_field(value, [&](const auto& row, auto& field) {
      if (row.key == changed.key) change(field);
    });
    EXPECT_NE(std::invoke(changed.access, value), before) << changed.key;
    RunInfo read = round_trip(run);
    expect_same(part(read), value, changed.key);
  });
}

TEST(RecordFields, EachChangedAloneSurvivesTheFile) {
  RunInfo run = example_run(DType::bfloat16);
  run.environment.collectives = {example_collective()};
  expect_survival(run, [](RunInfo& one) -> ModelInfo& { return one.model; });
  expect_survival(run, [](RunInfo& one) -> DeviceInfo& { return one.environment.devices[1]; });
  expect_survival(run, [](RunInfo& one) -> RunInfo& { return one; });
}

TEST(RecordFields, EachOfACollectiveSurvivesTheFile) {
  RunInfo run = example_run();
  run.environment.collectives = {example_collective()};
  const auto usual = example_collective();
  for_each_field(usual, [&](const auto& changed, const auto&) {
    auto& one = run.environment.collectives[0] = usual;
    for_each_field(one, [&](const auto& row, auto& field) {
      if (row.key == changed.key) change(field);
    });
    one.segments.back().end = one.count;  // they cover it
    EXPECT_EQ(round_trip(run).environment.collectives.at(0), one) << changed.key;
  });
}

TEST(RecordFields, EachOfTheTimingSurvivesTheFile) {
  const Scratch scratch;
  const RunInfo run = example_run();
  RunTiming timing;
  double number = 1;
  for_each_field(timing, [&](const auto&, auto& field) {
    field = static_cast<std::remove_reference_t<decltype(field)>>(number++);
  });
  const WriterOptions options{scratch / "o.h5", false, 0};
  prepare_output(options, run);
  {
    PartWriter writer(options, run);
    writer.add(example_prompt(run, "a", 0));
    writer.finish();
  }
  assemble(options, run, timing);
  expect_same(Reader::open(scratch / "o.h5").timing(), timing, "everything");
}

}  // namespace
}  // namespace shardrift::record
