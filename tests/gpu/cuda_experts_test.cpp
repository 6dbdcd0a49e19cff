// A mixture's operations: the CUDA kernels against the CPU's on the same inputs.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "model/backend.hpp"
#include "model/cuda/cuda_device.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kRows = 37, kExperts = 7, kActive = 3, kCols = 72;

class CudaExperts : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    select_cuda_device(0);
    gpu = make_cuda_backend(false);
    cpu = make_cpu_backend(1);
  }
  // Normal numbers in the dtype.
  std::vector<std::byte> words(std::int64_t count, unsigned seed) const {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<std::byte> bytes(static_cast<std::size_t>(count) * size_of(GetParam()));
    for (std::int64_t i = 0; i < count; ++i) {
      const float value = normal(generator);
      std::byte* at = bytes.data() + static_cast<std::size_t>(i) * size_of(GetParam());
      if (GetParam() == DType::float64) {
        const double wide = value;
        std::memcpy(at, &wide, sizeof wide);
      } else if (GetParam() == DType::float32) {
        std::memcpy(at, &value, sizeof value);
      } else {
        const std::uint16_t word =
            GetParam() == DType::float16 ? float16_from_float(value) : bfloat16_from_float(value);
        std::memcpy(at, &word, sizeof word);
      }
    }
    return bytes;
  }
  template <typename T>
  static Buffer on(Backend& backend, const std::vector<T>& values) {
    Buffer buffer(backend, values.size() * sizeof(T));
    backend.upload(buffer.data(), values.data(), values.size() * sizeof(T));
    return buffer;
  }
  std::size_t weight_size() const { return GetParam() == DType::float64 ? 8 : 4; }

  std::unique_ptr<Backend> gpu, cpu;
};

struct Routed {
  std::vector<std::int32_t> experts;
  std::vector<std::byte> weights;
};

// given: the experts, or none.
Routed route(Backend& backend, const std::vector<std::byte>& logits, DType dtype, const ExpertsSpec& spec,
             std::size_t weight_size, const std::vector<std::int32_t>& given = {}) {
  OwnedMatrix matrix(backend, kRows, spec.count, dtype);
  backend.upload(matrix.view.data, logits.data(), logits.size());
  const auto pairs = static_cast<std::size_t>(kRows * spec.active);
  Routed routed{std::vector<std::int32_t>(pairs), std::vector<std::byte>(pairs * weight_size)};
  const Buffer ids(backend, pairs * 4), weights(backend, routed.weights.size());
  if (!given.empty()) backend.upload(ids.data(), given.data(), pairs * 4);
  backend.route(matrix.view, spec, !given.empty(), ids.as<std::int32_t>(), weights.data());
  backend.download(routed.experts.data(), ids.data(), routed.experts.size() * 4);
  backend.download(routed.weights.data(), weights.data(), routed.weights.size());
  return routed;
}

// Few experts and many, also all of them; routers that tie; given experts.
TEST_P(CudaExperts, RoutesAreTheCpus) {
  struct Shape {
    std::int64_t count, active;
    bool ties, gives;
  };
  for (const auto& [count, active, ties, gives] :
       {Shape{kExperts, kActive, false, false}, Shape{128, 8, false, false}, Shape{128, 8, true, false},
        Shape{60, 33, true, false}, Shape{40, 40, false, false}, Shape{128, 8, false, true}})
    for (const auto kind :
         {RouteWeights::softmax, RouteWeights::softmax_renormalized, RouteWeights::softmax_of_chosen}) {
      auto logits = words(kRows * count, 1);
      const std::size_t size = size_of(GetParam());
      for (std::size_t i = 0; ties && i + 3 < logits.size() / size; i += 3)  // runs of equal logits
        std::memcpy(logits.data() + (i + 1) * size, logits.data() + i * size, size);
      std::vector<std::int32_t> given;
      for (std::int64_t i = 0; gives && i < kRows * active; ++i)
        given.push_back(static_cast<std::int32_t>(i % active * 15 + i / active % 15));
      const ExpertsSpec spec{.count = count, .active = active, .weights = kind};
      const auto device = route(*gpu, logits, GetParam(), spec, weight_size(), given);
      const auto host = route(*cpu, logits, GetParam(), spec, weight_size(), given);
      EXPECT_EQ(device.experts, host.experts) << count;
      for (std::size_t i = 0; i < host.experts.size(); ++i) {
        double theirs = 0, ours = 0;
        if (weight_size() == 8) {
          std::memcpy(&ours, device.weights.data() + i * 8, 8);
          std::memcpy(&theirs, host.weights.data() + i * 8, 8);
        } else {
          float word = 0;
          std::memcpy(&word, device.weights.data() + i * 4, 4);
          ours = word;
          std::memcpy(&word, host.weights.data() + i * 4, 4);
          theirs = word;
        }
        EXPECT_NEAR(ours, theirs, 1e-6) << i;
      }
    }
}

// Products and sums alone: no difference is allowed where every step rounds; a sum in float32 may be fused.
TEST_P(CudaExperts, ASumThatRoundsAtEveryExpertHasTheCpusBits) {
  const auto outputs = words(kRows * kActive * kCols, 2);
  const auto bias = words(kExperts * kCols, 3);
  const auto logits = words(kRows * kExperts, 4);
  const ExpertsSpec spec{.count = kExperts, .active = kActive};
  const auto routed = route(*cpu, logits, GetParam(), spec, weight_size());
  std::vector<std::int64_t> places(routed.experts.size());
  for (std::size_t i = 0; i < places.size(); ++i)
    places[i] = static_cast<std::int64_t>(places.size() - 1 - i) * kCols;
  for (const bool placed : {true, false}) {
    std::vector<std::vector<std::byte>> sums;
    for (Backend* backend : {gpu.get(), cpu.get()}) {
      const auto device_outputs = on(*backend, outputs), device_bias = on(*backend, bias);
      const auto device_places = on(*backend, places);
      const auto device_experts = on(*backend, routed.experts);
      const auto device_weights = on(*backend, routed.weights);
      const OwnedMatrix out(*backend, kRows, kCols, GetParam());
      ExpertOutputs from{device_outputs.data(),
                         placed ? device_places.as<std::int64_t>() : nullptr,
                         device_experts.as<std::int32_t>(),
                         device_weights.data(),
                         kActive,
                         Matrix{device_bias.data(), kExperts, kCols, GetParam()},
                         ExpertSum::model};
      from.here = {1, kExperts - 1};
      backend->combine_experts(from, out.view);
      sums.emplace_back(out.view.bytes());
      backend->download(sums.back().data(), out.view.data, sums.back().size());
    }
    if (size_of(GetParam()) == 2) {
      EXPECT_EQ(sums[0], sums[1]);
    } else {
      std::size_t equal = 0;
      for (std::size_t i = 0; i < sums[0].size(); i += size_of(GetParam()))
        equal += std::memcmp(sums[0].data() + i, sums[1].data() + i, size_of(GetParam())) == 0 ? 1 : 0;
      EXPECT_GT(equal, sums[0].size() / size_of(GetParam()) / 2);
    }
  }
}

TEST_P(CudaExperts, ChecksumsGoWhereTheirRowsAre) {
  const auto values = words(kRows * kCols, 5);
  std::vector<std::int32_t> targets(kRows);
  for (std::size_t i = 0; i < targets.size(); ++i)
    targets[i] = i % 4 == 0 ? -1 : static_cast<std::int32_t>(kRows - 1 - static_cast<std::int64_t>(i));
  std::vector<std::vector<std::uint64_t>> sums;
  for (Backend* backend : {gpu.get(), cpu.get()}) {
    OwnedMatrix m(*backend, kRows, kCols, GetParam());
    backend->upload(m.view.data, values.data(), values.size());
    const auto device_targets = on(*backend, targets);
    const auto device_sums = on(*backend, std::vector<std::uint64_t>(kRows, 0));
    backend->checksum(m.view, {3, 50}, 11, device_sums.as<std::uint64_t>(),
                      device_targets.as<std::int32_t>());
    sums.emplace_back(kRows);
    backend->download(sums.back().data(), device_sums.data(), kRows * sizeof(std::uint64_t));
  }
  EXPECT_EQ(sums[0], sums[1]);
}

INSTANTIATE_TEST_SUITE_P(DTypes, CudaExperts,
                         ::testing::Values(DType::float64, DType::float32, DType::float16, DType::bfloat16),
                         [](const auto& test) { return std::string(name_of(test.param)); });

}  // namespace
}  // namespace shardrift
