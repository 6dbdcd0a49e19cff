// The dispatch table, at the byte.
#include "parallel/order_models/engine_order.hpp"

#include <gmock/gmock.h>

#include "common/error.hpp"
#include "parallel/order_models/fold_order.hpp"
#include "parallel/order_models/vllm_order.hpp"

namespace shardrift {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::int64_t kKiB = 1024;
constexpr std::int64_t kMiB = 1024 * kKiB;

constexpr auto kOne = EngineSum::vllm_one_stage;
constexpr auto kTwo = EngineSum::vllm_two_stage;
constexpr auto kSwitch = EngineSum::torch_multimem;
constexpr auto kTwoShot = EngineSum::torch_two_shot;
constexpr auto kNccl = EngineSum::nccl;

EngineSum choice(Engine engine, int ranks, std::int64_t bytes, DType dtype = DType::bfloat16) {
  return engine_choice(engine, bytes, dtype, ranks);
}

// The last bytes before a size and the size itself.
void expect_border(Engine engine, int ranks, std::int64_t bytes, EngineSum below, EngineSum from,
                   std::int64_t step = 16) {
  EXPECT_EQ(choice(engine, ranks, bytes - step), below) << name_of(engine) << " " << ranks << " " << bytes;
  EXPECT_EQ(choice(engine, ranks, bytes), from) << name_of(engine) << " " << ranks << " " << bytes;
}

TEST(EngineOrder, TheCustomAllReduceAlone) {
  expect_border(Engine::vllm, 2, 8 * kMiB, kOne, kNccl);
  expect_border(Engine::vllm, 4, 512 * kKiB, kOne, kTwo);
  for (const int ranks : {6, 8}) expect_border(Engine::vllm, ranks, 256 * kKiB, kOne, kTwo);
  for (const int ranks : {4, 6, 8}) expect_border(Engine::vllm, ranks, 8 * kMiB, kTwo, kNccl);
  EXPECT_EQ(choice(Engine::vllm, 4, 16), kOne);
  EXPECT_EQ(choice(Engine::vllm, 4, 24), kNccl);  // no multiple of 16
  EXPECT_EQ(choice(Engine::vllm, 3, 16), kNccl);
  EXPECT_EQ(choice(Engine::vllm, 16, 16), kNccl);
  EXPECT_EQ(choice(Engine::vllm, 4, kMiB, DType::float32), kTwo);
}

TEST(EngineOrder, WithSymmetricMemoryByArchitecture) {
  expect_border(Engine::vllm_sm90, 2, 8 * kMiB, kOne, kTwoShot);
  expect_border(Engine::vllm_sm90, 2, 64 * kMiB + 4, kTwoShot, kNccl, 4);
  expect_border(Engine::vllm_sm90, 4, 8 * kMiB, kTwo, kSwitch);
  expect_border(Engine::vllm_sm90, 4, 32 * kMiB + 4, kSwitch, kNccl, 4);
  expect_border(Engine::vllm_sm90, 6, 256 * kKiB, kOne, kTwo);
  expect_border(Engine::vllm_sm90, 6, 512 * kKiB, kTwo, kSwitch);
  expect_border(Engine::vllm_sm90, 8, 256 * kKiB, kOne, kSwitch);  // no two-stage at all
  expect_border(Engine::vllm_sm100, 2, 2 * kMiB, kOne, kTwoShot);
  expect_border(Engine::vllm_sm100, 4, 2 * kMiB, kTwo, kTwoShot);
  expect_border(Engine::vllm_sm100, 8, kMiB, kTwo, kSwitch);
  expect_border(Engine::vllm_sm103, 2, 4 * kMiB, kOne, kTwoShot);
  expect_border(Engine::vllm_sm103, 2, 4 * kMiB + 4, kTwoShot, kNccl, 4);
  expect_border(Engine::vllm_sm103, 4, 4 * kMiB, kTwo, kTwoShot);
  expect_border(Engine::vllm_sm103, 6, 8 * kMiB, kTwo, kSwitch);
  expect_border(Engine::vllm_sm103, 8, 4 * kMiB, kTwo, kSwitch);
  // torch's takes bfloat16 alone, and less round sizes than the custom one.
  EXPECT_EQ(choice(Engine::vllm_sm90, 8, kMiB, DType::float16), kNccl);
  EXPECT_EQ(choice(Engine::vllm_sm90, 8, 20), kSwitch);
  EXPECT_EQ(choice(Engine::vllm_sm90, 8, 18), kNccl);
}

TEST(EngineOrder, BatchInvariantHasOneOrder) {
  for (const int ranks : {2, 4, 6, 8})
    for (const auto bytes : {16L, 512 * kKiB, 8 * kMiB, 1024 * kMiB})
      EXPECT_EQ(choice(Engine::vllm_batch_invariant, ranks, bytes), kOne);
  EXPECT_EQ(choice(Engine::vllm_batch_invariant, 4, 24), kNccl);
}

TEST(EngineOrder, FoldsByTheChosenSum) {
  const auto reduction = reduction_from_text("engine:vllm");
  EXPECT_EQ(order_text(reduction), "engine:vllm-0.33.0");
  const std::int64_t border = 256 * kKiB;  // elements of 16 bits: 512 KiB
  EXPECT_EQ(fold_order_map(reduction, 4, border - 8, DType::bfloat16),
            vllm_one_stage_map(border - 8, DType::bfloat16, 4));
  EXPECT_EQ(fold_order_map(reduction, 4, border, DType::bfloat16),
            vllm_two_stage_map(border, DType::bfloat16, 4));
  EXPECT_EQ(published_sum(reduction, 4, border - 8, DType::bfloat16).algorithm, "one-stage");
  EXPECT_EQ(published_sum(reduction, 4, border, DType::bfloat16).algorithm, "two-stage");
}

TEST(EngineOrder, RefusesByNameWhatHasNoModel) {
  const auto refusal = [](Engine engine, std::int64_t count, int ranks) -> std::string {
    try {
      engine_map(engine, count, DType::bfloat16, ranks);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refusal(Engine::vllm, 4 * kMiB, 4),
              AllOf(HasSubstr("engine:vllm-0.33.0: there NCCL sums a message of 8388608 bytes"),
                    HasSubstr("--reduction profile")));
  EXPECT_THAT(refusal(Engine::vllm, 12, 4), HasSubstr("24 bytes"));
  EXPECT_THAT(refusal(Engine::vllm, 16, 3), HasSubstr("over 3 ranks"));
  EXPECT_THAT(refusal(Engine::vllm_sm90, kMiB, 8), HasSubstr("torch multimem"));
}

}  // namespace
}  // namespace shardrift
