// Our own all-reduces on real GPUs of one host, one a rank: the bits of a fold by their stated order, eager
// and captured. Under mpi_main.cpp: every rank runs each test.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "common/hash.hpp"
#include "parallel/order_models/peer_order.hpp"
#include "parallel/probe/probe.hpp"
#include "parallel/reduction/scalar_fold.hpp"
#include "parallel/transport/cuda_peer_sum.hpp"

namespace shardrift {
namespace {

constexpr std::array kDTypes{DType::float64, DType::float32, DType::float16, DType::bfloat16};
constexpr std::array<std::int64_t, 6> kCounts{1, 7, 577, 4096, 8192, 5'700'000};

#define CUDA_OK(call) ASSERT_EQ(call, cudaSuccess) << cudaGetErrorString(cudaGetLastError())

class CudaPeerSums : public ::testing::TestWithParam<Collective> {
 protected:
  void SetUp() override {
    MPI_Comm comm = MPI_COMM_NULL;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    ranks_ = Communicator(comm);
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices < ranks_.size())
      GTEST_SKIP() << ranks_.size() << " ranks, " << devices << " GPUs";
    CUDA_OK(cudaSetDevice(ranks_.rank()));
    CUDA_OK(cudaStreamCreate(&stream_));
    CUDA_OK(cudaMalloc(&data_, static_cast<std::size_t>(kCounts.back()) * sizeof(double)));
    sum_ = make_cuda_peer_sum(ranks_, GetParam(), static_cast<std::size_t>(kCounts.back()) * sizeof(double),
                              stream_);
  }
  void TearDown() override {
    sum_.reset();
    cudaFree(data_);
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  // What a fold of all ranks' random messages by the stated order gives.
  std::vector<std::byte> expected(std::int64_t count, DType dtype) const {
    const std::size_t bytes = size_of(dtype) * static_cast<std::size_t>(count);
    std::vector<std::byte> partials(bytes * static_cast<std::size_t>(ranks_.size()));
    for (int rank = 0; rank < ranks_.size(); ++rank)
      fill_random(rank, count, dtype, &partials[bytes * static_cast<std::size_t>(rank)]);
    std::vector<std::byte> sum(bytes);
    scalar_fold(partials.data(), bytes, dtype, peer_map(GetParam(), count, dtype, ranks_.size()),
                peer_accumulator(dtype), sum.data(), dtype);
    return sum;
  }
  void upload(std::int64_t count, DType dtype) {
    message_.resize(size_of(dtype) * static_cast<std::size_t>(count));
    fill_random(ranks_.rank(), count, dtype, message_.data());
    CUDA_OK(cudaMemcpyAsync(data_, message_.data(), message_.size(), cudaMemcpyHostToDevice, stream_));
    CUDA_OK(cudaStreamSynchronize(stream_));
  }
  std::vector<std::byte> download(std::size_t bytes) {
    std::vector<std::byte> sum(bytes);
    EXPECT_EQ(cudaMemcpyAsync(sum.data(), data_, bytes, cudaMemcpyDeviceToHost, stream_), cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    return sum;
  }

  Communicator ranks_;
  cudaStream_t stream_ = nullptr;
  void* data_ = nullptr;
  std::vector<std::byte> message_;
  std::unique_ptr<PeerSum> sum_;
};

TEST_P(CudaPeerSums, HaveTheBitsOfTheFold) {
  for (const DType dtype : kDTypes)
    for (const auto count : kCounts) {
      upload(count, dtype);
      sum_->all_reduce(data_, count, dtype);
      EXPECT_TRUE(download(message_.size()) == expected(count, dtype)) << count << " " << name_of(dtype);
    }
}

// A graph of a decode pass's many sums, replayed: the kernels count their own calls.
TEST_P(CudaPeerSums, CapturedHaveThemToo) {
  for (const DType dtype : kDTypes)
    for (const std::int64_t count : {1, 7, 4096, 100000}) {
      upload(count, dtype);
      const std::size_t bytes = message_.size();
      void* kept = nullptr;
      CUDA_OK(cudaMalloc(&kept, bytes));
      CUDA_OK(cudaMemcpy(kept, data_, bytes, cudaMemcpyDeviceToDevice));
      cudaGraph_t graph = nullptr;
      cudaGraphExec_t ready = nullptr;
      CUDA_OK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
      for (int call = 0; call < 5; ++call) {  // an odd number: replays begin with either buffer
        CUDA_OK(cudaMemcpyAsync(data_, kept, bytes, cudaMemcpyDeviceToDevice, stream_));
        sum_->all_reduce(data_, count, dtype);
      }
      CUDA_OK(cudaStreamEndCapture(stream_, &graph));
      CUDA_OK(cudaGraphInstantiate(&ready, graph, 0));
      const auto whole = expected(count, dtype);
      for (int replay = 0; replay < 4; ++replay) {
        CUDA_OK(cudaGraphLaunch(ready, stream_));
        EXPECT_TRUE(download(bytes) == whole) << count << " " << name_of(dtype) << " replay " << replay;
        // An eager call of another size between two replays.
        upload(577, DType::float32);
        sum_->all_reduce(data_, 577, DType::float32);
        EXPECT_TRUE(download(message_.size()) == expected(577, DType::float32));
      }
      cudaGraphExecDestroy(ready);
      cudaGraphDestroy(graph);
      cudaFree(kept);
    }
}

TEST_P(CudaPeerSums, AThousandRepeatsHaveOneHash) {
  for (const std::int64_t count : {4096, 200000}) {
    const auto whole = expected(count, DType::bfloat16);
    const auto hash = sha256_hex(std::span<const std::byte>(whole));
    upload(count, DType::bfloat16);
    void* kept = nullptr;
    CUDA_OK(cudaMalloc(&kept, message_.size()));
    CUDA_OK(cudaMemcpy(kept, data_, message_.size(), cudaMemcpyDeviceToDevice));
    for (int repeat = 0; repeat < 1000; ++repeat) {
      CUDA_OK(cudaMemcpyAsync(data_, kept, message_.size(), cudaMemcpyDeviceToDevice, stream_));
      sum_->all_reduce(data_, count, DType::bfloat16);
      const auto sum = download(message_.size());
      ASSERT_EQ(sha256_hex(std::span<const std::byte>(sum)), hash) << repeat;
    }
    cudaFree(kept);
  }
}

// Enqueued one after the other, without a wait between them, in changing sizes: no call reads another's
// message.
TEST_P(CudaPeerSums, ThatFollowEachOtherDoNotMix) {
  constexpr int kCalls = 500;
  constexpr std::int64_t kLargest = 60000;
  std::vector<float> ones(static_cast<std::size_t>(kCalls) * kLargest);
  for (int call = 0; call < kCalls; ++call)
    std::fill_n(ones.begin() + call * kLargest, kLargest, static_cast<float>(call + ranks_.rank()));
  float* messages = nullptr;
  CUDA_OK(cudaMalloc(reinterpret_cast<void**>(&messages), ones.size() * sizeof(float)));
  CUDA_OK(cudaMemcpy(messages, ones.data(), ones.size() * sizeof(float), cudaMemcpyHostToDevice));
  const auto count_of = [](int call) { return 1 + call * std::int64_t{7919} % kLargest; };
  for (int call = 0; call < kCalls; ++call)
    sum_->all_reduce(messages + call * kLargest, count_of(call), DType::float32);
  CUDA_OK(cudaStreamSynchronize(stream_));
  CUDA_OK(cudaMemcpy(ones.data(), messages, ones.size() * sizeof(float), cudaMemcpyDeviceToHost));
  const int n = ranks_.size();
  for (int call = 0; call < kCalls; ++call)
    for (std::int64_t i = 0; i < count_of(call); ++i)
      ASSERT_EQ(ones[static_cast<std::size_t>(call * kLargest + i)],
                static_cast<float>(n * call + n * (n - 1) / 2))
          << call << " " << i;
  cudaFree(messages);
}

INSTANTIATE_TEST_SUITE_P(Ours, CudaPeerSums, ::testing::Values(Collective::one_shot, Collective::two_shot),
                         [](const auto& one) {
                           return one.param == Collective::one_shot ? "OneShot" : "TwoShot";
                         });

}  // namespace
}  // namespace shardrift
