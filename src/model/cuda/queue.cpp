#include "model/cuda/queue.hpp"

#include "common/progress.hpp"
#include "model/cuda/check.hpp"

namespace shardrift::cuda {
namespace {

class Event final : public DeviceEvent {
 public:
  explicit Event(cudaStream_t stream) : stream_(stream) {
    check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate");
  }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() override { cudaEventDestroy(event_); }
  void record() override { check(cudaEventRecord(event_, stream_), "cudaEventRecord"); }
  void wait() override {
    const progress::Waiting waiting(progress::On::device, "a pass");
    check(cudaEventSynchronize(event_), "cudaEventSynchronize");
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t event_ = nullptr;
};

class Graph final : public CapturedWork {
 public:
  Graph(cudaStream_t stream, cudaGraph_t graph) : stream_(stream) {
    const cudaError_t error = cudaGraphInstantiate(&instance_, graph, 0);
    cudaGraphDestroy(graph);
    check(error, "cudaGraphInstantiate");
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() override { cudaGraphExecDestroy(instance_); }
  void launch() override { check(cudaGraphLaunch(instance_, stream_), "cudaGraphLaunch"); }

 private:
  cudaStream_t stream_;
  cudaGraphExec_t instance_ = nullptr;
};

}  // namespace

Branches::~Branches() {
  for (const cudaEvent_t event : events_) cudaEventDestroy(event);
}

void Branches::fork(int count, cudaStream_t (*make)()) {
  const auto streams = static_cast<std::size_t>(count);
  while (streams_.size() < streams) streams_.push_back(make());
  while (events_.size() < streams) {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
    events_.push_back(event);
  }
  check(cudaEventRecord(events_[0], streams_[0]), "cudaEventRecord");
  for (std::size_t i = 1; i < streams; ++i)
    check(cudaStreamWaitEvent(streams_[i], events_[0], 0), "cudaStreamWaitEvent");
}

void Branches::join(int count) {
  for (std::size_t i = 1; i < static_cast<std::size_t>(count); ++i) {
    check(cudaEventRecord(events_[i], streams_[i]), "cudaEventRecord");
    check(cudaStreamWaitEvent(streams_[0], events_[i], 0), "cudaStreamWaitEvent");
  }
}

std::unique_ptr<DeviceEvent> make_event(cudaStream_t stream) {
  return std::make_unique<Event>(stream);
}

std::unique_ptr<CapturedWork> capture(cudaStream_t stream, const std::function<void()>& work) {
  cudaGraph_t graph = nullptr;
  // Calls of other threads (the recorder's, the watchdog's) are none of this capture's business.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  try {
    work();
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);  // leaves the stream usable
    if (graph != nullptr) cudaGraphDestroy(graph);
    cudaGetLastError();
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  return std::make_unique<Graph>(stream, graph);
}

}  // namespace shardrift::cuda
