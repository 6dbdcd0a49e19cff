// What a plan needs, known before any weight is read, against what the loader and the forward pass allocate.
#include "weights/device_memory.hpp"

#include <gtest/gtest.h>

#include "model/forward.hpp"
#include "parallel/transport/transport.hpp"
#include "tests/unit/model/counting_backend.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kSmall = 16384;  // indices and offsets: bytes that no estimate needs to know

void expect_allocated(const std::string& name, const Plan& wanted, const Capacity& capacity) {
  const auto model = std::filesystem::path(SHARDRIFT_BINARY_DIR) / "fixtures" / name;
  const auto checkpoint = Checkpoint::open(model);
  const ModelConfig config = read_model_config(model);
  const Plan plan = validated(wanted, static_cast<int>(config.layers), world_size(wanted));
  const auto alone = make_local_transport();
  for (int rank = 0; rank < world_size(plan); ++rank) {
    const Place place = place_of(plan, rank);
    const auto memory = device_memory(config, plan, place, capacity);
    const std::string where = name + ", " + describe(plan) + ", rank " + std::to_string(rank);
    CountingBackend backend;
    const auto weights = load_weights(checkpoint, config, plan, place, backend, [](double) {});
    EXPECT_EQ(static_cast<std::int64_t>(weights.bytes), memory.weights) << where;
    const Forward forward(config, plan, place, weights, backend, *alone, *alone, capacity);
    const auto total = static_cast<std::size_t>(memory.total());
    EXPECT_GE(backend.allocated, total) << where;
    EXPECT_LT(backend.allocated, total + kSmall) << where;
  }
}

Plan plan_of(int shards, int pipeline = 1, DType dtype = DType::float32) {
  Plan plan;
  plan.shards = shards;
  plan.pipeline = pipeline;
  if (shards > 1) plan.reduction = reduction_from_text("linear");
  plan.dtype = plan.logits_dtype = dtype;
  return plan;
}

TEST(DeviceMemory, IsWhatIsAllocated) {
  const Capacity decode{57, 8, 90, 8};
  const Capacity score{300, 300, 90, 2};
  for (const auto* model : {"tiny-llama", "tiny-llama-biases", "tiny-llama-tied-rope3", "tiny-mistral",
                            "tiny-qwen3", "tiny-gemma2", "tiny-gemma3", "tiny-olmo2", "tiny-phi3",
                            "tiny-mixtral", "tiny-qwen3-moe", "tiny-gpt-oss"})
    for (const Capacity& capacity : {decode, score}) {
      expect_allocated(model, plan_of(1), capacity);
      expect_allocated(model, plan_of(4, 1, DType::bfloat16), capacity);
      expect_allocated(model, plan_of(3, 2), capacity);
      Plan gather = plan_of(3);
      gather.reduction = Reduction();
      gather.row_linear = RowLinear::gather;
      expect_allocated(model, gather, capacity);
      Plan rounded = plan_of(2, 1, DType::bfloat16);
      rounded.reduction.partial = PartialDType::rounded;
      expect_allocated(model, rounded, capacity);
      for (Plan plan : {plan_of(1, 1, DType::bfloat16), plan_of(4), gather}) {  // grouped experts
        plan.products = Products::fixed;
        expect_allocated(model, plan, capacity);
      }
    }
}

TEST(DeviceMemory, OfDealtExperts) {
  for (const auto* model : {"tiny-mixtral", "tiny-qwen3-moe-step", "tiny-gpt-oss"})
    for (const int shards : {2, 4})
      for (const int pipeline : {1, 2}) {
        Plan plan = plan_of(shards, pipeline, DType::bfloat16);
        plan.expert_parallel = true;
        expect_allocated(model, plan, {57, 8, 90, 8});
        plan.products = Products::fixed;
        expect_allocated(model, plan, {57, 57, 90, 57});
      }
}

// Our own all-reduces read the partials out of two messages that each GPU keeps for them.
TEST(DeviceMemory, OfAGroupThatReadsItsPeers) {
  const ModelConfig config =
      read_model_config(std::filesystem::path(SHARDRIFT_BINARY_DIR) / "fixtures/tiny-llama");
  const Capacity capacity{57, 8, 90, 8};
  Plan plan = plan_of(2, 1, DType::bfloat16);
  plan.reduction = Reduction();
  plan.tensor_parallel = 2;
  plan.device = Device::cuda;
  const auto library = fullest_device(config, plan, capacity);
  plan.collective = Collective::one_shot;
  const auto ours = fullest_device(config, plan, capacity);
  EXPECT_EQ(ours.weights + ours.cache, library.weights + library.cache);
  EXPECT_EQ(ours.buffers - library.buffers,
            2 * static_cast<std::int64_t>(aligned(static_cast<std::size_t>(57 * config.hidden * 2))));
}

TEST(DeviceMemory, CapacityFollowsFromPromptsAndPlan) {
  ModelConfig config;
  config.max_positions = 40;
  Plan plan;
  plan.batch = 3;
  plan.prefill_batch = 2;
  const std::vector<std::int64_t> lengths{5, 6, 10, 2};
  const auto decode = capacity_of(plan, config, true, lengths, 30);
  EXPECT_EQ(decode.rows, 11);  // 5 + 6; 10 is the group's third
  EXPECT_EQ(decode.logit_rows, 3);
  EXPECT_EQ(decode.slots, 3);
  EXPECT_EQ(capacity_of(plan, config, true, lengths, 30, 4).slots, 12);  // groups in flight
  EXPECT_EQ(decode.length, 30);
  const auto score = capacity_of(plan, config, false, lengths, 50);
  EXPECT_EQ(score.logit_rows, 11);
  EXPECT_EQ(score.slots, 2);
  EXPECT_EQ(score.length, 40);  // the context
}

}  // namespace
}  // namespace shardrift
