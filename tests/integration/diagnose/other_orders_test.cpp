// Candidates that differ from their reference by order, kernels and rounding alone are noise: where one
// device has their bits, and where nobody knows what they did, so that the drift decides.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/diagnose/device_runs.hpp"

namespace shardrift::testing {
namespace {

constexpr auto kFollow = Mode::follow;
constexpr auto kScore = Mode::score;

// The run is one of `did`; its diagnosis believes that it was `ranks` ranks of a collective whose order it
// does not know.
struct Control {
  Subject subject;
  int ranks = 2;
  Plan did;
};

Control control(
    const Subject& subject, int ranks, const std::string& order,
    const std::function<void(Plan&)>& change = [](Plan&) {}) {
  Control made{subject, ranks, in_shards(subject, ranks, order)};
  change(made.did);
  return made;
}

void fixed(Plan& plan) {
  plan.products = Products::fixed;
}
void wide_partials(Plan& plan) {
  plan.reduction.partial = PartialDType::float32;
}
void wide_sums(Plan& plan) {
  plan.reduction.accumulator = Accumulator::float32;
}
void widest_sums(Plan& plan) {
  plan.reduction.accumulator = Accumulator::float64;
}
void batched(Plan& plan) {
  plan.batch = 3;
}
void prefilled(Plan& plan) {
  plan.batch = 3;
  plan.prefill_batch = 3;
}

// Models and prompts by which no threshold was chosen.
const std::vector<Control>& controls() {
  static const std::vector<Control> all{
      control({"tiny-mistral", DType::float32, kFollow, 51}, 2, "linear", batched),
      control({"tiny-mistral", DType::bfloat16, kScore, 52}, 3, "ring"),
      control({"tiny-mistral", DType::float16, kFollow, 53}, 4, "tree", batched),
      control({"tiny-granite", DType::float32, kFollow, 54}, 3, "ring", batched),
      control({"tiny-granite", DType::bfloat16, kScore, 55}, 4, "chain", wide_sums),
      control({"tiny-granite", DType::float16, kScore, 56}, 4, "ring", wide_partials),
      control({"tiny-gemma2", DType::float32, kScore, 57}, 4, "tree", fixed),
      control({"tiny-gemma2", DType::bfloat16, kFollow, 58}, 3, "ring", prefilled),
      control({"tiny-gemma3", DType::float16, kScore, 59}, 3, "perm:2,0,1"),
      control({"tiny-qwen3", DType::float32, kScore, 60}, 3, "perm:1,2,0", fixed),
      control({"tiny-qwen3", DType::bfloat16, kScore, 61}, 4, "tree:7"),
      control({"tiny-qwen3", DType::float16, kFollow, 62}, 3, "ring", batched),
      control({"tiny-qwen2", DType::float32, kFollow, 63}, 3, "chain", batched),
      control({"tiny-qwen2", DType::bfloat16, kFollow, 64}, 3, "chain", wide_partials),
      control({"tiny-qwen2-yarn", DType::float16, kScore, 65}, 4, "ring", wide_sums),
      control({"tiny-phi3", DType::float32, kFollow, 66}, 2, "linear", prefilled),
      control({"tiny-phi3", DType::bfloat16, kScore, 67}, 4, "vllm-two-stage"),
      control({"tiny-olmo2", DType::float32, kScore, 68}, 4, "perm:3,1,0,2", fixed),
      control({"tiny-olmo2", DType::bfloat16, kScore, 69}, 4, "tree", wide_partials),
      control({"tiny-olmo3", DType::float16, kScore, 70}, 3, "ring"),
      control({"tiny-llama-tied-rope3", DType::bfloat16, kScore, 71}, 3, "chain", widest_sums),
      control({"tiny-llama-biases", DType::float32, kFollow, 72}, 4, "ring", fixed),
      control({"tiny-mixtral", DType::float32, kScore, 73}, 3, "ring", fixed),
      control({"tiny-llama-float64", DType::float64, kScore, 74}, 3, "ring"),
  };
  return all;
}

TEST(OtherOrders, AreNoiseByTheirDrift) {
  DeviceRuns runs("diagnose-orders");
  int cannot_tell = 0;
  for (const auto& [subject, count, did] : controls()) {
    const auto name = fmt::format("{}, said to be {} ranks", describe(did) + " " + subject.model, count);
    const auto diagnosis = runs.diagnose(subject, runs.run(subject, did), ranks(subject, count));
    fmt::print("{}: {}\n", name, in_short(diagnosis));
    EXPECT_NE(diagnosis.finding, analysis::Finding::defect) << name;
    EXPECT_FALSE(diagnosis.find(analysis::Side::candidate)->equal()) << name << ": has nothing to explain";
    cannot_tell += diagnosis.finding == analysis::Finding::cannot_tell ? 1 : 0;
  }
  EXPECT_GE(controls().size(), 20U);
  EXPECT_LE(cannot_tell, 2);
}

// Where the diagnosis knows the plan, every bit is explained.
TEST(OtherOrders, WhoseOrderIsKnownAreExplainedToTheBit) {
  DeviceRuns runs("diagnose-known-orders");
  const Subject subject{"tiny-mistral", DType::bfloat16, kScore, 81};
  for (const std::string order : {"linear", "ring", "exact"}) {
    const Plan plan = in_shards(subject, 3, order);
    const auto diagnosis = runs.diagnose(subject, runs.run(subject, plan), plan);
    EXPECT_EQ(diagnosis.finding, analysis::Finding::noise) << order;
    EXPECT_TRUE(diagnosis.find(analysis::Side::candidate)->equal()) << order;
    // The control of it: three shards have not one device's bits.
    EXPECT_FALSE(diagnosis.find(analysis::Side::shards)->equal()) << order;
  }
}

}  // namespace
}  // namespace shardrift::testing
