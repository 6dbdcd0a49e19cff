#include "model/library_versions.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/version.h>

namespace shardrift {

void add_torch_versions(std::map<std::string, std::string>& libraries,
                        std::map<std::string, std::string>& settings) {
  libraries["torch"] = TORCH_VERSION;
  libraries["mkl"] = at::get_mkl_version();
  libraries["mkldnn"] = at::get_mkldnn_version();
  settings["cpu_capability"] = at::get_cpu_capability();
  settings["blas_threads"] = std::to_string(at::get_num_threads());
}

}  // namespace shardrift
