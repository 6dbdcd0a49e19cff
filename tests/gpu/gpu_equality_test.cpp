// Bit equality of whole runs on GPUs, as far as there are GPUs. The CPU counterpart is
// integration/equality_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/cuda/cuda_device.hpp"
#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;

// Cases that need more GPUs than there are are left out; a comparison of fewer than two is skipped.
void expect_equal(const std::string& model, const std::string& name, std::vector<Case> cases) {
  const int gpus = cuda_device_count();
  std::erase_if(cases, [&](const Case& c) { return c.ranks > gpus; });
  if (cases.size() < 2) GTEST_SKIP() << gpus << " GPU(s): nothing to compare";
  const fs::path folder = scratch("gpu-" + name);
  fs::path first;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    cases[i].flags.insert(cases[i].flags.end(), {"--device", "cuda"});
    const fs::path record = record_of(model, cases[i], folder, std::to_string(i));
    if (::testing::Test::HasFailure()) return;
    if (i == 0) first = record;
    EXPECT_EQ(first_difference(first, record), "") << model << ", case " << i;
  }
}

Case shards(int s, int ranks, const std::string& dtype) {
  return {ranks,
          {"--shards", std::to_string(s), "--tensor-parallel", std::to_string(ranks), "--reduction", "linear",
           "--dtype", dtype}};
}

class GpuEquality : public ::testing::TestWithParam<const char*> {};

TEST_P(GpuEquality, TwiceStagesAndReplicas) {
  const std::vector<std::string> dtype{"--dtype", GetParam()};
  expect_equal("tiny-llama", std::string("stages-") + GetParam(),
               {{1, dtype},
                {1, dtype},
                {2, {"--dtype", GetParam(), "--pipeline", "2"}},
                {2, {"--dtype", GetParam(), "--pipeline", "2", "--stage-layers", "1,4"}},
                {2, {"--dtype", GetParam(), "--replicas", "2"}},
                {4, {"--dtype", GetParam(), "--pipeline", "4"}}});
}

TEST_P(GpuEquality, FourShardsOnOneTwoAndFourGpus) {
  for (const auto* model : {"tiny-llama", "tiny-mistral"})
    expect_equal(model, std::string("shards-") + model + GetParam(),
                 {shards(4, 1, GetParam()), shards(4, 2, GetParam()), shards(4, 4, GetParam())});
}

// The order is the plan's: the same bits on every number of GPUs.
TEST_P(GpuEquality, EveryOrderOnOneTwoAndFourGpus) {
  for (const std::string order : {"chain", "ring", "tree", "tree:7", "perm:2,0,3,1", "exact"}) {
    std::vector<Case> cases;
    for (const int ranks : {1, 2, 4}) {
      cases.push_back(shards(4, ranks, GetParam()));
      cases.back().flags[5] = order;
    }
    std::string name = order + "-" + GetParam();
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c == ':' || c == ','; }, '-');
    expect_equal("tiny-llama", "order-" + name, cases);
    for (auto& c : cases) c.flags.insert(c.flags.end(), {"--partial", "float32"});
    expect_equal("tiny-llama", "partial-" + name, cases);
  }
}

// NCCL's all-reduce of two ranks has one order.
TEST_P(GpuEquality, TwoShardsHaveOneOrder) {
  expect_equal("tiny-llama", std::string("native-") + GetParam(),
               {shards(2, 1, GetParam()), {2, {"--tensor-parallel", "2", "--dtype", GetParam()}}});
}

// Checksums of every operation and the residual stream of every layer: shards add up, whoever hosts them.
TEST_P(GpuEquality, TracesOfStagesShardsAndReplicas) {
  const int gpus = cuda_device_count();
  const std::string dtype = GetParam();
  const auto compare = [&](const std::string& name, std::vector<Case> cases, bool one_dealing) {
    std::erase_if(cases, [&](const Case& c) { return c.ranks > gpus; });
    const fs::path folder = scratch("gpu-trace-" + name + dtype);
    fs::path first;
    for (std::size_t i = 0; i < cases.size(); ++i) {
      cases[i].flags.insert(cases[i].flags.end(),
                            {"--device", "cuda", "--dtype", dtype, "--record", "hidden", "--checksums"});
      const auto record =
          record_of(name == "exact" ? "tiny-exact-bf16" : "tiny-llama", cases[i], folder, std::to_string(i));
      if (::testing::Test::HasFailure()) return;
      if (i == 0) first = record;
      EXPECT_EQ(first_trace_difference(first, record, one_dealing), "") << name << ", case " << i;
    }
  };
  const auto fold = [](int s, int ranks) {
    return Case{
        ranks,
        {"--shards", std::to_string(s), "--tensor-parallel", std::to_string(ranks), "--reduction", "linear"}};
  };
  compare("stages", {{1, {}}, {1, {}}, {2, {"--pipeline", "2"}}, {2, {"--replicas", "2"}}}, true);
  compare("shards", {fold(4, 1), fold(4, 2), fold(4, 4)}, true);
  compare("rounded", {{1, {"--partial", "rounded"}}, {1, {"--partial", "float32", "--reduction", "linear"}}},
          false);
  compare("exact", {{1, {}}, fold(2, 1), fold(3, 1), {2, {"--tensor-parallel", "2"}}}, false);
}

INSTANTIATE_TEST_SUITE_P(DTypes, GpuEquality, ::testing::Values("float32", "float16", "bfloat16"),
                         [](const auto& dtype) { return std::string(dtype.param); });

TEST(GpuExact, ExactModelsAreTheSameUnderEveryPlan) {
  expect_equal("tiny-exact-bf16", "exact",
               {{1, {"--dtype", "bfloat16"}},
                shards(2, 1, "bfloat16"),
                shards(3, 1, "bfloat16"),
                shards(32, 1, "bfloat16"),
                {2, {"--dtype", "bfloat16", "--tensor-parallel", "2"}},
                {2, {"--dtype", "bfloat16", "--pipeline", "2"}},
                {3, {"--dtype", "bfloat16", "--tensor-parallel", "3"}},
                {4, {"--dtype", "bfloat16", "--tensor-parallel", "4"}},
                {4, {"--dtype", "bfloat16", "--tensor-parallel", "2", "--pipeline", "2"}}});
}

TEST(GpuBadInput, MoreRanksThanGpusAreRefused) {
  const int ranks = cuda_device_count() + 1;
  const auto folder = scratch("gpu-ranks");
  const auto finished = run_program(worker_command(
      ranks,
      {"run", "--model", fixture("tiny-llama").string(), "--prompts", write_prompts(folder).string(),
       "--output", (folder / "out.h5").string(), "--device", "cuda", "--replicas", std::to_string(ranks)}));
  EXPECT_EQ(finished.code, 64) << finished.output;
  EXPECT_NE(finished.output.find("GPU"), std::string::npos) << finished.output;
}

}  // namespace
}  // namespace shardrift::testing
