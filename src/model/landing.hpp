// The host's side of one pass: what goes to the device with it and what comes back. The device may still read
// and write it after the call that enqueued the pass has returned; a landing serves one pass at a time.
#pragma once
#include <memory>
#include <vector>

#include "model/backend.hpp"

namespace shardrift {

// Host memory that a device copies from and to while the host goes on.
class HostBuffer {
 public:
  explicit HostBuffer(Backend& backend) : backend_(&backend) {}
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;
  ~HostBuffer() {
    if (data_ != nullptr) backend_->release_host(data_);
  }
  // At least so many bytes; what was in it is lost where it grows. No copy may be on its way.
  void hold(std::size_t bytes) {
    if (bytes <= bytes_) return;
    if (data_ != nullptr) backend_->release_host(data_);
    data_ = nullptr;
    bytes_ = 0;
    data_ = backend_->allocate_host(bytes);
    bytes_ = bytes;
  }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  Backend* backend_;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

struct Landing {
  HostBuffer index;   // int32: tokens, positions, slots, lengths, wanted rows
  HostBuffer logits;  // [logit rows, vocabulary], on the writing rank
  HostBuffer chosen;  // int32 [logit rows], on the ranks of the last stage
  HostBuffer routes;  // int32 [mixtures of the stage, rows of the pass, active], then their weights
  std::vector<float> route_weights;  // of a float64 model, whose weights come as such
  std::size_t pairs = 0;             // in routes
  std::size_t rows = 0;              // with logits
  std::size_t bytes = 0;             // of the logits; 0: this rank does not write
  std::unique_ptr<DeviceEvent> landed;
  explicit Landing(Backend& backend)
      : index(backend), logits(backend), chosen(backend), routes(backend), landed(backend.make_event()) {}
};

}  // namespace shardrift
