// The local fold on a GPU: one pass over memory, bit-equal to scalar_fold. There are only additions and
// conversions here, each correctly rounded by IEEE 754 on every processor, so nothing can be contracted; this
// file must not be compiled with -ftz=true or --use_fast_math (subnormals count).
//
// A thread sums one 16-byte vector of elements: all leaves of the tree (up to 4 at a time) are loaded before
// the first of them is added, so that enough memory is in flight; the stack is held in registers, newest
// value first, and shifted.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <type_traits>

#include "model/cuda/kernels.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kLoads = 4;  // leaves in flight

// ---- one rounding, from the accumulator's type A to the stored type

// Towards zero, the last bit set where something was cut off: see parallel/reduction/round_once.hpp.
__device__ float odd_float(double value) {
  const float cut = __double2float_rz(value);
  const bool exact = static_cast<double>(cut) == value || value != value;
  return exact ? cut : __uint_as_float(__float_as_uint(cut) | 1U);
}

template <typename To>
__device__ To narrow(float value) {
  return value;
}
template <>
__device__ __half narrow<__half>(float value) {
  return __float2half_rn(value);
}
template <>
__device__ __nv_bfloat16 narrow<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}
template <typename To>
__device__ To narrow(double value) {
  if constexpr (sizeof(To) == 8) {
    return value;
  } else if constexpr (sizeof(To) == 4) {
    return __double2float_rn(value);
  } else {
    return narrow<To>(odd_float(value));
  }
}

__device__ float widen(float value) {
  return value;
}
__device__ double widen(double value) {
  return value;
}
__device__ float widen(__half value) {
  return __half2float(value);
}
__device__ float widen(__nv_bfloat16 value) {
  return __bfloat162float(value);
}

// ---- V elements at once

template <typename T, int V>
struct alignas(sizeof(T) * V) Vector {
  T at[V];
};

// One instruction each, whatever T's constructors suggest to the compiler.
template <typename T, int V>
using Word =
    std::conditional_t<sizeof(T) * V == 16, uint4,
                       std::conditional_t<sizeof(T) * V == 8, uint2,
                                          std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint16_t>>>;

template <typename T, int V>
__device__ Vector<T, V> load(const std::byte* at) {
  static_assert(sizeof(Word<T, V>) == sizeof(Vector<T, V>));
  const Word<T, V> word = __ldg(reinterpret_cast<const Word<T, V>*>(at));
  Vector<T, V> vector;
  memcpy(&vector, &word, sizeof word);
  return vector;
}

template <typename T, int V>
__device__ void store(T* at, const Vector<T, V>& vector) {
  Word<T, V> word;
  memcpy(&word, &vector, sizeof word);
  *reinterpret_cast<Word<T, V>*>(at) = word;
}

template <typename A, int V>
struct Sum {
  A at[V];
};

// kRounds: every add rounds to P, which is narrower than A.
template <typename P, typename A, bool kRounds, int V>
__device__ void add(Sum<A, V>& first, const Sum<A, V>& second) {
#pragma unroll
  for (int i = 0; i < V; ++i) {
    first.at[i] = first.at[i] + second.at[i];
    if constexpr (kRounds) first.at[i] = static_cast<A>(widen(narrow<P>(first.at[i])));
  }
}

template <typename A, typename P, int V>
__device__ Sum<A, V> widened(const Vector<P, V>& vector) {
  Sum<A, V> sum;
#pragma unroll
  for (int i = 0; i < V; ++i) sum.at[i] = static_cast<A>(widen(vector.at[i]));
  return sum;
}

// Adds after each of four leaves, a byte each: (a+b)+(c+d), the only tree of four that needs a stack of
// three.
constexpr std::uint32_t kBalancedFour = 0x02000100;

struct Arguments {
  const std::byte* partials;
  std::size_t stride;
  int shards;
  std::int64_t count;
  const DeviceSegment* segments;
  const DeviceTree* trees;
  const std::int32_t* first_segment;
  void* out;
};

// Elements [begin, begin + V), all summed by `tree`. kStack: values the tree holds at most.
template <typename P, typename A, typename O, bool kRounds, int kStack, int V>
__device__ void fold_vector(const Arguments& arguments, const DeviceTree& tree, std::int64_t begin) {
  const std::byte* at = arguments.partials + begin * static_cast<std::int64_t>(sizeof(P));
  Sum<A, V> stack[kStack];  // [0] is the newest; every index is a constant after unrolling
#pragma unroll
  for (int depth = 0; depth < kStack; ++depth)
#pragma unroll
    for (int i = 0; i < V; ++i) stack[depth].at[i] = A(0);

  for (int base = 0; base < arguments.shards; base += kLoads) {
    // Four shards and their adds in one load each, the same for all threads of a segment.
    const std::uint32_t leaves = __ldg(reinterpret_cast<const std::uint32_t*>(tree.leaf + base));
    const std::uint32_t adds = __ldg(reinterpret_cast<const std::uint32_t*>(tree.adds + base));
    Vector<P, V> loaded[kLoads];
#pragma unroll
    for (int u = 0; u < kLoads; ++u) {
      // Past the last shard the same bytes are read once more (from the cache) rather than branched around.
      const int leaf = base + u < arguments.shards ? u : 0;
      const std::uint32_t shard = leaves >> (8 * leaf) & 0xFFU;
      loaded[u] = load<P, V>(at + shard * arguments.stride);
    }
    if constexpr (kStack == 2) {
      if (arguments.shards == kLoads && adds == kBalancedFour) {
        stack[0] = widened<A>(loaded[0]);
        stack[1] = widened<A>(loaded[2]);
        add<P, A, kRounds>(stack[0], widened<A>(loaded[1]));
        add<P, A, kRounds>(stack[1], widened<A>(loaded[3]));
        add<P, A, kRounds>(stack[0], stack[1]);
        break;
      }
    }
#pragma unroll
    for (int u = 0; u < kLoads; ++u) {
      if (base + u >= arguments.shards) break;
      const Sum<A, V> value = widened<A>(loaded[u]);
      if constexpr (kStack == 2) {  // else left to right: one running total
        if (base + u == 0) {
          stack[0] = value;
        } else {
          add<P, A, kRounds>(stack[0], value);
        }
      } else {
#pragma unroll
        for (int depth = kStack - 1; depth > 0; --depth) stack[depth] = stack[depth - 1];
        stack[0] = value;
        for (std::uint32_t left = adds >> (8 * u) & 0xFFU; left > 0; --left) {
          add<P, A, kRounds>(stack[1], stack[0]);
#pragma unroll
          for (int depth = 0; depth + 1 < kStack; ++depth) stack[depth] = stack[depth + 1];
        }
      }
    }
  }
  Vector<O, V> result;
#pragma unroll
  for (int i = 0; i < V; ++i) result.at[i] = narrow<O>(stack[0].at[i]);
  store<O, V>(static_cast<O*>(arguments.out) + begin, result);
}

template <typename P, typename A, typename O, bool kRounds, int kStack, int V>
__global__ void __launch_bounds__(kThreads) fold_kernel(const Arguments arguments) {
  std::int64_t begin = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * V;
  if (begin >= arguments.count) return;
  const DeviceSegment* segment = arguments.segments;
  if (arguments.first_segment != nullptr)
    segment += arguments.first_segment[begin / DeviceOrderMap::kGranule];
  while (segment->end <= begin) ++segment;  // within a granule
  const std::int64_t end = min(begin + V, arguments.count);
  if (begin + V <= segment->end) {
    fold_vector<P, A, O, kRounds, kStack, V>(arguments, arguments.trees[segment->tree], begin);
    return;
  }
  // A vector that a segment's end cuts, or the message's: element by element.
  for (; begin < end; ++begin) {
    if (segment->end <= begin) ++segment;
    fold_vector<P, A, O, kRounds, kStack, 1>(arguments, arguments.trees[segment->tree], begin);
  }
}

template <typename P, typename A, typename O, bool kRounds>
void launch(const Arguments& arguments, int stack, cudaStream_t stream) {
  // 16 bytes of each partial a thread; 8 where a stack of float64 sums of 16-bit elements would fill the
  // registers.
  constexpr int kVector = 16 / static_cast<int>(sizeof(P));
  constexpr int kDeepVector = sizeof(A) == 8 && sizeof(P) == 2 ? kVector / 2 : kVector;
  const bool aligned_vectors = reinterpret_cast<std::uintptr_t>(arguments.partials) % 16 == 0 &&
                               arguments.stride % 16 == 0 &&
                               reinterpret_cast<std::uintptr_t>(arguments.out) % 16 == 0;
  const auto start = [&]<int kStack, int V>() {
    const std::int64_t blocks = (arguments.count + kThreads * V - 1) / (kThreads * V);
    fold_kernel<P, A, O, kRounds, kStack, V>
        <<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(arguments);
  };
  if (!aligned_vectors) {
    start.template operator()<SumTree::kMaxStack, 1>();
  } else if (stack <= 2 || arguments.shards <= kLoads) {  // left to right, or the balanced tree of four
    start.template operator()<2, kVector>();
  } else if (stack == 3) {  // every other tree of 5 to 7 shards
    start.template operator()<3, kDeepVector>();
  } else if (stack == 4) {
    start.template operator()<4, kDeepVector>();
  } else {
    start.template operator()<SumTree::kMaxStack, kDeepVector>();
  }
}

template <typename P, typename O>
void launch_as(const Arguments& arguments, int stack, Accumulator accumulator, cudaStream_t stream) {
  if constexpr (sizeof(P) == 8) {
    launch<P, double, O, false>(arguments, stack, stream);
  } else {
    if (accumulator == Accumulator::float64) {
      launch<P, double, O, false>(arguments, stack, stream);
    } else if (accumulator == Accumulator::float32 || sizeof(P) == 4) {
      launch<P, float, O, false>(arguments, stack, stream);
    } else if constexpr (sizeof(P) == 2) {
      // The sum of two 16-bit floats in float32, rounded to 16 bits, is the correctly rounded one.
      launch<P, float, O, true>(arguments, stack, stream);
    }
  }
}

}  // namespace

void fold(const void* partials, std::size_t stride, DType partial_dtype, const DeviceOrderMap& map,
          Accumulator accumulator, const Matrix& out, cudaStream_t stream) {
  if (map.count() == 0) return;
  const Arguments arguments{static_cast<const std::byte*>(partials),
                            stride,
                            map.shards(),
                            map.count(),
                            map.segments(),
                            map.trees(),
                            map.uniform() ? nullptr : map.first_segment(),
                            out.data};
  const int stack = map.stack();
  const bool wide = storage_of(partial_dtype) == DType::float32;
  switch (storage_of(out.dtype)) {
    case DType::float64:
      return launch_as<double, double>(arguments, stack, accumulator, stream);
    case DType::float16:
      return wide ? launch_as<float, __half>(arguments, stack, accumulator, stream)
                  : launch_as<__half, __half>(arguments, stack, accumulator, stream);
    case DType::bfloat16:
      return wide ? launch_as<float, __nv_bfloat16>(arguments, stack, accumulator, stream)
                  : launch_as<__nv_bfloat16, __nv_bfloat16>(arguments, stack, accumulator, stream);
    default:
      return launch_as<float, float>(arguments, stack, accumulator, stream);
  }
}

}  // namespace shardrift::cuda
