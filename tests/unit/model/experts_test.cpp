// A mixture's operations on the CPU backend: routing, the weighted sum of experts, sinks in attention.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "model/backend.hpp"

namespace shardrift {
namespace {

class ExpertsTest : public ::testing::Test {
 protected:
  struct Routed {
    std::vector<std::int32_t> experts;
    std::vector<float> weights;
  };
  Routed route(const std::vector<float>& logits, const ExpertsSpec& spec,
               const std::vector<std::int32_t>& given = {}) {
    const auto rows = static_cast<std::int64_t>(logits.size()) / spec.count;
    OwnedMatrix matrix(*backend, rows, spec.count, DType::float32);
    backend->upload(matrix.view.data, logits.data(), matrix.view.bytes());
    Routed routed;
    routed.experts.assign(static_cast<std::size_t>(rows * spec.active), -1);
    routed.weights.assign(routed.experts.size(), -1);
    if (!given.empty()) routed.experts = given;
    backend->route(matrix.view, spec, !given.empty(), routed.experts.data(), routed.weights.data());
    return routed;
  }

  std::unique_ptr<Backend> backend = make_cpu_backend(2);
};

TEST_F(ExpertsTest, TheLargestLogitsAreTakenTheLowestIdAtTies) {
  const ExpertsSpec spec{.count = 5, .active = 2};
  EXPECT_EQ(route({1, 3, 2, 3, 0}, spec).experts, (std::vector<std::int32_t>{1, 3}));
  EXPECT_EQ(route({7, 7, 7, 7, 7}, spec).experts, (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(route({0, 1, 2, 3, 3}, {.count = 5, .active = 3}).experts, (std::vector<std::int32_t>{2, 3, 4}));
  EXPECT_EQ(route({0, 1, 2, 3, 4}, {.count = 5, .active = 5}).experts,
            (std::vector<std::int32_t>{0, 1, 2, 3, 4}));
  // NaN is the least: ids stay ids, and what is not finite is found where it first was.
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(route({nan, 1, nan, -4, nan}, spec).experts, (std::vector<std::int32_t>{1, 3}));
  EXPECT_EQ(route({nan, nan, nan, nan, nan}, spec).experts, (std::vector<std::int32_t>{0, 1}));
  // Each row by itself.
  EXPECT_EQ(route({5, 4, 3, 2, 1, 1, 2, 3, 4, 5}, spec).experts, (std::vector<std::int32_t>{0, 1, 3, 4}));
}

TEST_F(ExpertsTest, WeightsAreThoseOfTheirKind) {
  const std::vector<float> logits{0.5F, -1, 2, 1};
  const auto softmax = [&](int i) {
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    return std::exp(static_cast<double>(logits[static_cast<std::size_t>(i)])) / sum;
  };
  ExpertsSpec spec{.count = 4, .active = 2, .weights = RouteWeights::softmax};
  auto routed = route(logits, spec);
  EXPECT_NEAR(routed.weights[0], softmax(2), 1e-6);
  EXPECT_NEAR(routed.weights[1], softmax(3), 1e-6);
  for (const auto kind : {RouteWeights::softmax_renormalized, RouteWeights::softmax_of_chosen}) {
    spec.weights = kind;
    routed = route(logits, spec);
    EXPECT_NEAR(routed.weights[0], softmax(2) / (softmax(2) + softmax(3)), 1e-6);
    EXPECT_NEAR(routed.weights[1], softmax(3) / (softmax(2) + softmax(3)), 1e-6);
    // Given experts: the weights are the run's own, of those.
    routed = route(logits, spec, {0, 1});
    EXPECT_EQ(routed.experts, (std::vector<std::int32_t>{0, 1}));
    EXPECT_NEAR(routed.weights[0], softmax(0) / (softmax(0) + softmax(1)), 1e-6);
  }
}

// Of another run's experts, which this router would never take: they share the row all the same.
TEST_F(ExpertsTest, GivenExpertsThatUnderflowHaveWeights) {
  const auto routed = route({0, -10000, -10001}, {.count = 3, .active = 2}, {1, 2});
  EXPECT_NEAR(routed.weights[0], 1 / (1 + std::exp(-1.0)), 1e-6);
  EXPECT_NEAR(routed.weights[1], 1 / (1 + std::exp(1.0)), 1e-6);
}

TEST_F(ExpertsTest, TheSumRoundsWhereItSays) {
  // bfloat16 has 8 bits: 256 + 1 is 256, and 1 + 1 + 256 is 258.
  const std::vector<std::uint16_t> outputs{bfloat16_from_float(256), bfloat16_from_float(1),
                                           bfloat16_from_float(1)};
  const std::vector<std::int64_t> places{0, 1, 2};
  const std::vector<std::int32_t> experts{0, 1, 2};
  const std::vector<float> weights{1, 1, 1};
  ExpertOutputs from{outputs.data(), places.data(), experts.data(), weights.data(), 3, {}, ExpertSum::model};
  from.bias.dtype = DType::bfloat16;
  OwnedMatrix out(*backend, 1, 1, DType::bfloat16);
  const auto sum = [&] {
    backend->combine_experts(from, out.view);
    return float_from_bfloat16(*static_cast<const std::uint16_t*>(out.view.data));
  };
  EXPECT_EQ(sum(), 256);
  from.sum = ExpertSum::float32;
  EXPECT_EQ(sum(), 258);
  // A bias is added to an expert's output and rounds there, in either.
  const std::vector<std::uint16_t> bias{bfloat16_from_float(0), bfloat16_from_float(0),
                                        bfloat16_from_float(255)};
  from.bias = {const_cast<std::uint16_t*>(bias.data()), 3, 1, DType::bfloat16};
  EXPECT_EQ(sum(), 512);  // 256 + 1 + 256, to the even of 512 and 514
  // Experts that are not here add nothing, not even zero.
  from.bias.data = nullptr;
  from.here = {2, 3};
  EXPECT_EQ(sum(), 1);
  from.here = {3, 5};
  EXPECT_EQ(sum(), 0);
  EXPECT_TRUE(std::signbit(sum()));
}

TEST_F(ExpertsTest, AWeightMultipliesBeforeTheSumRounds) {
  const std::vector<float> outputs{3, 10, 5, 20};  // two pairs' rows of two columns
  const std::vector<std::int64_t> places{2, 0};    // the row's first expert is the later pair
  const std::vector<std::int32_t> experts{0, 4};
  const std::vector<float> weights{0.25F, 0.5F};
  ExpertOutputs from{outputs.data(), places.data(), experts.data(), weights.data(), 2, {}, ExpertSum::model};
  OwnedMatrix out(*backend, 1, 2, DType::float32);
  backend->combine_experts(from, out.view);
  const auto* sums = static_cast<const float*>(out.view.data);
  EXPECT_EQ(sums[0], 0.25F * 5 + 0.5F * 3);
  EXPECT_EQ(sums[1], 0.25F * 20 + 0.5F * 10);
  from.places = nullptr;  // outputs are in the order of pairs
  backend->combine_experts(from, out.view);
  EXPECT_EQ(sums[0], 0.25F * 3 + 0.5F * 5);
  EXPECT_EQ(sums[1], 0.25F * 10 + 0.5F * 20);
}

// All pairs at once, against each pair's row alone and its bias.
TEST_F(ExpertsTest, GroupedProductsHaveTheBitsOfSeparateOnes) {
  const auto fixed = make_cpu_backend(2, Products::fixed);
  constexpr std::int64_t kRows = 5, kActive = 2, kPairs = kRows * kActive, kCount = 4, kK = 37, kColumns = 11;
  const std::vector<std::int32_t> ids{0, 1, 1, 3, 0, 3, 1, 2, 1, 3};
  for (const DType dtype : {DType::bfloat16, DType::float16, DType::float32, DType::float64}) {
    std::uint32_t state = 1;
    const auto random = [&](std::int64_t rows, std::int64_t cols) {
      OwnedMatrix m(*fixed, rows, cols, dtype);
      for (std::int64_t i = 0; i < rows * cols; ++i) {
        state = state * 1664525U + 1013904223U;
        const float value = static_cast<float>(state >> 8U) * 0x1p-22F - 2.0F;
        const std::uint16_t word =
            dtype == DType::bfloat16 ? bfloat16_from_float(value) : float16_from_float(value);
        if (size_of(dtype) == 2) m.buffer.as<std::uint16_t>()[i] = word;
        if (dtype == DType::float32) m.buffer.as<float>()[i] = value;
        if (dtype == DType::float64) m.buffer.as<double>()[i] = value;
      }
      return m;
    };
    std::vector<OwnedMatrix> weights, biases;
    std::vector<ExpertMatrix> entries(kCount);
    for (std::size_t e = 0; e < kCount; ++e) {
      weights.push_back(random(kColumns, kK));
      biases.push_back(random(1, kColumns));
      if (e != 1) entries[e] = {weights[e].view.data, nullptr, e == 2 ? nullptr : biases[e].view.data};
    }
    ExpertTable table{entries.data(), kCount, weights[0].view};
    for (const std::int64_t x_rows : {kRows, kPairs}) {
      const auto x = random(x_rows, kK);
      const auto grouped = random(kPairs, kColumns);
      OwnedMatrix separate(*fixed, kPairs, kColumns, dtype);
      fixed->copy_columns(grouped.view, {0, kColumns}, separate.view, 0);
      const std::size_t bytes = separate.view.bytes();
      fixed->linear_of_experts(x.view, table, {ids.data(), kRows, kActive}, grouped.view);
      EXPECT_NE(std::memcmp(grouped.view.data, separate.view.data, bytes), 0) << "a control";
      for (std::size_t pair = 0; pair < kPairs; ++pair) {
        const auto e = static_cast<std::size_t>(ids[pair]);
        if (entries[e].weight == nullptr) continue;  // what was there stays
        const auto row_of = [](const Matrix& m, std::size_t row) {
          auto* at = static_cast<std::byte*>(m.data) + row * m.first_rows(1).bytes();
          return Matrix{at, 1, m.cols, m.dtype};
        };
        const Matrix to = row_of(separate.view, pair);
        fixed->linear(row_of(x.view, pair * static_cast<std::size_t>(x_rows) / kPairs), weights[e].view, to);
        if (entries[e].bias != nullptr) fixed->add(to, biases[e].view);
      }
      EXPECT_EQ(std::memcmp(grouped.view.data, separate.view.data, bytes), 0)
          << name_of(dtype) << ", " << x_rows << " rows";
    }
  }
}

// One head of two elements, two keys: softmax over two scores and the sink, which has no value.
TEST_F(ExpertsTest, ASinkTakesPartOfTheWeightAway) {
  const std::vector<float> qkv{1, 0, 0, 0, 0, 0};
  const std::vector<float> keys{1, 0, 2, 0}, values{1, 0, 0, 1};
  const std::vector<std::int32_t> position{1}, slot{0}, local_kv{0};
  const std::vector<float> sink{1.5F};
  OwnedMatrix rows(*backend, 1, 6, DType::float32), out(*backend, 1, 2, DType::float32);
  backend->upload(rows.view.data, qkv.data(), rows.view.bytes());
  OwnedMatrix cached_keys(*backend, 2, 2, DType::float32), cached_values(*backend, 2, 2, DType::float32);
  backend->upload(cached_keys.view.data, keys.data(), cached_keys.view.bytes());
  backend->upload(cached_values.view.data, values.data(), cached_values.view.bytes());
  AttentionShape shape{1, local_kv.data(), 0, 1.0};
  shape.sinks = sink.data();
  backend->attention(rows.view, shape, {nullptr, position.data(), slot.data(), nullptr, 1},
                     {cached_keys.view.data, cached_values.view.data, 1, 2, 2}, out.view);
  const double total = std::exp(1.0) + std::exp(2.0) + std::exp(1.5);
  EXPECT_NEAR(static_cast<const float*>(out.view.data)[0], std::exp(1.0) / total, 1e-6);
  EXPECT_NEAR(static_cast<const float*>(out.view.data)[1], std::exp(2.0) / total, 1e-6);
}

TEST_F(ExpertsTest, ClampedSwishIsGptOss) {
  const std::vector<float> gate_up{9, -9, 0.5F, /* up */ 9, -9, 0.25F};
  OwnedMatrix from(*backend, 1, 6, DType::float32), out(*backend, 1, 3, DType::float32);
  backend->upload(from.view.data, gate_up.data(), from.view.bytes());
  backend->activate(from.view, Activation::clamped_swish, 7, out.view);
  const auto expected = [](double gate, double up) {
    return gate / (1 + std::exp(-1.702 * gate)) * (up + 1);
  };
  const auto* values = static_cast<const float*>(out.view.data);
  EXPECT_NEAR(values[0], expected(7, 7), 1e-4);
  EXPECT_NEAR(values[1], expected(-9, -7), 1e-6);  // a gate is clamped from above alone
  EXPECT_NEAR(values[2], expected(0.5, 0.25), 1e-6);
}

TEST_F(ExpertsTest, ChecksumsGoWhereTheirRowsAre) {
  OwnedMatrix m(*backend, 3, 4, DType::float32);
  std::vector<float> values(12);
  std::iota(values.begin(), values.end(), 1.0F);
  backend->upload(m.view.data, values.data(), m.view.bytes());
  std::vector<std::uint64_t> plain(3, 0), sorted(2, 0);
  backend->checksum(m.view, {0, 4}, 7, plain.data());
  const std::vector<std::int32_t> targets{1, -1, 0};
  backend->checksum(m.view, {0, 4}, 7, sorted.data(), targets.data());
  EXPECT_EQ(sorted, (std::vector<std::uint64_t>{plain[2], plain[0]}));
}

}  // namespace
}  // namespace shardrift
