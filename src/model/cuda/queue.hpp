// A CUDA stream's events and graphs.
#pragma once
#include <cuda_runtime_api.h>

#include <functional>
#include <memory>
#include <vector>

#include "model/device_queue.hpp"

namespace shardrift::cuda {

std::unique_ptr<DeviceEvent> make_event(cudaStream_t stream);

// What `work` enqueues on the stream, as a CUDA graph; nothing runs. Everything it calls must allow capture:
// no waits, no transfers from pageable memory, no allocation. Throws failure, with what `work` threw if it
// did.
std::unique_ptr<CapturedWork> capture(cudaStream_t stream, const std::function<void()>& work);

// Streams that run beside a main one between a fork and a join; while the main one is captured they are
// branches of its graph. The main one is the first of them.
class Branches {
 public:
  static constexpr int kMost = 8;
  explicit Branches(cudaStream_t main) : streams_{main} {}
  Branches(const Branches&) = delete;
  Branches& operator=(const Branches&) = delete;
  ~Branches();
  // What `count` streams are given from here on waits for what the main one was given before. Makes those
  // that are not there yet by `make`, for good: not while capturing.
  void fork(int count, cudaStream_t (*make)());
  cudaStream_t operator[](int branch) const { return streams_[static_cast<std::size_t>(branch)]; }
  // What the main one is given from here on waits for what all of them were given.
  void join(int count);

 private:
  std::vector<cudaStream_t> streams_;
  std::vector<cudaEvent_t> events_;  // [streams_]: the fork, and the end of each other one
};

}  // namespace shardrift::cuda
