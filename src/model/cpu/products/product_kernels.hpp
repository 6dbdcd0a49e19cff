// Matrix products whose order along K depends on K alone: not on rows, columns, threads, instruction set, or
// where the matrices lie. `--products fixed` on CPUs, and the products of 16-bit numbers wherever no faster
// unit than the vector one multiplies them (model/cpu/linear.cpp).
//
// The order, of one output element: strand s of 16 (8 in float64) goes through k = s, s + 16, s + 32, … and
// does sum = fused(x[k] · w[k] + sum), which rounds once, from +0 on; K is filled up with zeros to a multiple
// of the strands. Then strand s + 8 is added to strand s, of these s + 4 to s, s + 2 to s, s + 1 to s. The
// strands are the lanes of a vector. 16-bit numbers are widened, which is exact, and summed in float32; the
// sum is rounded to out's dtype. Which outputs are computed side by side (a tile) changes none of this.
#pragma once
#include <cstdint>
#include <vector>

namespace shardrift {

// What one thread computes: columns [begin, end) of out.
struct ProductPart {
  const void* x = nullptr;  // as `pack` left it
  std::int64_t rows = 0;
  std::int64_t k = 0;
  const void* weight = nullptr;  // […, k], a row for each column of out
  std::int64_t begin = 0;
  std::int64_t end = 0;
  void* out = nullptr;  // [rows, columns]
  std::int64_t columns = 0;
  void* scratch = nullptr;  // scratch_bytes(k), aligned to 64
};

// The products of one dtype.
struct ProductKernel {
  std::int64_t strands = 0;
  std::int64_t tile_rows = 0;
  std::int64_t tile_columns = 0;
  std::int64_t (*scratch_bytes)(std::int64_t k) = nullptr;
  // Rows [begin, end) of x [rows, k], widened, into rows · padded(k) numbers, which are aligned to 64 bytes.
  // begin is a multiple of tile_rows, and so is end unless it is rows.
  void (*pack)(const void* x, std::int64_t begin, std::int64_t end, std::int64_t k, void* packed) = nullptr;
  void (*multiply)(const ProductPart&) = nullptr;       // out has x's dtype
  void (*multiply_wide)(const ProductPart&) = nullptr;  // out is float32: the sums as they are

  std::int64_t padded(std::int64_t k) const { return (k + strands - 1) / strands * strands; }
};

// Those compiled for one instruction set.
struct ProductKernels {
  const char* name;
  ProductKernel float64;
  ProductKernel float32;
  ProductKernel float16;
  ProductKernel bfloat16;
};

const ProductKernels& avx512_product_kernels();
const ProductKernels& avx2_product_kernels();
const ProductKernels& portable_product_kernels();
// Those that this CPU can run, the fastest first. All give the same bits.
std::vector<const ProductKernels*> product_kernels();

// Whether this CPU multiplies matrices of 16-bit numbers (float16, else bfloat16) in a unit of its own (AMX).
bool has_matrix_unit(bool float16);

}  // namespace shardrift
