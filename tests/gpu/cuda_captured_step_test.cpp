// A decode step in a CUDA graph, replayed a thousand times: one set of bits, and the eager step's.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "model/cuda/cuda_device.hpp"
#include "model/forward.hpp"
#include "model/shard_weights.hpp"
#include "parallel/transport/transport.hpp"

namespace shardrift {
namespace {

struct Step {
  const char* name;
  const char* model;
  int shards;
  Products products;
};

class CapturedStep : public ::testing::TestWithParam<Step> {};

TEST_P(CapturedStep, HasOneSetOfBitsAThousandTimes) {
  constexpr int kPrefill = 300, kRepeats = 1000;  // more keys than one span of attention
  const Step& step = GetParam();
  select_cuda_device(0);
  const auto backend = make_cuda_backend(false);
  const std::filesystem::path folder = std::filesystem::path(SHARDRIFT_BINARY_DIR) / "fixtures" / step.model;
  const auto checkpoint = Checkpoint::open(folder);
  ModelConfig config = read_model_config(folder);
  config.max_positions = kPrefill + 2;
  std::vector<std::vector<std::byte>> first;  // of each way to launch
  for (const Launch launch : {Launch::eager, Launch::captured}) {
    Plan wanted;
    wanted.device = Device::cuda;
    wanted.dtype = wanted.logits_dtype = DType::bfloat16;
    wanted.shards = step.shards;
    wanted.products = step.products;
    wanted.launch = launch;
    if (step.shards > 1) wanted.reduction = reduction_from_text("linear");
    const Plan plan = validated(wanted, static_cast<int>(config.layers), 1);
    const Place place = place_of(plan, 0);
    const auto weights = load_weights(checkpoint, config, plan, place, *backend, [](double) {});
    const auto alone = make_local_transport();
    Forward forward(config, plan, place, weights, *backend, *alone, *alone,
                    {kPrefill, kPrefill, kPrefill + 2, 1});
    Pass prefill;
    for (int i = 0; i < kPrefill; ++i) {
      prefill.tokens.push_back(3 + i * 7 % 100);
      prefill.positions.push_back(i);
      prefill.slots.push_back(0);
    }
    prefill.wanted = {kPrefill - 1};
    forward.run(prefill);
    Pass decode{{11}, {kPrefill}, {0}, {0}, {}, true};
    int others = 0;
    for (int i = 0; i < (launch == Launch::captured ? kRepeats : 1); ++i) {
      const auto logits = forward.run(decode).logits;
      if (i == 0) first.emplace_back(logits.begin(), logits.end());
      others += logits.size() != first.back().size() ||
                std::memcmp(logits.data(), first.back().data(), logits.size()) != 0;
    }
    EXPECT_EQ(others, 0) << "of " << kRepeats << " replays";
    decode.tokens = {12};  // control: another token has other logits
    const auto control = forward.run(decode).logits;
    EXPECT_NE(std::memcmp(control.data(), first.back().data(), control.size()), 0);
  }
  EXPECT_TRUE(first[0] == first[1]) << "eager and captured";
}

INSTANTIATE_TEST_SUITE_P(Plans, CapturedStep,
                         ::testing::Values(Step{"Llama", "tiny-llama", 1, Products::library},
                                           Step{"LlamaFixed", "tiny-llama", 1, Products::fixed},
                                           Step{"LlamaFourShards", "tiny-llama", 4, Products::library},
                                           Step{"GemmaFourShardsFixed", "tiny-gemma3", 4, Products::fixed}),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace shardrift
