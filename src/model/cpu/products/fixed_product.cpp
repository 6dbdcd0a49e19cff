#include "model/cpu/products/fixed_product.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace shardrift {
namespace {

// Memory of one thread that grows and is used again: products come in the same few sizes.
class Scratch {
 public:
  void* of(std::size_t bytes) {
    if (bytes > bytes_) {
      bytes_ = aligned(bytes);
      memory_.reset(std::aligned_alloc(kAlignment, bytes_));
      if (memory_ == nullptr) throw std::bad_alloc();
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  std::size_t bytes_ = 0;
};

const ProductKernel& kernel_of(const ProductKernels& kernels, DType dtype) {
  switch (storage_of(dtype)) {
    case DType::float64:
      return kernels.float64;
    case DType::float16:
      return kernels.float16;
    case DType::bfloat16:
      return kernels.bfloat16;
    default:
      return kernels.float32;
  }
}

std::int64_t pieces(std::int64_t count, std::int64_t size) {
  return (count + size - 1) / size;
}

}  // namespace

void fixed_product(Threads& threads, const Matrix& x, const Matrix& weight, const Matrix& out,
                   const ProductKernels& kernels) {
  const ProductKernel& kernel = kernel_of(kernels, x.dtype);
  const auto multiply = storage_of(out.dtype) == storage_of(x.dtype) ? kernel.multiply : kernel.multiply_wide;
  const std::size_t summed = x.dtype == DType::float64 ? sizeof(double) : sizeof(float);
  const std::size_t row_bytes = static_cast<std::size_t>(kernel.padded(x.cols)) * summed;

  thread_local Scratch packed_scratch;
  void* const packed = packed_scratch.of(static_cast<std::size_t>(x.rows) * row_bytes);
  threads.for_range(pieces(x.rows, kernel.tile_rows), 16, [&](std::int64_t begin, std::int64_t end) {
    kernel.pack(x.data, begin * kernel.tile_rows, std::min(end * kernel.tile_rows, x.rows), x.cols, packed);
  });

  constexpr std::int64_t kWorth = 1 << 16;  // multiplications that a thread is woken for
  const std::int64_t tile = x.rows * x.cols * kernel.tile_columns;
  threads.for_range(
      pieces(weight.rows, kernel.tile_columns),
      std::max<std::int64_t>(1, kWorth / std::max<std::int64_t>(1, tile)),
      [&](std::int64_t begin, std::int64_t end) {
        thread_local Scratch tile_scratch;
        multiply({.x = packed,
                  .rows = x.rows,
                  .k = x.cols,
                  .weight = weight.data,
                  .begin = begin * kernel.tile_columns,
                  .end = std::min(end * kernel.tile_columns, weight.rows),
                  .out = out.data,
                  .columns = out.cols,
                  .scratch = tile_scratch.of(static_cast<std::size_t>(kernel.scratch_bytes(x.cols)))});
      });
}

void fixed_product(Threads& threads, const Matrix& x, const Matrix& weight, const Matrix& out) {
  static const ProductKernels& fastest = *product_kernels().front();
  fixed_product(threads, x, weight, out, fastest);
}

}  // namespace shardrift
