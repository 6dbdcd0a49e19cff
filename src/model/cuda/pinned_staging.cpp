#include "model/cuda/pinned_staging.hpp"

#include <algorithm>
#include <optional>

#include "common/progress.hpp"
#include "model/cuda/check.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kMost = 16;  // buffers: two for each thread that loads
constexpr std::size_t kLeastBytes = std::size_t{4} << 20;

}  // namespace

PinnedStaging::PinnedStaging(cudaStream_t stream) : stream_(stream) {
  check(cudaGetDevice(&device_), "cudaGetDevice");
}

PinnedStaging::~PinnedStaging() {
  for (const Buffer& buffer : buffers_) {
    cudaEventSynchronize(buffer.copied);
    cudaEventDestroy(buffer.copied);
    cudaFreeHost(buffer.data);
  }
}

PinnedStaging::Buffer PinnedStaging::take(std::size_t bytes) {
  // A wait for the device does not look like work; it is told of the main thread, which loads as well.
  std::optional<progress::Waiting> waiting;
  if (std::this_thread::get_id() == main_) waiting.emplace(progress::On::device, "an upload of weights");
  Buffer buffer;
  {
    std::unique_lock lock(mutex_);
    if (buffers_.empty() && made_ == kMost) given_back_.wait(lock, [&] { return !buffers_.empty(); });
    const bool copying = !buffers_.empty() && cudaEventQuery(buffers_.front().copied) == cudaErrorNotReady;
    if (buffers_.empty() || (copying && made_ < kMost)) {
      ++made_;
    } else {
      buffer = buffers_.front();
      buffers_.pop_front();
    }
  }
  if (buffer.copied == nullptr)
    check(cudaEventCreateWithFlags(&buffer.copied, cudaEventDisableTiming), "cudaEventCreate");
  check(cudaEventSynchronize(buffer.copied), "an upload");  // at once where it was never recorded
  if (buffer.bytes < bytes) {
    check(cudaFreeHost(buffer.data), "cudaFreeHost");
    buffer.bytes = std::max(bytes, kLeastBytes);
    void* data = nullptr;
    check(cudaHostAlloc(&data, buffer.bytes, cudaHostAllocDefault), "cudaHostAlloc");
    buffer.data = static_cast<std::byte*>(data);
  }
  return buffer;
}

void PinnedStaging::give_back(Buffer buffer) {
  const std::lock_guard lock(mutex_);
  buffers_.push_back(buffer);
  given_back_.notify_one();
}

void PinnedStaging::write(void* device, std::size_t bytes, const std::function<void(std::byte*)>& fill) {
  check(cudaSetDevice(device_), "cudaSetDevice");  // each thread has its own
  const Buffer buffer = take(bytes);
  try {
    fill(buffer.data);
    check(cudaMemcpyAsync(device, buffer.data, bytes, cudaMemcpyHostToDevice, stream_), "upload");
    check(cudaEventRecord(buffer.copied, stream_), "cudaEventRecord");
  } catch (...) {
    give_back(buffer);
    throw;
  }
  give_back(buffer);
}

}  // namespace shardrift::cuda
