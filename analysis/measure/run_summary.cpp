#include "analysis/measure/run_summary.hpp"

#include "analysis/measure/differences.hpp"
#include "common/text_columns.hpp"

namespace shardrift::analysis {

std::string name_of_run(const std::filesystem::path& path) {
  const auto record = path.extension() == ".parts" ? path.stem() : path;
  return legible(record.stem().string());
}

RunSummary summary_of(const record::Reader& run) {
  RunSummary summary;
  summary.path = run.path().string();
  summary.name = name_of_run(run.path());
  summary.plan = describe_plan(run.run());
  summary.shards = shards_of(run.run());
  summary.complete = run.complete();
  summary.prompts = static_cast<std::int64_t>(run.prompt_ids().size());
  summary.run = run.run();
  summary.run.model.vocab.clear();
  summary.prefill_seconds = run.timing().prefill_seconds;
  summary.decode_seconds = run.timing().decode_seconds;
  summary.prefill_tokens = run.timing().prefill_tokens;
  summary.decode_tokens = run.timing().decode_tokens;
  summary.pace = pace_of(run);
  return summary;
}

}  // namespace shardrift::analysis
