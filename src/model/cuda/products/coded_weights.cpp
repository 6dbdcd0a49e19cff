#include "model/cuda/products/coded_weights.hpp"

#include "model/cuda/check.hpp"

namespace shardrift::cuda {
namespace {

CodedShape shape_of(const Matrix& plain, WeightFormat format) {
  return {format, plain.dtype, plain.rows, static_cast<int>(plain.cols)};
}

}  // namespace

std::size_t code_weight(Backend& backend, OwnedWeight& weight, WeightFormat format, cudaStream_t stream) {
  const Matrix plain = weight.matrix.view;
  OwnedMatrix scales = std::move(weight.scales);
  weight.scales = {};
  if (plain.count() == 0 || plain.cols * static_cast<std::int64_t>(size_of(plain.dtype)) % 16 != 0)
    return plain.bytes();
  const CodedShape shape = shape_of(plain, format);
  Buffer codes(backend, code_bytes(shape));
  OwnedMatrix places(backend, 1, static_cast<std::int64_t>(scale_bytes(shape) / sizeof(float)),
                     DType::float32);
  const Buffer wrong(backend, sizeof(unsigned));  // zero
  enqueue_coding(shape, plain.data, scales.buffer.as<float>(), codes.data(), places.buffer.as<float>(),
                 wrong.as<unsigned>(), stream);
  check(cudaGetLastError(), "code_weight");
  unsigned count = 0;
  backend.download(&count, wrong.data(), sizeof count);
  if (count != 0) return plain.bytes();
  weight.matrix.buffer = std::move(codes);
  weight.matrix.view.data = weight.matrix.buffer.data();
  weight.scales = std::move(places);
  weight.format = format;
  return code_bytes(shape) + scale_bytes(shape);
}

Matrix DecodedWeights::of(const Weight& weight, cudaStream_t stream) {
  Matrix plain = weight.matrix;
  Memory& memory = memory_[stream];
  if (memory.bytes < plain.bytes()) {
    memory.buffer = Buffer(backend_, plain.bytes());
    memory.bytes = plain.bytes();
  }
  plain.data = memory.buffer.data();
  enqueue_decoding(shape_of(weight.matrix, weight.format), weight.matrix.data,
                   static_cast<const float*>(weight.scales.data), plain.data, stream);
  check(cudaGetLastError(), "decode_weight");
  return plain;
}

}  // namespace shardrift::cuda
