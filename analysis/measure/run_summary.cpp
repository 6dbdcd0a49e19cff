#include "analysis/measure/run_summary.hpp"

#include "analysis/measure/differences.hpp"

namespace shardrift::analysis {

RunSummary summary_of(const record::Reader& run) {
  RunSummary summary;
  summary.path = run.path().string();
  const auto path = run.path().extension() == ".parts" ? run.path().stem() : run.path();
  summary.name = path.stem().string();
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
