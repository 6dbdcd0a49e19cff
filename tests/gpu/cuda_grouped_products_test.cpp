// A mixture's pairs in one launch: each has the bits of its row's product by its expert alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "model/cuda/cuda_device.hpp"
#include "tests/unit/model/product_inputs.hpp"

namespace shardrift {
namespace {

using Routes = std::vector<std::int32_t>;

// [rows, active]: each row's experts, ascending.
Routes random_routes(std::int64_t rows, std::int64_t active, std::int64_t experts, unsigned seed) {
  std::mt19937 generator(seed);
  Routes ids(static_cast<std::size_t>(experts)), routes;
  std::iota(ids.begin(), ids.end(), 0);
  for (std::int64_t r = 0; r < rows; ++r) {
    std::shuffle(ids.begin(), ids.end(), generator);
    std::sort(ids.begin(), ids.begin() + active);
    routes.insert(routes.end(), ids.begin(), ids.begin() + active);
  }
  return routes;
}

class CudaGroupedProducts : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    select_cuda_device(0);
    gpu = make_cuda_backend(false, Products::fixed);
  }
  OwnedMatrix random(std::int64_t rows, std::int64_t cols, unsigned seed) {
    OwnedMatrix m(*gpu, rows, cols, GetParam());
    const Bytes numbers = random_numbers(rows * cols, GetParam(), seed);
    gpu->upload(m.view.data, numbers.data(), numbers.size());
    return m;
  }
  Bytes read(const Matrix& m) {
    Bytes bytes(m.bytes());
    gpu->download(bytes.data(), m.data, bytes.size());
    return bytes;
  }

  // The experts' matrices; those that are `gone` are in no table.
  struct Experts {
    std::vector<OwnedWeight> weights;
    std::vector<OwnedMatrix> biases;
    std::vector<bool> gone;
    Buffer entries;
    ExpertTable table;
  };
  void make_table(Experts& experts) {
    std::vector<ExpertMatrix> entries(experts.weights.size());
    for (std::size_t e = 0; e < entries.size(); ++e) {
      if (experts.gone[e]) continue;
      const Weight weight = experts.weights[e].view();
      entries[e] = {weight.matrix.data, static_cast<const float*>(weight.scales.data),
                    experts.biases.empty() ? nullptr : experts.biases[e].view.data};
      experts.table.shape = weight.matrix;
      experts.table.format = weight.format;
    }
    experts.entries = uploaded(*gpu, entries);
    experts.table.experts = experts.entries.as<ExpertMatrix>();
    experts.table.count = static_cast<std::int64_t>(entries.size());
  }
  Experts plain_experts(std::int64_t count, std::int64_t columns, std::int64_t k, bool biases) {
    Experts experts;
    for (std::int64_t e = 0; e < count; ++e) {
      experts.weights.emplace_back().matrix = random(columns, k, 100 + static_cast<unsigned>(e));
      if (biases) experts.biases.push_back(random(1, columns, 200 + static_cast<unsigned>(e)));
      experts.gone.push_back(count > 2 && e == 1);
    }
    make_table(experts);
    return experts;
  }

  // Pair by pair: a product of one row, then its bias.
  void multiply_separately(const Matrix& x, const Experts& experts, const Routes& routes, const Matrix& out) {
    const auto pairs = static_cast<std::int64_t>(routes.size());
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      const auto e = static_cast<std::size_t>(routes[static_cast<std::size_t>(pair)]);
      if (experts.gone[e]) continue;
      const Matrix to = rows_of(out, pair, 1);
      gpu->linear(rows_of(x, pair * x.rows / pairs, 1), experts.weights[e].view(), to);
      if (!experts.biases.empty()) gpu->add(to, experts.biases[e].view);
    }
  }
  // x: of the rows, and of the pairs (as a down product's).
  void expect_the_same(const Experts& experts, const Routes& routes, std::int64_t rows, DType to,
                       const std::string& what) {
    const auto pairs = static_cast<std::int64_t>(routes.size());
    const Buffer ids = uploaded(*gpu, routes);
    for (const std::int64_t x_rows : {rows, pairs}) {
      const auto x = random(x_rows, experts.table.shape.cols, 7);
      const OwnedMatrix grouped(*gpu, pairs, experts.table.shape.rows, to);
      const OwnedMatrix separate(*gpu, pairs, experts.table.shape.rows, to);
      multiply_separately(x.view, experts, routes, separate.view);
      const bool settled = x_rows == pairs;
      gpu->linear_of_experts(x.view, experts.table, {ids.as<std::int32_t>(), rows, pairs / rows, settled},
                             grouped.view);
      ASSERT_TRUE(read(grouped.view) == read(separate.view))
          << what << ", " << x_rows << " rows of x, to " << name_of(to);
    }
  }

  std::unique_ptr<Backend> gpu;
};

TEST_P(CudaGroupedProducts, HaveTheBitsOfSeparateOnes) {
  for (const auto& [columns, k] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {75, 100}, {32, 24}, {48, 515}, {256, 1088}, {16, 4096}})
    for (const std::int64_t count : {1, 2, 5, 8, 33})
      for (const bool biases : {false, true}) {
        const auto experts = plain_experts(count, columns, k, biases);
        for (std::int64_t rows = 1; rows <= 40; rows += rows < 17 ? 1 : 11)
          for (const std::int64_t active : {1, 2, 4}) {
            if (active > count || (rows > 3 && rows % 4 != 0 && active == 4)) continue;
            const auto routes = random_routes(rows, active, count, static_cast<unsigned>(rows * 10 + active));
            const auto what = std::to_string(count) + " experts of " + std::to_string(columns) + " x " +
                              std::to_string(k) + ", " + std::to_string(rows) + " rows to " +
                              std::to_string(active) + (biases ? ", biases" : "");
            expect_the_same(experts, routes, rows, GetParam(), what);
            if (!biases) expect_the_same(experts, routes, rows, DType::float32, what);
            if (HasFatalFailure()) return;
          }
      }
}

TEST_P(CudaGroupedProducts, OfRowsThatAllGoToOneExpert) {
  const auto experts = plain_experts(6, 40, 200, true);
  for (const std::int64_t rows : {1, 7, 8, 9, 16, 17, 33, 70}) {
    for (const std::int32_t id : {0, 5}) {
      expect_the_same(experts, Routes(static_cast<std::size_t>(rows), id), rows, GetParam(),
                      std::to_string(rows) + " rows to one expert");
      if (HasFatalFailure()) return;
    }
    // To one that is not here: nothing is written.
    expect_the_same(experts, Routes(static_cast<std::size_t>(rows), 1), rows, GetParam(), "none here");
    if (HasFatalFailure()) return;
  }
}

// (The bits of coded weights' separate products are those of plain ones: CudaProducts.)
TEST_P(CudaGroupedProducts, OfCodedWeightsHaveTheBitsOfSeparateOnes) {
  for (const auto& [kind, format] : kQuantized)
    for (const std::int64_t k : {72, 1088}) {
      Experts experts;
      for (unsigned e = 0; e < 5; ++e) {
        experts.weights.push_back(quantized_weight(*gpu, kind, 75, k, GetParam(), 300 + e).first);
        gpu->code(experts.weights.back(), format);
        ASSERT_EQ(experts.weights.back().format, format) << name_of(kind);
        experts.gone.push_back(e == 3);
      }
      make_table(experts);
      for (const std::int64_t rows : {1, 2, 8, 9, 16, 30}) {
        const auto what = std::string(name_of(kind)) + ", " + std::to_string(rows) + " rows";
        expect_the_same(experts, random_routes(rows, 2, 5, static_cast<unsigned>(rows)), rows, GetParam(),
                        what);
        if (HasFatalFailure()) return;
      }
    }
}

// Routes and rows that the kernels just before have written, in a graph that is launched again and again.
TEST_P(CudaGroupedProducts, CapturedOnesReadTheRoutesOfTheirPass) {
  constexpr std::int64_t kRows = 6, kCount = 8, kActive = 2, kHidden = 512, kInner = 320;
  const ExpertsSpec spec{.count = kCount, .active = kActive};
  const auto in = plain_experts(kCount, 2 * kInner, kHidden, true);
  const auto out = plain_experts(kCount, kHidden, kInner, false);
  for (const Experts* experts : {&in, &out})
    for (const auto& weight : experts->weights) gpu->scale(weight.matrix.view, 0.05);
  const OwnedMatrix x(*gpu, kRows, kHidden, GetParam()), logits(*gpu, kRows, kCount, GetParam());
  const OwnedMatrix gate_up(*gpu, kRows * kActive, 2 * kInner, GetParam());
  const OwnedMatrix inner(*gpu, kRows * kActive, kInner, GetParam());
  const OwnedMatrix outputs(*gpu, kRows * kActive, kHidden, GetParam());
  const OwnedMatrix sum(*gpu, kRows, kHidden, GetParam());
  const auto router = random(kCount, kHidden, 20);
  const Buffer ids(*gpu, kRows * kActive * sizeof(std::int32_t)),
      weights(*gpu, kRows * kActive * sizeof(float));
  using Multiply = std::function<void(const Matrix&, const Experts&, const Matrix&)>;
  const auto finish = [&](const Multiply& multiply) {
    multiply(x.view, in, gate_up.view);
    gpu->activate(gate_up.view, Activation::silu, 0, inner.view);
    multiply(inner.view, out, outputs.view);
    ExpertOutputs all{outputs.view.data, nullptr, ids.as<std::int32_t>(), weights.data(),
                      kActive,           {},      ExpertSum::model};
    all.bias.dtype = GetParam();
    gpu->combine_experts(all, sum.view);
  };
  const auto pass = [&] {
    gpu->linear(x.view, router.view, logits.view);
    gpu->route(logits.view, spec, false, ids.as<std::int32_t>(), weights.data());
    finish([&](const Matrix& from, const Experts& experts, const Matrix& to) {
      const bool settled = &experts == &out;
      gpu->linear_of_experts(from, experts.table, {ids.as<std::int32_t>(), kRows, kActive, settled}, to);
    });
  };
  const auto captured = gpu->capture(pass);
  Bytes before;
  for (unsigned step = 0; step < 50; ++step) {
    const auto next = random(kRows, kHidden, 1000 + step);
    gpu->copy_columns(next.view, {0, kHidden}, x.view, 0);
    captured->launch();
    captured->launch();
    const Bytes found = read(sum.view);
    Routes routes(kRows * kActive);
    gpu->download(routes.data(), ids.data(), routes.size() * sizeof(std::int32_t));
    finish([&](const Matrix& from, const Experts& experts, const Matrix& to) {
      multiply_separately(from, experts, routes, to);
    });
    ASSERT_TRUE(read(sum.view) == found) << "step " << step;
    EXPECT_FALSE(found == before) << "a control";
    before = found;
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, CudaGroupedProducts, ::testing::Values(DType::bfloat16, DType::float16),
                         [](const auto& dtype) { return std::string(name_of(dtype.param)); });

}  // namespace
}  // namespace shardrift
