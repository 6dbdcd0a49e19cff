// make_runs FOLDER CONFIGURATIONS PROMPTS ROWS: records of made-up runs (level top: no logits) with metrics
// kept beside them, as compare leaves them: FOLDER/one.h5, FOLDER/c00.h5, … For timing the report without a
// model.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "analysis/measure/metrics_file.hpp"
#include "record/reader.hpp"
#include "record/writer.hpp"
#include "tests/support/synthetic_measurement.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
constexpr int kVocabulary = 32000;

record::RunInfo run_info(const analysis::RunSummary& summary) {
  record::RunInfo run = summary.run;
  run.plan = summary.plan;
  run.level = "top";
  run.prompts_hash = "made up";
  for (int id = 0; id < kVocabulary; ++id) run.model.vocab.push_back(fmt::format("word{}", id));
  return run;
}

// The measured rows, and after a flip a text of its own to the end.
record::PromptRecord prompt_record(const analysis::PromptMeasurement& measured, bool reference, int rows,
                                   std::uint64_t seed) {
  Draws draws(seed + static_cast<std::uint64_t>(measured.index));
  record::PromptRecord record;
  record.prompt = {measured.id, measured.index, "made up", "text", {}};
  for (std::int64_t i = 0; i < measured.prompt_tokens; ++i)
    record.prompt.tokens.push_back(static_cast<std::int32_t>(i));
  record.stop = "length";
  record.hash = std::string(64, '0');
  record.top.k = 1;
  std::int32_t input = record.prompt.tokens.back();
  for (int i = 0; i < rows; ++i) {
    const auto* step = static_cast<std::size_t>(i) < measured.steps.size()
                           ? &measured.steps[static_cast<std::size_t>(i)]
                           : nullptr;
    record::Row row;
    row.input_id = input;
    row.position = static_cast<std::int32_t>(measured.prompt_tokens) - 1 + i;
    row.chosen = step == nullptr ? draws.below(kVocabulary)
                 : reference     ? step->chosen_reference
                                 : step->chosen_candidate;
    input = row.chosen;
    record.rows.push_back(row);
    record.top.ids.push_back(row.chosen);
    record.top.log_probabilities.push_back(-0.5F);
  }
  return record;
}

void write_record(const fs::path& output, const analysis::RunSummary& summary,
                  const std::vector<analysis::PromptMeasurement>& prompts, bool reference, int rows,
                  std::uint64_t seed) {
  const record::WriterOptions options{output, true, 0};
  const auto run = run_info(summary);
  record::prepare_output(options, run);
  record::PartWriter writer(options, run);
  for (const auto& prompt : prompts) writer.add(prompt_record(prompt, reference, rows, seed));
  writer.finish();
  record::assemble(options, run, {});
}

void make_runs(const fs::path& folder, int configurations, int prompts, int rows) {
  fs::create_directories(folder);
  const fs::path reference = folder / "one.h5";
  const auto exact = synthetic_measurement({"one", 1, 0, prompts, rows});
  write_record(reference, exact.reference, exact.prompts, true, rows, 1);
  for (int i = 0; i < configurations; ++i) {
    const auto seed = static_cast<std::uint64_t>(i + 1);
    const auto measurement = synthetic_measurement(
        {fmt::format("c{:02}", i), 2 + i % 3, i % 5 == 4 ? 0 : 0.01 * (1 + i % 7), prompts, rows, seed});
    const fs::path file = folder / (measurement.candidate.name + ".h5");
    write_record(file, measurement.candidate, measurement.prompts, false, rows, seed);
    analysis::write_metrics(
        analysis::metrics_path(reference, file), measurement,
        {*record::Reader::open(reference).identity(), *record::Reader::open(file).identity()});
  }
}

}  // namespace
}  // namespace shardrift::testing

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("usage: make_runs FOLDER CONFIGURATIONS PROMPTS ROWS\n", stderr);
    return 64;
  }
  try {
    shardrift::testing::make_runs(argv[1], std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_runs: %s\n", error.what());
    return 70;
  }
  return 0;
}
