// Weights that stay coded on a GPU (--quantize with --products fixed): made of plain ones, and decoded for
// products of many rows.
#pragma once
#include <cuda_runtime_api.h>

#include <map>

#include "model/backend.hpp"

namespace shardrift::cuda {

struct CodedShape {
  WeightFormat format = WeightFormat::plain;
  DType dtype = DType::bfloat16;  // of the numbers that codes stand for, 16 bits
  std::int64_t rows = 0;
  int k = 0;
};
std::size_t code_bytes(const CodedShape& shape);
std::size_t scale_bytes(const CodedShape& shape);
// plain [rows, k], scales [rows, scales_of_row]; codes and places of that many bytes. Adds to `wrong` how
// many numbers no code gives.
void enqueue_coding(const CodedShape& shape, const void* plain, const float* scales, void* codes,
                    float* places, unsigned* wrong, cudaStream_t stream);
void enqueue_decoding(const CodedShape& shape, const void* codes, const float* places, void* plain,
                      cudaStream_t stream);

// As Backend::code: rows that do not begin at multiples of 16 bytes stay plain, too.
std::size_t code_weight(Backend& backend, OwnedWeight& weight, WeightFormat format, cudaStream_t stream);

// Memory for a decoded weight, of each stream one at a time.
class DecodedWeights {
 public:
  explicit DecodedWeights(Backend& backend) : backend_(backend) {}
  // Enqueues the decoding of a coded weight. Valid until the next on this stream.
  Matrix of(const Weight& weight, cudaStream_t stream);

 private:
  struct Memory {
    Buffer buffer;
    std::size_t bytes = 0;
  };
  Backend& backend_;
  std::map<cudaStream_t, Memory> memory_;
};

}  // namespace shardrift::cuda
