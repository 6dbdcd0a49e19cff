#include "model/backend.hpp"

#include <cstdlib>

#include "common/error.hpp"

namespace shardrift {

void* Backend::allocate_host(std::size_t bytes) {
  void* data = std::malloc(bytes);
  if (data == nullptr) throw failure("out of memory: {} bytes asked for", bytes);
  return data;
}

void Backend::release_host(void* data) noexcept {
  std::free(data);
}

std::size_t Backend::code(OwnedWeight&, WeightFormat) {
  throw failure("this device multiplies no coded weights: this is a bug");
}

void Backend::linear_of_experts(const Matrix&, const ExpertTable&, const ExpertPairs&, const Matrix&) {
  throw failure("this device multiplies each expert's rows by themselves: this is a bug");
}

std::unique_ptr<CapturedWork> Backend::capture(const std::function<void()>&) {
  throw failure("this device cannot capture a pass: this is a bug");
}

}  // namespace shardrift
