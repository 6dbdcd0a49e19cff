#include "model/cuda/cuda_device.hpp"

#include <cuda_runtime_api.h>

#include <fstream>

#include "model/cuda/check.hpp"

namespace shardrift {
namespace {

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

// "580.159.04" where the kernel module says so, else the CUDA version the driver supports.
std::string driver_version() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string word;
  while (file >> word)
    if (word.find_first_not_of("0123456789.") == std::string::npos && word.find('.') != std::string::npos)
      return word;
  int version = 0;
  cuda::check(cudaDriverGetVersion(&version), "cudaDriverGetVersion");
  return "CUDA " + version_text(version);
}

std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

}  // namespace

int cuda_device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::vector<std::string> cuda_device_uuids() {
  std::vector<std::string> uuids;
  for (int i = 0; i < cuda_device_count(); ++i) {
    cudaDeviceProp properties{};
    cuda::check(cudaGetDeviceProperties(&properties, i), "cudaGetDeviceProperties");
    uuids.push_back(uuid_text(properties.uuid));
  }
  return uuids;
}

CudaDevice select_cuda_device(int index) {
  cuda::check(cudaSetDevice(index), "cudaSetDevice");
  cudaDeviceProp properties{};
  cuda::check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  int runtime = 0;
  cuda::check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  return {properties.name, uuid_text(properties.uuid),
          fmt::format("{}.{}", properties.major, properties.minor), driver_version(), version_text(runtime)};
}

}  // namespace shardrift
