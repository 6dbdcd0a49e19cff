#include "parallel/transport/nccl_observer.hpp"

#include <nccl.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace shardrift {
namespace nccl_abi {

// The interface that NCCL 2.28 calls version 5 (its src/include/plugin/profiler/profiler_v5.h), as far as it
// is used here: the layout is NCCL's, the names are ours.
struct CollectiveEvent {  // member `coll` of the union
  std::uint64_t sequence;
  const char* function;  // "AllReduce"
  const void* send;
  void* receive;
  std::size_t count;  // elements; of a reduce-scatter: those one rank receives
  int root;
  const char* dtype;  // "ncclBfloat16"
  std::uint8_t channels;
  std::uint8_t warps;
  const char* algorithm;  // "RING"
  const char* protocol;   // "LL128"
  void* group;
};
struct Event {
  std::uint64_t type;
  void* parent;
  int rank;
  CollectiveEvent collective;  // the largest member of the union
};
constexpr std::uint64_t kCollectiveEvent = 1U << 1U;

struct Plugin {
  const char* name;
  ncclResult_t (*init)(void** context, std::uint64_t communicator, int* wanted_events, const char* name,
                       int nodes, int ranks, int rank, void* log);
  ncclResult_t (*start)(void* context, void** handle, Event* event);
  ncclResult_t (*stop)(void* handle);
  ncclResult_t (*record)(void* handle, int state, void* arguments);
  ncclResult_t (*finalize)(void* context);
};
static_assert(offsetof(Event, collective) == 24);

}  // namespace nccl_abi

namespace {

using nccl_abi::CollectiveEvent;
using nccl_abi::Event;
using nccl_abi::kCollectiveEvent;

std::mutex calls_mutex;
std::vector<CollectiveCall> calls;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::optional<DType> dtype_of(std::string_view name) {
  if (name == "ncclFloat64") return DType::float64;
  if (name == "ncclFloat32") return DType::float32;
  if (name == "ncclFloat16") return DType::float16;
  if (name == "ncclBfloat16") return DType::bfloat16;
  return std::nullopt;
}

ncclResult_t init(void** context, std::uint64_t, int* wanted_events, const char*, int, int, int, void*) {
  *context = &calls;  // any address: one list serves all communicators
  *wanted_events = static_cast<int>(kCollectiveEvent);
  return ncclSuccess;
}

// Called as NCCL launches a collective, on the launching thread.
ncclResult_t start(void*, void** handle, Event* event) {
  *handle = nullptr;  // nothing to be told of its end
  if (event == nullptr || event->type != kCollectiveEvent) return ncclSuccess;
  const CollectiveEvent& seen = event->collective;
  const std::string_view function = seen.function != nullptr ? seen.function : "";
  const auto dtype = dtype_of(seen.dtype != nullptr ? seen.dtype : "");
  const bool sums = function == "AllReduce" || function == "ReduceScatter";
  if (!sums || !dtype) return ncclSuccess;
  CollectiveCall call;
  call.operation = function == "AllReduce" ? "all-reduce" : "reduce-scatter";
  call.count = static_cast<std::int64_t>(seen.count);
  call.dtype = *dtype;
  call.algorithm = lower(seen.algorithm != nullptr ? seen.algorithm : "");
  call.protocol = lower(seen.protocol != nullptr ? seen.protocol : "");
  call.channels = seen.channels;
  const std::lock_guard guard(calls_mutex);
  if (std::find(calls.begin(), calls.end(), call) == calls.end()) calls.push_back(std::move(call));
  return ncclSuccess;
}

ncclResult_t stop(void*) {
  return ncclSuccess;
}
ncclResult_t record(void*, int, void*) {
  return ncclSuccess;
}
ncclResult_t finalize(void*) {
  return ncclSuccess;
}

}  // namespace

void start_nccl_observer() {
  setenv("NCCL_PROFILER_PLUGIN", "STATIC_PLUGIN", 0);
}

std::vector<CollectiveCall> take_nccl_calls() {
  const std::lock_guard guard(calls_mutex);
  return std::exchange(calls, {});
}

}  // namespace shardrift

// NCCL looks this name up in the executable (parallel/transport/CMakeLists.txt exports it).
extern "C" {
__attribute__((visibility("default"), used)) shardrift::nccl_abi::Plugin ncclProfiler_v5 = {
    "shardrift", shardrift::init, shardrift::start, shardrift::stop, shardrift::record, shardrift::finalize};
}
