// The CUDA fold against the scalar reference, bit by bit, and its speed against a copy on the device.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>

#include "model/cuda/cuda_device.hpp"
#include "model/device_order_map.hpp"
#include "tests/support/fold_cases.hpp"

namespace shardrift::testing {
namespace {

class CudaFold : public ::testing::Test {
 protected:
  void SetUp() override {
    select_cuda_device(0);
    gpu = make_cuda_backend(false);
  }

  // `shift` bytes past an aligned address: both of the partials and of the result.
  Bytes fold(const Bytes& partials, std::size_t stride, FoldDTypes dtypes, const OrderMap& map,
             Accumulator accumulator, std::size_t shift = 0) {
    const DeviceOrderMap on_device(*gpu, map);
    Buffer data(*gpu, partials.size() + shift);
    gpu->upload(data.as<std::byte>() + shift, partials.data(), partials.size());
    Bytes result(static_cast<std::size_t>(map.count) * size_of(dtypes.out));
    Buffer sum(*gpu, result.size() + shift);
    const Matrix out{sum.as<std::byte>() + shift, 1, map.count, dtypes.out};
    gpu->fold(data.as<std::byte>() + shift, stride, dtypes.partial, on_device, accumulator, out);
    gpu->download(result.data(), out.data, result.size());
    return result;
  }

  // Seconds of one call, the best of several bursts.
  double seconds(const std::function<void()>& call) {
    constexpr int kCalls = 40;
    auto* stream = static_cast<cudaStream_t>(cuda_stream(*gpu));
    cudaEvent_t begin = nullptr;
    cudaEvent_t end = nullptr;
    cudaEventCreate(&begin);
    cudaEventCreate(&end);
    float best = 1e30F;
    for (int burst = 0; burst < 6; ++burst) {
      cudaEventRecord(begin, stream);
      for (int i = 0; i < kCalls; ++i) call();
      cudaEventRecord(end, stream);
      cudaEventSynchronize(end);
      float milliseconds = 0;
      cudaEventElapsedTime(&milliseconds, begin, end);
      best = std::min(best, milliseconds);
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return best * 1e-3 / kCalls;
  }

  std::unique_ptr<Backend> gpu;
};

TEST_F(CudaFold, HasTheScalarReferencesBits) {
  for_each_fold({1, 2, 3, 4, 5, 8, 64}, {1, 577, 5003},
                [&](const OrderMap& map, FoldDTypes dtypes, Accumulator accumulator, const Bytes& partials,
                    std::size_t stride, const Bytes& expected, const std::string& what) {
                  const Bytes got = fold(partials, stride, dtypes, map, accumulator);
                  ASSERT_EQ(first_difference(got, expected, dtypes.out), -1) << what;
                });
}

// Buffers that start inside a 16-byte line, and strides that are no multiple of one.
TEST_F(CudaFold, UnalignedBuffersHaveTheSameBits) {
  constexpr std::int64_t kCount = 1003;
  for (const auto dtypes : fold_dtypes()) {
    const std::size_t size = size_of(dtypes.partial);
    const Bytes partials = awkward_words(kCount * 5, dtypes.partial, 31);
    const OrderMap map = local_order_map(reduction_from_text("ring"), 5, kCount);
    Bytes expected(kCount * size_of(dtypes.out));
    scalar_fold(partials.data(), kCount * size, dtypes.partial, map, Accumulator::message, expected.data(),
                dtypes.out);
    for (const std::size_t shift : {std::size_t{0}, size}) {
      const Bytes got = fold(partials, kCount * size, dtypes, map, Accumulator::message, shift);
      ASSERT_EQ(first_difference(got, expected, dtypes.out), -1) << name_of(dtypes.partial) << ", " << shift;
    }
  }
}

// Many short segments whose ends cut vectors, in more than one granule of the map's index.
TEST_F(CudaFold, SegmentsOfEveryLength) {
  constexpr std::int64_t kCount = 20000;
  OrderMapBuilder builder(kCount);
  std::int64_t next = 0;
  for (std::int64_t piece = 1; next < kCount; ++piece) {
    const std::int64_t length = std::min(kCount - next, piece % 7 == 0 ? 1200 : piece % 37 + 1);
    builder.append(length, tree_by_index(4, piece % 15));
    next += length;
  }
  const OrderMap map = builder.finish();
  for (const auto dtypes : fold_dtypes()) {
    const std::size_t stride = kCount * size_of(dtypes.partial);
    const Bytes partials = awkward_words(kCount * 4, dtypes.partial, 41);
    Bytes expected(kCount * size_of(dtypes.out));
    scalar_fold(partials.data(), stride, dtypes.partial, map, Accumulator::message, expected.data(),
                dtypes.out);
    EXPECT_EQ(
        first_difference(fold(partials, stride, dtypes, map, Accumulator::message), expected, dtypes.out), -1)
        << name_of(dtypes.partial);
    const OrderMap wrong = uniform_map(linear_tree(4), kCount);  // the comparison sees a wrong order
    EXPECT_NE(
        first_difference(fold(partials, stride, dtypes, wrong, Accumulator::message), expected, dtypes.out),
        -1)
        << name_of(dtypes.partial);
  }
}

// 4 partials of 16 MiB, against a copy that moves as many bytes (read and written) on this device.
TEST_F(CudaFold, BandwidthNearACopys) {
  constexpr std::size_t kPartial = std::size_t{16} << 20;
  constexpr int kShards = 4;
  Buffer partials(*gpu, kShards * kPartial);  // zeros: the time does not depend on values
  Buffer sum(*gpu, kPartial);
  constexpr std::size_t kCopied = (kShards + 1) * kPartial / 2;
  Buffer from(*gpu, kCopied);
  Buffer to(*gpu, kCopied);
  auto* stream = static_cast<cudaStream_t>(cuda_stream(*gpu));
  const double copy = 2.0 * kCopied / seconds([&] {
                        cudaMemcpyAsync(to.data(), from.data(), kCopied, cudaMemcpyDeviceToDevice, stream);
                      });
  std::printf("copy of the same bytes: %.0f GB/s; copy of 512 MiB: %.0f GB/s\n", copy / 1e9,
              gpu->read_bandwidth() / 1e9);
  for (const auto dtypes : fold_dtypes()) {
    const auto count = static_cast<std::int64_t>(kPartial / size_of(dtypes.partial));
    const Matrix out{sum.data(), 1, count, dtypes.out};
    for (const auto* order : {"linear", "ring", "tree", "tree:7", "exact"}) {
      for (const auto accumulator : {Accumulator::message, Accumulator::float32, Accumulator::float64}) {
        if (dtypes.partial == DType::float64 && accumulator == Accumulator::float32) continue;
        const DeviceOrderMap map(*gpu, local_order_map(reduction_from_text(order), kShards, count));
        const double time =
            seconds([&] { gpu->fold(partials.data(), kPartial, dtypes.partial, map, accumulator, out); });
        const double bytes = kShards * static_cast<double>(kPartial) + static_cast<double>(out.bytes());
        std::printf("fold %-7s %-8s to %-8s %-7s sums: %5.0f GB/s, %3.0f%% of a copy\n", order,
                    name_of(dtypes.partial).data(), name_of(dtypes.out).data(), name_of(accumulator).data(),
                    bytes / time / 1e9, 100 * bytes / time / copy);
        EXPECT_GE(bytes / time, 0.8 * copy) << order << " " << name_of(dtypes.partial);
      }
    }
  }
}

}  // namespace
}  // namespace shardrift::testing
