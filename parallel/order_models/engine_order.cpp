#include "parallel/order_models/engine_order.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "common/error.hpp"
#include "parallel/order_models/vllm_order.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kKiB = 1024;
constexpr std::int64_t kMiB = 1024 * kKiB;
constexpr auto kEverySize = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kVllmCap = 8 * kMiB;

// Sizes for 2, 4, 6 and 8 ranks, and from how many on the switch adds.
struct Architecture {
  std::array<std::int64_t, 4> custom;  // below
  std::array<std::int64_t, 4> torch;   // up to
  int multimem_from;
};

std::optional<Architecture> architecture(Engine engine) {
  switch (engine) {
    case Engine::vllm_sm90:
      return Architecture{
          {64 * kMiB, 32 * kMiB, 512 * kKiB, 256 * kKiB}, {64 * kMiB, 32 * kMiB, 64 * kMiB, 64 * kMiB}, 4};
    case Engine::vllm_sm100:
      return Architecture{
          {2 * kMiB, 2 * kMiB, 1 * kMiB, 1 * kMiB}, {8 * kMiB, 32 * kMiB, 128 * kMiB, 128 * kMiB}, 6};
    case Engine::vllm_sm103:
      return Architecture{
          {4 * kMiB, 4 * kMiB, 8 * kMiB, 4 * kMiB}, {4 * kMiB, 32 * kMiB, 32 * kMiB, 64 * kMiB}, 6};
    case Engine::vllm:
    case Engine::vllm_batch_invariant:
      break;
  }
  return std::nullopt;
}

}  // namespace

bool EngineRow::takes(std::int64_t bytes, DType dtype) const {
  return bytes <= most_bytes && bytes % multiple == 0 && (!bfloat16_only || dtype == DType::bfloat16);
}

std::vector<EngineRow> engine_table(Engine engine, int ranks) {
  std::vector<EngineRow> table;
  if (vllm_custom_takes(ranks)) {
    const auto place = static_cast<std::size_t>(ranks / 2 - 1);
    const auto arch = architecture(engine);
    const auto below = arch ? std::min(arch->custom[place], kVllmCap) : kVllmCap;
    const bool one_stage_only = engine == Engine::vllm_batch_invariant;
    const auto one_stage_below = ranks == 2 ? below : ranks == 4 ? 512 * kKiB : 256 * kKiB;
    table.push_back({EngineSum::vllm_one_stage,
                     one_stage_only ? kEverySize : std::min(below, one_stage_below) - 1, kVllmPack, false});
    if (!one_stage_only && one_stage_below < below)
      table.push_back({EngineSum::vllm_two_stage, below - 1, kVllmPack, false});
    if (arch)
      table.push_back({ranks >= arch->multimem_from ? EngineSum::torch_multimem : EngineSum::torch_two_shot,
                       arch->torch[place], 4, true});
  }
  table.push_back({EngineSum::nccl, kEverySize, 1, false});
  return table;
}

EngineSum engine_choice(Engine engine, std::int64_t bytes, DType dtype, int ranks) {
  for (const auto& row : engine_table(engine, ranks))
    if (row.takes(bytes, dtype)) return row.sum;
  throw failure("no all-reduce of {} takes {} bytes", name_of(engine), bytes);
}

OrderMap engine_map(Engine engine, std::int64_t count, DType dtype, int ranks) {
  const auto bytes = count * static_cast<std::int64_t>(size_of(dtype));
  const auto sum = engine_choice(engine, bytes, dtype, ranks);
  switch (sum) {
    case EngineSum::vllm_one_stage:
      return vllm_one_stage_map(count, dtype, ranks);
    case EngineSum::vllm_two_stage:
      return vllm_two_stage_map(count, dtype, ranks);
    case EngineSum::nccl:
      throw usage_error(
          "--reduction engine:{}: there NCCL sums a message of {} bytes of {} over {} ranks, in an order "
          "that "
          "the machine decides: use --reduction profile with a profile of it",
          name_of(engine), bytes, name_of(dtype), ranks);
    case EngineSum::torch_multimem:
    case EngineSum::torch_two_shot:
      break;
  }
  throw usage_error(
      "--reduction engine:{}: there torch's symmetric memory ({}) sums a message of {} bytes of {} over {} "
      "ranks, which has no model here: use --reduction profile with a profile of it",
      name_of(engine), name_of(sum), bytes, name_of(dtype), ranks);
}

}  // namespace shardrift
