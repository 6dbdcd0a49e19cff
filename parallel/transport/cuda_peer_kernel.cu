// One-shot and two-shot all-reduces over memory that GPUs of one host map into each other (CUDA IPC).
//
// A call is one kernel on every rank, with the same blocks. Block b of a rank meets block b of the others,
// and nobody else: it reads of a peer what the peer's block b wrote. A meeting is a flag in each peer's
// memory, which takes the number of the call: written with release, awaited with acquire, both for the
// system. The number is counted on the device, by the last block to finish, so no argument of a launch
// changes.
//
// Two buffers, by odd and even calls: a block that met its peers in call k + 1 knows that their kernels of
// call k are over (the stream runs one after the other), so call k + 2 may write what call k read.
//
// There are only additions and conversions here, each correctly rounded; this file must not be compiled with
// -ftz=true or --use_fast_math (subnormals count). A rank that does not come is waited for for ever: the
// watchdogs see it die or stand still, and end the processes, kernels and all.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cuda/atomic>

#include "parallel/order_models/peer_order.hpp"
#include "parallel/transport/cuda_peer_kernel.hpp"

namespace shardrift {
namespace {

constexpr int kThreads = 512;
constexpr int kMostBlocks = 64;
constexpr int kUnit = 16;  // bytes that a thread moves at once

struct Control {
  std::uint32_t met[2][kMostBlocks][kMostCudaPeers];  // [meeting][block][rank]: the last call it came to
  std::uint32_t calls;                                // that are over
  std::uint32_t finished;                             // blocks of this call
};
constexpr std::size_t kControlBytes = (sizeof(Control) + 255) / 256 * 256;

struct Arguments {
  CudaPeers peers;
  std::int64_t count;                           // elements
  int parts;                                    // 1, or one a rank
  std::int64_t first_unit[kMostCudaPeers + 1];  // of each part
};

__device__ Control& control_of(const CudaPeers& peers, int rank) {
  return *reinterpret_cast<Control*>(peers.memory[rank]);
}

// ---- elements

template <typename T>
struct Unit {
  static constexpr int kElements = kUnit / static_cast<int>(sizeof(T));
  union {
    uint4 word;
    unsigned char bytes[kUnit];
  };
  __device__ T get(int i) const {
    T value;
    memcpy(&value, bytes + i * static_cast<int>(sizeof(T)), sizeof(T));
    return value;
  }
  __device__ void set(int i, T value) { memcpy(bytes + i * static_cast<int>(sizeof(T)), &value, sizeof(T)); }
};

__device__ double widened(double value) {
  return value;
}
__device__ float widened(float value) {
  return value;
}
__device__ float widened(__half value) {
  return __half2float(value);
}
__device__ float widened(__nv_bfloat16 value) {
  return __bfloat162float(value);
}
__device__ void round_to(double value, double& out) {
  out = value;
}
__device__ void round_to(float value, float& out) {
  out = value;
}
__device__ void round_to(float value, __half& out) {
  out = __float2half_rn(value);
}
__device__ void round_to(float value, __nv_bfloat16& out) {
  out = __float2bfloat16_rn(value);
}

// The message's last unit may be short; buffers hold whole ones.
template <typename T>
__device__ Unit<T> load(const T* data, std::int64_t unit, std::int64_t count) {
  constexpr int kElements = Unit<T>::kElements;
  Unit<T> loaded;
  if ((unit + 1) * kElements <= count) {
    loaded.word = reinterpret_cast<const uint4*>(data)[unit];
  } else {
    loaded.word = uint4{0, 0, 0, 0};
    for (int i = 0; unit * kElements + i < count; ++i) loaded.set(i, data[unit * kElements + i]);
  }
  return loaded;
}
template <typename T>
__device__ void store(T* data, std::int64_t unit, std::int64_t count, const Unit<T>& stored) {
  constexpr int kElements = Unit<T>::kElements;
  if ((unit + 1) * kElements <= count) {
    reinterpret_cast<uint4*>(data)[unit] = stored.word;
  } else {
    for (int i = 0; unit * kElements + i < count; ++i) data[unit * kElements + i] = stored.get(i);
  }
}

// ---- buffers and meetings

__device__ uint4* buffer_of(const CudaPeers& peers, int rank, std::uint32_t call) {
  return reinterpret_cast<uint4*>(peers.memory[rank] + kControlBytes + (call & 1U) * peers.stride);
}

// What the block stored before is seen by the peers' blocks after, and the other way round.
__device__ void meet(const CudaPeers& peers, int meeting, std::uint32_t call) {
  using Flag = cuda::atomic_ref<std::uint32_t, cuda::thread_scope_system>;
  __syncthreads();
  if (const int peer = static_cast<int>(threadIdx.x); peer < peers.ranks) {
    Flag(control_of(peers, peer).met[meeting][blockIdx.x][peers.rank])
        .store(call, cuda::memory_order_release);
    Flag theirs(control_of(peers, peers.rank).met[meeting][blockIdx.x][peer]);
    while (static_cast<std::int32_t>(theirs.load(cuda::memory_order_acquire) - call) < 0) {
    }
  }
  __syncthreads();
}

// This unit of all ranks' messages: first, first + 1, … modulo the ranks; in float32 (float64), rounded once.
// All are loaded before the first is added. From the peers' own second-level cache: a line of an earlier call
// may lie here.
template <typename T>
__device__ Unit<T> sum_of(const CudaPeers& peers, int first, std::uint32_t call, std::int64_t unit) {
  Unit<T> loaded[kMostCudaPeers];
#pragma unroll
  for (int k = 0; k < kMostCudaPeers; ++k)
    if (k < peers.ranks) loaded[k].word = __ldcg(buffer_of(peers, (first + k) % peers.ranks, call) + unit);
  Unit<T> result;
#pragma unroll
  for (int i = 0; i < Unit<T>::kElements; ++i) {
    auto sum = widened(loaded[0].get(i));
#pragma unroll
    for (int k = 1; k < kMostCudaPeers; ++k)
      if (k < peers.ranks) sum = sum + widened(loaded[k].get(i));
    T rounded;
    round_to(sum, rounded);
    result.set(i, rounded);
  }
  return result;
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    peer_sum_kernel(T* data, const __grid_constant__ Arguments arguments) {
  const CudaPeers& peers = arguments.peers;
  Control& own = control_of(peers, peers.rank);
  const std::uint32_t call = own.calls + 1;
  uint4* const own_buffer = buffer_of(peers, peers.rank, call);
  // Units of a part go to blocks and threads by their place in the part, so that each is written and read by
  // the blocks of one number.
  const auto for_each_unit_of = [&](int part, auto&& act) {
    for (std::int64_t unit =
             arguments.first_unit[part] + static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
         unit < arguments.first_unit[part + 1]; unit += static_cast<std::int64_t>(gridDim.x) * kThreads)
      act(unit);
  };

  for (int part = 0; part < arguments.parts; ++part)
    for_each_unit_of(part,
                     [&](std::int64_t unit) { own_buffer[unit] = load(data, unit, arguments.count).word; });
  meet(peers, 0, call);
  if (arguments.parts == 1) {
    for_each_unit_of(
        0, [&](std::int64_t unit) { store(data, unit, arguments.count, sum_of<T>(peers, 0, call, unit)); });
  } else {
    // Nobody else reads this part of anybody's message: its sum takes its place.
    for_each_unit_of(peers.rank, [&](std::int64_t unit) {
      own_buffer[unit] = sum_of<T>(peers, peers.rank, call, unit).word;
    });
    meet(peers, 1, call);
    for (int part = 0; part < arguments.parts; ++part)
      for_each_unit_of(part, [&](std::int64_t unit) {
        Unit<T> sum;
        sum.word = __ldcg(buffer_of(peers, part, call) + unit);
        store(data, unit, arguments.count, sum);
      });
  }

  __syncthreads();
  if (threadIdx.x == 0 && atomicAdd(&own.finished, 1U) == gridDim.x - 1) {
    own.finished = 0;
    own.calls = call;
  }
}

template <typename T>
void launch(void* data, const Arguments& arguments, unsigned blocks, cudaStream_t stream) {
  peer_sum_kernel<T><<<blocks, kThreads, 0, stream>>>(static_cast<T*>(data), arguments);
}

}  // namespace

std::size_t cuda_peer_bytes(std::size_t stride) {
  return kControlBytes + 2 * stride;
}

cudaError_t launch_peer_sum(const CudaPeers& peers, Collective collective, void* data, std::int64_t count,
                            DType dtype, cudaStream_t stream) {
  const auto elements = std::int64_t{kUnit} / static_cast<std::int64_t>(size_of(dtype));
  const auto units = [&](std::int64_t end) { return (end + elements - 1) / elements; };
  Arguments arguments{peers, count, collective == Collective::two_shot ? peers.ranks : 1, {}};
  std::int64_t longest = 0;
  for (int part = 0; part < arguments.parts; ++part) {
    const auto range = two_shot_part(count, dtype, arguments.parts, part);  // the whole message, of one part
    arguments.first_unit[part + 1] = units(range.end);
    longest = std::max(longest, units(range.size()));
  }
  const auto blocks =
      static_cast<unsigned>(std::clamp<std::int64_t>((longest + kThreads - 1) / kThreads, 1, kMostBlocks));
  switch (storage_of(dtype)) {
    case DType::float64:
      launch<double>(data, arguments, blocks, stream);
      break;
    case DType::float16:
      launch<__half>(data, arguments, blocks, stream);
      break;
    case DType::bfloat16:
      launch<__nv_bfloat16>(data, arguments, blocks, stream);
      break;
    default:
      launch<float>(data, arguments, blocks, stream);
  }
  return cudaGetLastError();
}

}  // namespace shardrift
