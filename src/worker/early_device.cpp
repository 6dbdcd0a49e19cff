#include "worker/early_device.hpp"

#include <cstdlib>
#include <optional>

#include "common/error.hpp"
#include "common/text.hpp"
#include "model/cuda/cuda_device.hpp"

namespace shardrift {
namespace {

#ifdef SHARDRIFT_HAVE_CUDA
// This rank among those of its host, before MPI says; nullopt: not known.
std::optional<int> told_local_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"})
    if (const char* text = std::getenv(name)) return number_from<int>(text);
  return std::nullopt;
}

// The driver, and where it is known which GPU will be this rank's (rank_device.cpp), its context.
void open_early() {
  try {
    const int visible = cuda_device_count();
    const auto local_rank = visible == 1 ? std::optional(0) : told_local_rank();
    if (visible > 0 && local_rank && *local_rank >= 0) select_cuda_device(*local_rank % visible);
  } catch (const Error&) {  // told where the device is opened
  }
}
#endif

}  // namespace

bool asks_for_cuda(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i)
    if (arguments[i] == "--device=cuda" ||
        (arguments[i] == "--device" && i + 1 < arguments.size() && arguments[i + 1] == "cuda"))
      return true;
  return false;
}

EarlyDevice::EarlyDevice([[maybe_unused]] const std::vector<std::string>& arguments) {
#ifdef SHARDRIFT_HAVE_CUDA
  if (asks_for_cuda(arguments)) opening_ = std::thread(open_early);
#endif
}

EarlyDevice::~EarlyDevice() {
  if (opening_.joinable()) opening_.join();
}

}  // namespace shardrift
