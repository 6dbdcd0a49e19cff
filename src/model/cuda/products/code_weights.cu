// Plain weights to coded ones and back.
#include <cuda_fp8.h>

#include "model/cuda/products/coded.cuh"
#include "model/cuda/products/coded_weights.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kThreads = 256;

// Eight elements of a row: what one lane holds of half a chunk.
struct Eight {
  std::int64_t row;
  int chunk, half, t;
  __device__ int k() const { return chunk * kChunk + half * (kChunk / 2) + t * kUnit; }
  template <typename Codes>
  __device__ std::int64_t offset(int chunks) const {
    const int lane = static_cast<int>(row % 8) * 4 + t;
    return (row / 16 * chunks + chunk) * kTileBytes<Codes> +
           offset_of_codes<Codes>(lane, static_cast<int>(row % 16 / 8), half);
  }
};

__device__ Eight own_eight(int chunks) {
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t of_row = static_cast<std::int64_t>(chunks) * 8;
  const int rest = static_cast<int>(index % of_row);
  return {index / of_row, rest / 8, rest / 4 % 2, rest % 4};
}

template <typename Codes>
__device__ EightCodes<Codes> packed(const unsigned (&codes)[8]) {
  if constexpr (Codes::kBits == 8) {
    return {codes[0] | codes[1] << 8 | codes[2] << 16 | codes[3] << 24,
            codes[4] | codes[5] << 8 | codes[6] << 16 | codes[7] << 24};
  } else {
    unsigned all = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) all |= codes[i] << 4 * i;
    return all;
  }
}

// The code whose value is next to quotient; of NF4 the first: all are tried.
template <typename Codes>
__device__ unsigned nearest_code(float quotient) {
  if constexpr (std::is_same_v<Codes, Int8Codes>)
    return static_cast<unsigned>(static_cast<int>(fminf(fmaxf(rintf(quotient), -127), 127)) + 128);
  if constexpr (std::is_same_v<Codes, Int4Codes>)
    return static_cast<unsigned>(static_cast<int>(fminf(fmaxf(rintf(quotient), -7), 7)) + 8);
  if constexpr (Codes::kBits == 8) return __nv_cvt_float_to_fp8(quotient, __NV_SATFINITE, __NV_E4M3);
  return 0;
}

__device__ unsigned word_of(const uint4& numbers, int i) {
  const unsigned pair = i < 2 ? numbers.x : i < 4 ? numbers.y : i < 6 ? numbers.z : numbers.w;
  return i % 2 == 0 ? pair & 0xFFFFU : pair >> 16;
}

// Counts elements that no code stands for.
template <typename T, typename Codes>
__global__ void code_kernel(const T* plain, const float* scales, std::int64_t rows, int k, std::byte* codes,
                            float* places, unsigned* wrong) {
  const float* values = shared_values<Codes>();
  const int chunks = chunks_of(k);
  const Eight own = own_eight(chunks);
  if (own.row >= (rows + 15) / 16 * 16) return;
  const std::int64_t scale_index = Codes::kGrouped ? own.row * chunks + own.chunk : own.row;
  const float scale = own.row < rows ? scales[scale_index] : 0;
  if (own.half == 0 && own.t == 0) places[place_of_scale<Codes>(own.row, own.chunk, chunks)] = scale;
  unsigned found[8];
  for (int i = 0; i < 8; ++i) {
    const T number = own.row < rows && own.k() + i < k ? plain[own.row * k + own.k() + i] : T(0);
    const auto stands = [&](unsigned code) {
      const unsigned same[8] = {code, code, code, code, code, code, code, code};
      return word_of(Codes::template numbers<T>(packed<Codes>(same), scale, values), 0) == number.x;
    };
    found[i] = nearest_code<Codes>(scale == 0 ? 0 : static_cast<float>(number) / scale);
    if (stands(found[i])) continue;
    bool is_coded = false;
    for (unsigned code = 0; code < 1U << Codes::kBits && !is_coded; ++code) {
      is_coded = stands(code);
      if (is_coded) found[i] = code;
    }
    if (!is_coded) atomicAdd(wrong, 1);
  }
  *reinterpret_cast<EightCodes<Codes>*>(codes + own.offset<Codes>(chunks)) = packed<Codes>(found);
}

template <typename T, typename Codes>
__global__ void decode_kernel(const std::byte* codes, const float* places, std::int64_t rows, int k,
                              T* plain) {
  const float* values = shared_values<Codes>();
  const int chunks = chunks_of(k);
  const Eight own = own_eight(chunks);
  if (own.row >= rows || own.k() >= k) return;
  const auto eight = *reinterpret_cast<const EightCodes<Codes>*>(codes + own.offset<Codes>(chunks));
  *reinterpret_cast<uint4*>(plain + own.row * k + own.k()) =
      Codes::template numbers<T>(eight, places[place_of_scale<Codes>(own.row, own.chunk, chunks)], values);
}

std::int64_t padded(std::int64_t rows) {
  return (rows + 15) / 16 * 16;
}

unsigned blocks_of(const CodedShape& shape) {
  const std::int64_t threads = padded(shape.rows) * chunks_of(shape.k) * 8;
  return static_cast<unsigned>((threads + kThreads - 1) / kThreads);
}

template <typename F>
void visit(const CodedShape& shape, F&& f) {
  visit_codes(shape.format, [&]<typename Codes>() {
    if (shape.dtype == DType::bfloat16) {
      f.template operator()<c10::BFloat16, Codes>();
    } else {
      f.template operator()<c10::Half, Codes>();
    }
  });
}

}  // namespace

std::size_t code_bytes(const CodedShape& shape) {
  std::int64_t bytes = 0;
  visit_codes(shape.format, [&]<typename Codes>() {
    bytes = padded(shape.rows) / 16 * chunks_of(shape.k) * kTileBytes<Codes>;
  });
  return static_cast<std::size_t>(bytes);
}

std::size_t scale_bytes(const CodedShape& shape) {
  std::int64_t count = 0;
  visit_codes(shape.format, [&]<typename Codes>() {
    count = padded(shape.rows) * (Codes::kGrouped ? chunks_of(shape.k) : 1);
  });
  return static_cast<std::size_t>(count) * sizeof(float);
}

void enqueue_coding(const CodedShape& shape, const void* plain, const float* scales, void* codes,
                    float* places, unsigned* wrong, cudaStream_t stream) {
  visit(shape, [&]<typename T, typename Codes>() {
    code_kernel<T, Codes>
        <<<blocks_of(shape), kThreads, 0, stream>>>(static_cast<const T*>(plain), scales, shape.rows, shape.k,
                                                    static_cast<std::byte*>(codes), places, wrong);
  });
}

void enqueue_decoding(const CodedShape& shape, const void* codes, const float* places, void* plain,
                      cudaStream_t stream) {
  visit(shape, [&]<typename T, typename Codes>() {
    decode_kernel<T, Codes><<<blocks_of(shape), kThreads, 0, stream>>>(
        static_cast<const std::byte*>(codes), places, shape.rows, shape.k, static_cast<T*>(plain));
  });
}

}  // namespace shardrift::cuda
