// What two runs were told and where they ran: the possible causes of everything compare finds.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "record/record.hpp"

namespace shardrift::analysis {

struct Difference {
  std::string what;  // "plan shards", "library nccl", "device 0 name"
  std::string reference;
  std::string candidate;  // "" where one side has none
};

// What an engine's record does not say is no difference. Model first (another checkpoint explains most), then
// plan and mode, then devices, libraries, settings, variables.
std::vector<Difference> differences_of(const record::RunInfo& reference, const record::RunInfo& candidate);

// The first key that both config.json texts have with other values (numbers: further apart than float32
// tells, as GGUF files hold them), or the quantization that only one has. Keys that change no number, such as
// special token ids and dtypes, are passed over. nullopt: there is none, or a text is no JSON object.
std::optional<Difference> config_difference(const std::string& reference, const std::string& candidate);

// Who computed it, where that was not shardrift-run: the plan's `engine`, in its writer's words; else empty.
std::string engine_of(const record::RunInfo& run);
// Both say which weights they are of, and these are not the same.
bool other_weights(const record::RunInfo& reference, const record::RunInfo& candidate);
// Whether the experts are another run's choice, as the worker says it (--replay-routes).
bool replays_routes(const record::RunInfo& run);
// "TP=2, native, bfloat16, cpu", and ", routes replayed"; where the plan is one this version does not
// understand, its JSON. Of an engine's record the engine.
std::string describe_plan(const record::RunInfo& run);
// Shards of the plan; 0 where it does not say.
int shards_of(const record::RunInfo& run);

}  // namespace shardrift::analysis
