// Host memory that the device copies from by itself: buffers that are filled by the host's threads while
// others are on their way.
#pragma once
#include <cuda_runtime_api.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace shardrift::cuda {

class PinnedStaging {
 public:
  // Copies in the order of calls, on this stream of the current device.
  explicit PinnedStaging(cudaStream_t stream);
  ~PinnedStaging();  // waits for the copies
  PinnedStaging(const PinnedStaging&) = delete;
  PinnedStaging& operator=(const PinnedStaging&) = delete;

  // What `fill` writes. Any thread, several at once.
  void write(void* device, std::size_t bytes, const std::function<void(std::byte*)>& fill);

 private:
  struct Buffer {
    std::byte* data = nullptr;
    std::size_t bytes = 0;
    cudaEvent_t copied = nullptr;
  };
  Buffer take(std::size_t bytes);  // not in use by any copy
  void give_back(Buffer buffer);

  const std::thread::id main_ = std::this_thread::get_id();
  int device_ = 0;
  cudaStream_t stream_;
  std::mutex mutex_;
  std::condition_variable given_back_;
  std::deque<Buffer> buffers_;  // those that no thread fills, first those whose copies began first
  int made_ = 0;
};

}  // namespace shardrift::cuda
