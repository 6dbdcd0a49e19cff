// The GPU is opened while MPI starts: each takes a few tenths of a second, and neither needs the other.
#pragma once
#include <string>
#include <thread>
#include <vector>

namespace shardrift {

// Where the command line asks for CUDA. What fails here fails again where the device is opened, and is told
// there.
class EarlyDevice {
 public:
  explicit EarlyDevice(const std::vector<std::string>& arguments);
  ~EarlyDevice();  // waits for it
  EarlyDevice(const EarlyDevice&) = delete;
  EarlyDevice& operator=(const EarlyDevice&) = delete;

 private:
  std::thread opening_;
};

// "--device cuda" or "--device=cuda" among them.
bool asks_for_cuda(const std::vector<std::string>& arguments);

}  // namespace shardrift
