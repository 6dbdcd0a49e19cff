// Defects planted in the arithmetic after weights are loaded are found, and named, from the numbers alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "analysis/diagnose/words.hpp"
#include "tests/integration/diagnose/device_runs.hpp"

namespace shardrift::testing {
namespace {

using record::Operation;
using enum FaultKind;

struct Planted {
  Subject subject;
  int shards = 2;
  Fault fault;
  record::Point point;           // where it has to be found
  std::string order = "linear";  // of the candidate, whose ranks' order the diagnosis does not know
};

std::string name_of_case(const Planted& planted) {
  return fmt::format("{} {} S={} fault {} layer {} shard {}", planted.subject.model,
                     name_of(planted.subject.dtype), planted.shards, static_cast<int>(planted.fault.kind),
                     planted.fault.layer, planted.fault.shard);
}

constexpr auto kFollow = Mode::follow;
constexpr auto kScore = Mode::score;

// Models and prompts by which no threshold was chosen.
const std::vector<Planted>& defects() {
  static const std::vector<Planted> all{
      // A transposed shard.
      {{"tiny-mistral", DType::float32, kScore, 21}, 2, {transposed_in, 1, 1}, {Operation::qkv, 1}},
      {{"tiny-olmo2", DType::float32, kScore, 22},
       3,
       {transposed_out, 2, 0},
       {Operation::attention_partials, 2}},
      {{"tiny-qwen3", DType::float16, kScore, 23},
       3,
       {transposed_in, 0, 2, Block::mlp},
       {Operation::gate_up, 0}},
      {{"tiny-phi3", DType::bfloat16, kScore, 24},
       2,
       {transposed_out, 1, 1, Block::mlp},
       {Operation::mlp_partials, 1},
       "exact"},
      {{"tiny-granite", DType::bfloat16, kScore, 25}, 4, {transposed_in, 3, 3}, {Operation::qkv, 3}, "ring"},
      // A dropped bias.
      {{"tiny-qwen2", DType::float32, kScore, 26}, 2, {dropped_bias, 1, 0}, {Operation::qkv, 1}},
      {{"tiny-qwen2-yarn", DType::bfloat16, kScore, 27},
       3,
       {dropped_bias, 0, 2},
       {Operation::qkv, 0},
       "ring"},
      {{"tiny-llama-biases", DType::bfloat16, kScore, 28},
       3,
       {dropped_bias, 2, 1, Block::mlp},
       {Operation::gate_up, 2}},
      {{"tiny-llama-attention-bias", DType::float16, kScore, 29},
       3,
       {dropped_bias, 2, 1},
       {Operation::qkv, 2},
       "tree"},
      {{"tiny-llama-biases", DType::float32, kFollow, 30}, 2, {dropped_bias, 3, 0}, {Operation::qkv, 3}},
      // A stale row of the KV cache.
      {{"tiny-mistral", DType::bfloat16, kFollow, 31},
       2,
       {stale_cache, 2, 1, {}, 24},
       {Operation::attention, 2}},
      {{"tiny-gemma2", DType::float32, kFollow, 32},
       2,
       {stale_cache, 0, 0, {}, 38},
       {Operation::attention, 0},
       "chain"},
      {{"tiny-qwen3", DType::float16, kFollow, 33}, 3, {stale_cache, 1, 2, {}, 3}, {Operation::attention, 1}},
      {{"tiny-granite", DType::bfloat16, kScore, 34},
       2,
       {stale_cache, 1, 0, {}, 4},
       {Operation::attention, 1}},
      {{"tiny-phi3", DType::float32, kScore, 35},
       3,
       {stale_cache, 2, 2, {}, 7},
       {Operation::attention, 2},
       "ring"},
      // A wrong rope position.
      {{"tiny-mistral", DType::float16, kFollow, 36}, 2, {wrong_position, 3, 0}, {Operation::rope, 3}},
      {{"tiny-gemma3", DType::bfloat16, kFollow, 37}, 2, {wrong_position, 4, 1}, {Operation::rope, 4}},
      {{"tiny-granite", DType::float32, kFollow, 38},
       3,
       {wrong_position, 0, 1},
       {Operation::rope, 0},
       "ring"},
      {{"tiny-qwen2", DType::bfloat16, kFollow, 39}, 4, {wrong_position, 2, 3}, {Operation::rope, 2}, "tree"},
      // One rank with other weights.
      {{"tiny-gemma2", DType::bfloat16, kScore, 40}, 3, {other_weights, 0, 1}, {Operation::qkv, 0}, "ring"},
      {{"tiny-olmo3", DType::float32, kScore, 41}, 2, {other_weights, 0, 0}, {Operation::qkv, 0}},
      {{"tiny-llama-tied-rope3", DType::float16, kScore, 42},
       4,
       {other_weights, 0, 3},
       {Operation::qkv, 0},
       "tree"},
      {{"tiny-qwen3", DType::bfloat16, kFollow, 43}, 2, {other_weights, 0, 1}, {Operation::qkv, 0}},
  };
  return all;
}

TEST(PlantedDefects, AreFoundAndNamed) {
  DeviceRuns runs("diagnose-planted");
  int cannot_tell = 0;
  for (const auto& planted : defects()) {
    const auto name = name_of_case(planted);
    const auto candidate = runs.run_with(
        planted.subject, in_shards(planted.subject, planted.shards, planted.order), planted.fault);
    const auto diagnosis = runs.diagnose(planted.subject, candidate, ranks(planted.subject, planted.shards));
    fmt::print("{}: {}\n", name, in_short(diagnosis));
    EXPECT_NE(diagnosis.finding, analysis::Finding::noise) << name;
    EXPECT_FALSE(diagnosis.other_weights) << name << ": planted so that the record gives it away";
    if (!diagnosis.defect) {
      ++cannot_tell;
      continue;
    }
    EXPECT_EQ(diagnosis.defect->side, analysis::Side::candidate) << name;
    EXPECT_TRUE(diagnosis.defect->departure.point == planted.point)
        << name << ": " << place_text(diagnosis.defect->departure.point, analysis::Seen::operations);
    EXPECT_THAT(diagnosis.defect->departure.shards,
                ::testing::ElementsAre(static_cast<int>(planted.fault.shard)))
        << name;
  }
  EXPECT_GE(defects().size(), 20U);
  EXPECT_LE(cannot_tell, 2);
}

}  // namespace
}  // namespace shardrift::testing
