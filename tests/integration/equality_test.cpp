// Bit equality of whole runs: which plans must give the same logits, and which must not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += word + " ";
  return text;
}

// Every case records the same bits as the first.
void expect_equal(const std::string& model, const std::string& name, const std::vector<Case>& cases) {
  const fs::path folder = scratch(name);
  fs::path first;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const fs::path record = record_of(model, cases[i], folder, std::to_string(i));
    if (::testing::Test::HasFailure()) return;
    if (i == 0) first = record;
    EXPECT_EQ(first_difference(first, record), "")
        << model << ": " << joined(cases[0].flags) << "against " << joined(cases[i].flags) << "on "
        << cases[i].ranks << " ranks";
  }
}

Case shards(int s, int ranks, std::vector<std::string> more = {}) {
  Case c{
      ranks,
      {"--shards", std::to_string(s), "--tensor-parallel", std::to_string(ranks), "--reduction", "linear"}};
  c.flags.insert(c.flags.end(), more.begin(), more.end());
  return c;
}

// S = 4 summed in some order on R ranks.
Case ordered(const std::string& order, int ranks, const std::vector<std::string>& more = {}) {
  Case c{ranks, {"--shards", "4", "--tensor-parallel", std::to_string(ranks), "--reduction", order}};
  c.flags.insert(c.flags.end(), more.begin(), more.end());
  return c;
}

Case stages(const std::string& layers) {
  const auto count = static_cast<int>(1 + std::count(layers.begin(), layers.end(), ','));
  return {count, {"--pipeline", std::to_string(count), "--stage-layers", layers}};
}

TEST(Equality, TheSamePlanTwice) {
  expect_equal("tiny-llama", "twice-one", {{1, {}}, {1, {}}});
  expect_equal("tiny-llama", "twice-tp4", {{4, {"--tensor-parallel", "4"}}, {4, {"--tensor-parallel", "4"}}});
}

TEST(Equality, ThreadsChangeNoBits) {
  expect_equal("tiny-llama", "threads",
               {{1, {"--threads", "1"}}, {1, {"--threads", "2"}}, {1, {"--threads", "3"}}});
}

TEST(Equality, EverySplitIntoTwoAndThreeStages) {
  expect_equal("tiny-llama", "stages",
               {{1, {}},
                stages("1,4"),
                stages("2,3"),
                stages("3,2"),
                stages("4,1"),
                stages("1,1,3"),
                stages("1,2,2"),
                stages("1,3,1"),
                stages("2,1,2"),
                stages("2,2,1"),
                stages("3,1,1")});
}

TEST(Equality, EverySplitIntoFourStages) {
  expect_equal("tiny-llama", "four-stages",
               {{1, {}},
                stages("2,1,1,1"),
                stages("1,2,1,1"),
                stages("1,1,2,1"),
                stages("1,1,1,2"),
                {4, {"--pipeline", "4"}}});
}

TEST(Equality, ReplicasAgainstOne) {
  expect_equal("tiny-mistral", "replicas", {{1, {}}, {2, {"--replicas", "2"}}, {4, {"--replicas", "4"}}});
  expect_equal("tiny-mistral", "replicas-batch",
               {{1, {"--batch", "3"}},
                {2, {"--batch", "3", "--replicas", "2"}},
                {2, {"--batch", "3", "--pipeline", "2"}}});
}

// Several prompts in one prefill pass: the plan's arithmetic, wherever it runs.
TEST(Equality, PrefillBatches) {
  const std::vector<std::string> prefill{"--batch", "4", "--prefill-batch", "3"};
  const auto with = [&](std::vector<std::string> flags) {
    flags.insert(flags.end(), prefill.begin(), prefill.end());
    return flags;
  };
  for (const auto* model : {"tiny-llama", "tiny-mistral"}) {
    const std::string name = std::string("prefill-") + model;
    expect_equal(model, name,
                 {{1, with({})},
                  {1, with({"--threads", "1"})},
                  {2, with({"--pipeline", "2"})},
                  {2, with({"--replicas", "2"})}});
    expect_equal(model, name + "-shards",
                 {shards(4, 1, prefill), shards(4, 2, prefill), shards(4, 4, prefill)});
  }
  const std::vector<std::string> score{"--mode", "score", "--prefill-batch", "3", "--dtype", "bfloat16"};
  Case both = shards(4, 2, score);
  both.ranks = 4;
  both.flags.insert(both.flags.end(), {"--pipeline", "2"});
  expect_equal("tiny-llama", "prefill-score", {shards(4, 1, score), shards(4, 2, score), both});
}

TEST(Equality, SixtyFourPromptsAtOnce) {
  const std::vector<std::string> wide{"--batch", "64", "--prefill-batch", "64"};
  std::vector<std::string> replicas = wide;
  replicas.insert(replicas.end(), {"--replicas", "2"});
  const fs::path folder = scratch("batch-64");
  constexpr int kPrompts = 70;  // a full group and one of six
  const auto one = record_of("tiny-llama", shards(2, 1, wide), folder, "one", kPrompts);
  EXPECT_EQ(first_difference(one, record_of("tiny-llama", shards(2, 2, wide), folder, "two", kPrompts)), "");
  auto case_of_replicas = shards(2, 1, replicas);
  case_of_replicas.ranks = 2;
  EXPECT_EQ(first_difference(one, record_of("tiny-llama", case_of_replicas, folder, "dp2", kPrompts)), "");
}

// Weights are quantized before they are sharded: other weights, the same rules.
TEST(Equality, QuantizedWeights) {
  for (const std::string quantize : {"int8", "int4", "nf4", "fp8", "fp8-block"}) {
    const std::vector<std::string> flags{"--quantize", quantize, "--dtype", "bfloat16"};
    const auto with = [&](const Case& what) {
      Case all = what;
      all.flags.insert(all.flags.end(), flags.begin(), flags.end());
      return all;
    };
    expect_equal("tiny-llama", "quantize-" + quantize,
                 {with({1, {}}), with(stages("2,3")), with({2, {"--replicas", "2"}})});
    expect_equal("tiny-llama", "quantize-shards-" + quantize,
                 {shards(4, 1, flags), shards(4, 2, flags), shards(4, 4, flags),
                  shards(4, 1, with({1, {"--threads", "1"}}).flags)});
    expect_equal("tiny-llama", "quantize-two-" + quantize,
                 {shards(2, 1, flags), with({2, {"--tensor-parallel", "2"}})});
  }
  expect_equal("tiny-phi3", "quantize-packed",
               {shards(3, 1, {"--quantize", "fp8-block"}), shards(3, 3, {"--quantize", "fp8-block"})});
  expect_equal("tiny-mixtral", "quantize-experts",
               {shards(4, 1, {"--quantize", "int4"}), shards(4, 2, {"--quantize", "int4"}),
                shards(4, 4, {"--quantize", "int4"})});
  expect_equal("tiny-exact", "quantize-exact",
               {{1, {"--quantize", "nf4"}},
                {3, {"--tensor-parallel", "3", "--quantize", "nf4"}},
                shards(8, 2, {"--quantize", "nf4"})});
  // Control: each has weights of its own.
  const fs::path folder = scratch("quantize-control");
  std::vector<fs::path> records;
  for (const std::string quantize : {"none", "int8", "int4", "nf4", "fp8", "fp8-block"}) {
    const auto record = record_of("tiny-llama", {1, {"--quantize", quantize}}, folder, quantize);
    for (const auto& other : records) EXPECT_NE(first_difference(record, other), "") << quantize;
    records.push_back(record);
  }
}

// What a prompt's bits are: of the plan and of its group. One prompt alone has the bits of a plan without
// prefill batches; among others it does not (control), and the logits are the same to rounding.
TEST(Equality, APromptsBitsAreOfItsGroup) {
  const fs::path folder = scratch("prefill-groups");
  const auto alone = record_of("tiny-llama", {1, {"--batch", "4"}}, folder, "alone");
  const auto together =
      record_of("tiny-llama", {1, {"--batch", "4", "--prefill-batch", "2"}}, folder, "together");
  EXPECT_NE(first_difference(alone, together), "");
  const auto a = record::Reader::open(alone);
  const auto b = record::Reader::open(together);
  for (const auto& id : a.prompt_ids()) {
    std::vector<std::byte> x, y;
    a.read_logits(id, 0, 1, x);
    b.read_logits(id, 0, 1, y);
    ASSERT_EQ(x.size(), y.size());
    for (std::size_t i = 0; i < x.size(); i += sizeof(float)) {
      float p = 0, q = 0;
      std::memcpy(&p, x.data() + i, sizeof p);
      std::memcpy(&q, y.data() + i, sizeof q);
      EXPECT_NEAR(p, q, 1e-4) << id << " token " << i / sizeof(float);
    }
  }
  const auto single = [&](const std::string& name, const std::vector<std::string>& flags) {
    return record_of("tiny-llama", {1, flags}, folder, name, 1);
  };
  EXPECT_EQ(first_difference(single("one", {"--batch", "4"}),
                             single("one-of-four", {"--batch", "4", "--prefill-batch", "4"})),
            "");
}

// The record says which prompts shared a pass, by id.
TEST(Equality, ARecordNamesTheNeighbours) {
  using ::testing::ElementsAre;
  using ::testing::IsEmpty;
  const fs::path folder = scratch("neighbours");
  const auto record = record::Reader::open(
      record_of("tiny-llama", {1, {"--batch", "3", "--prefill-batch", "2"}}, folder, "greedy"));
  for (const auto* id : {"p0", "p1"})
    EXPECT_THAT(record.prompt(id).prefilled_with, ElementsAre("p0", "p1")) << id;
  EXPECT_THAT(record.prompt("p2").prefilled_with, IsEmpty());  // the group's third
  for (const auto* id : {"p0", "p1", "p2"})
    EXPECT_THAT(record.prompt(id).decoded_with, ElementsAre("p0", "p1", "p2")) << id;
  EXPECT_THAT(record.prompt("p3").prefilled_with, IsEmpty());
  EXPECT_THAT(record.prompt("p3").decoded_with, IsEmpty());
  // Lengths 5 and 1: the prompts' last rows, and the pass they share.
  const auto p0 = record.prompt("p0").rows;
  const auto p1 = record.prompt("p1").rows;
  EXPECT_EQ(p0.front().batch_row, 4);
  EXPECT_EQ(p1.front().batch_row, 5);
  EXPECT_EQ(p1.front().position, 0);
  EXPECT_EQ(p0.front().forward_rows, 6);
  EXPECT_EQ(p0.front().forward_call, p1.front().forward_call);
  for (std::size_t i = 1; i < p0.size(); ++i) {
    EXPECT_EQ(p0[i].forward_call, p1[i].forward_call);
    EXPECT_EQ(p1[i].batch_row, 1);
  }
  const auto score = record::Reader::open(
      record_of("tiny-llama", {1, {"--mode", "score", "--prefill-batch", "3"}}, folder, "score"));
  EXPECT_THAT(score.prompt("p2").prefilled_with, ElementsAre("p0", "p1", "p2"));
  EXPECT_THAT(score.prompt("p2").decoded_with, IsEmpty());
  EXPECT_EQ(score.prompt("p2").rows.size(), 17U);
  EXPECT_EQ(score.prompt("p2").rows.front().batch_row, 6);
  EXPECT_EQ(score.prompt("p2").rows.front().position, 0);
}

// The decisive idea: shards are arithmetic, ranks are the machine.
TEST(Equality, FourShardsOnOneTwoAndFourRanks) {
  for (const auto* model : {"tiny-llama", "tiny-llama-headdim", "tiny-llama-tied-rope3", "tiny-mistral"}) {
    expect_equal(model, std::string("shards-") + model,
                 {shards(4, 1), shards(4, 2), shards(4, 4), shards(4, 1, {"--threads", "1"})});
  }
}

// What sharding must not see beside the products: norms of heads and of whole rows, scales, caps, every rope.
TEST(Equality, FourShardsOfEveryKindOfModel) {
  for (const auto* model :
       {"tiny-qwen3", "tiny-qwen2", "tiny-internlm2", "tiny-gemma2", "tiny-gemma3", "tiny-phi3", "tiny-olmo2",
        "tiny-olmo3", "tiny-granite", "tiny-mixtral", "tiny-qwen3-moe", "tiny-gpt-oss"}) {
    expect_equal(model, std::string("shards-") + model,
                 {shards(4, 1, {"--dtype", "bfloat16"}), shards(4, 2, {"--dtype", "bfloat16"}),
                  shards(4, 4, {"--dtype", "bfloat16"})});
  }
}

// Whole experts, dealt to shards: a rank has those of its shards.
TEST(Equality, DealtExpertsOnOneTwoAndFourRanks) {
  for (const auto* model : {"tiny-mixtral-window", "tiny-qwen3-moe-step", "tiny-gpt-oss"}) {
    expect_equal(model, std::string("dealt-") + model,
                 {shards(4, 1, {"--dtype", "bfloat16", "--expert-parallel"}),
                  shards(4, 2, {"--dtype", "bfloat16", "--expert-parallel"}),
                  shards(4, 4, {"--dtype", "bfloat16", "--expert-parallel"})});
  }
}

TEST(Equality, EveryDtypeAndAccumulator) {
  for (const auto* dtype : {"float64", "float16", "bfloat16"})
    expect_equal("tiny-llama", std::string("dtype-") + dtype,
                 {shards(4, 1, {"--dtype", dtype}), shards(4, 2, {"--dtype", dtype}),
                  shards(4, 4, {"--dtype", dtype})});
  for (const auto* accumulator : {"float32", "float64"})
    expect_equal("tiny-llama", std::string("accumulate-") + accumulator,
                 {shards(3, 1, {"--dtype", "bfloat16", "--accumulate", accumulator}),
                  shards(3, 3, {"--dtype", "bfloat16", "--accumulate", accumulator})});
  expect_equal("tiny-llama", "wide-logits",
               {shards(2, 1, {"--dtype", "bfloat16", "--logits-dtype", "float32"}),
                shards(2, 2, {"--dtype", "bfloat16", "--logits-dtype", "float32"})});
}

TEST(Equality, EmptyShardsAndOddCounts) {
  expect_equal("tiny-llama", "shards-32", {shards(32, 1), shards(32, 4)});
  expect_equal("tiny-olmo2", "shards-32", {shards(32, 1), shards(32, 4)});
  expect_equal("tiny-llama-headdim", "shards-6", {shards(6, 1), shards(6, 2), shards(6, 3)});
}

TEST(Equality, ShardsWithStages) {
  Case both = shards(4, 2, {"--pipeline", "2"});
  both.ranks = 4;
  expect_equal("tiny-llama", "shards-stages", {shards(4, 1), both});
}

// Two shards have one order (a + b = b + a): the library's all-reduce and our fold must agree.
TEST(Equality, TwoShardsHaveOneOrder) {
  for (const auto* dtype : {"float32", "bfloat16", "float16"})
    expect_equal("tiny-llama", std::string("native-2-") + dtype,
                 {shards(2, 1, {"--dtype", dtype}), {2, {"--tensor-parallel", "2", "--dtype", dtype}}});
}

// The order is the plan's, not the machine's: every order has the same bits on every rank count.
TEST(Equality, EveryOrderOnOneTwoAndFourRanks) {
  const std::vector<std::string> bf16{"--dtype", "bfloat16"};
  for (const auto* order : {"chain", "ring", "tree", "tree:7", "perm:2,0,3,1", "exact"}) {
    std::string name = order;
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c == ':' || c == ','; }, '-');
    expect_equal("tiny-llama", "order-" + name,
                 {ordered(order, 1, bf16), ordered(order, 2, bf16), ordered(order, 4, bf16)});
  }
  for (const auto* accumulator : {"message", "float64"}) {
    const std::vector<std::string> wide{"--dtype", "bfloat16",     "--partial",
                                        "float32", "--accumulate", accumulator};
    expect_equal("tiny-llama", std::string("partial-") + accumulator,
                 {ordered("ring", 1, wide), ordered("ring", 2, wide), ordered("ring", 4, wide)});
  }
}

// Control: no two orders have the same logits, so the equalities above say something.
TEST(Equality, OtherOrdersGiveOtherBits) {
  const fs::path folder = scratch("orders-control");
  std::vector<fs::path> records;
  std::vector<std::string> names;
  const auto differs_from_all = [&](const std::string& name, const Case& what) {
    const auto record = record_of("tiny-llama", what, folder, std::to_string(records.size()));
    if (::testing::Test::HasFailure()) return;
    for (std::size_t i = 0; i < records.size(); ++i)
      EXPECT_NE(first_difference(records[i], record), "") << name << " has the bits of " << names[i];
    records.push_back(record);
    names.push_back(name);
  };
  const std::vector<std::string> bf16{"--dtype", "bfloat16"};
  for (const auto* order : {"linear", "chain", "ring", "tree", "tree:7", "perm:2,0,3,1", "exact"})
    differs_from_all(order, ordered(order, 1, bf16));
  differs_from_all("float32 partials", ordered("linear", 1, {"--dtype", "bfloat16", "--partial", "float32"}));
}

// One shard has nothing to add, but float32 partials still round once, and the same wherever they do.
TEST(Equality, FloatPartialsOfOneShardAndFloatModels) {
  expect_equal("tiny-llama", "partial-one-shard",
               {{1, {"--reduction", "linear", "--partial", "float32"}}, {1, {}}});
  expect_equal("tiny-llama", "partial-float-model",
               {ordered("tree", 1, {"--partial", "float32"}), ordered("tree", 2)});
  const fs::path folder = scratch("partial-one-shard-bf16");
  record_of("tiny-llama", {1, {"--reduction", "linear", "--partial", "float32", "--dtype", "bfloat16"}},
            folder, "bf16");
}

// Control: sharding does change bits, and this comparison sees it.
TEST(Equality, OtherShardCountsGiveOtherBits) {
  const fs::path folder = scratch("control");
  const auto one = record_of("tiny-llama", {1, {}}, folder, "one");
  const auto four = record_of("tiny-llama", shards(4, 1), folder, "four");
  const auto wide = record_of("tiny-llama", shards(4, 1, {"--accumulate", "float64"}), folder, "wide");
  EXPECT_NE(first_difference(one, four), "");
  EXPECT_NE(first_difference(four, wide), "");
}

// Exact tier: every linear has at most one non-zero, a power of two, per output row, so no sum rounds: any
// plan that moves a slice to a wrong place shows, and every correct plan gives one device's bits.
TEST(Equality, ExactModelsAreTheSameUnderEveryPlan) {
  std::vector<Case> cases{{1, {}},
                          {2, {"--pipeline", "2"}},
                          {2, {"--replicas", "2"}},
                          {4, {"--tensor-parallel", "2", "--pipeline", "2"}}};
  for (int s = 2; s <= 4; ++s) {
    cases.push_back({s, {"--tensor-parallel", std::to_string(s)}});
    cases.push_back(shards(s, 1));
  }
  cases.push_back(shards(32, 1));
  cases.push_back(shards(8, 4));
  expect_equal("tiny-exact", "exact", cases);
  for (auto& c : cases) c.flags.insert(c.flags.end(), {"--dtype", "bfloat16"});
  expect_equal("tiny-exact-bf16", "exact-bf16", cases);
}

TEST(Equality, ExactModelsSayDifferentThings) {  // else the tier above would prove nothing
  const auto record = record_of("tiny-exact", {1, {}}, scratch("exact-control"), "one");
  const auto reader = record::Reader::open(record);
  std::vector<std::byte> first;
  std::vector<std::byte> other;
  reader.read_logits("p0", 0, 1, first);
  reader.read_logits("p2", 0, 1, other);
  EXPECT_NE(first, other);
  EXPECT_NE(std::count(first.begin(), first.end(), std::byte{0}), static_cast<std::ptrdiff_t>(first.size()));
}

}  // namespace
}  // namespace shardrift::testing
