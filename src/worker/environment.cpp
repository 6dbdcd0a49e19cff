#include "worker/environment.hpp"

#include <unistd.h>

#include <array>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "common/error.hpp"
#include "model/library_versions.hpp"
#ifdef SHARDRIFT_HAVE_CUDA
#include "parallel/transport/nccl_transport.hpp"
#endif

namespace shardrift {
using nlohmann::json;
namespace {

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown CPU";
}

// Job numbers and sockets that mpirun hands its ranks: they differ in every run and change nothing.
bool launcher_bookkeeping(std::string_view name) {
  for (const std::string_view prefix :
       {"OMPI_MCA_orte_", "OMPI_MCA_ess", "OMPI_MCA_pmix", "OMPI_MCA_shmem_RUNTIME", "OMPI_MCA_initial_wdir"})
    if (name.starts_with(prefix)) return true;
  return false;
}

bool recorded_variable(std::string_view name) {
  if (launcher_bookkeeping(name)) return false;
  for (const std::string_view prefix :
       {"NCCL_", "CUDA_", "CUBLAS_", "OMPI_MCA_", "OMP_", "MKL_", "TORCH_", "ATEN_", "SLURM_JOB_"})
    if (name.starts_with(prefix)) return true;
  return false;
}

}  // namespace

record::DeviceInfo describe_cpu(const World& world) {
  record::DeviceInfo info;
  info.rank = world.rank();
  info.host = world.host();
  info.name = cpu_model();
  return info;
}

record::Environment gather_environment(const World& world, const record::DeviceInfo& mine, Device device,
                                       int threads) {
  record::Environment environment;
  const json my_json = {mine.rank, mine.host, mine.name, mine.uuid, mine.compute_capability, mine.driver};
  for (const auto& text : world.gather_all(my_json.dump())) {
    const auto item = json::parse(text);
    environment.devices.push_back({item[0], item[1], item[2], item[3], item[4], item[5]});
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const auto equals = text.find('=');
    if (equals != std::string::npos && recorded_variable(text))
      environment.variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  add_torch_versions(environment.libraries, environment.settings);
  environment.libraries["mpi"] = mpi_library_version();
#ifdef SHARDRIFT_HAVE_CUDA
  if (device == Device::cuda) environment.libraries["nccl"] = nccl_version();
#endif
  environment.settings["matmul"] = device == Device::cuda
                                       ? "ATen cuBLAS, reduced-precision reductions off"
                                       : "ATen MKL/oneDNN on one thread; own kernel for one float32 row";
  environment.settings["kernel_threads"] = std::to_string(threads);
  std::map<std::string, int> hosts;
  for (const auto& info : environment.devices) ++hosts[info.host];
  for (const auto& [host, ranks] : hosts) environment.topology += fmt::format("{}: {} ranks\n", host, ranks);
  return environment;
}

void check_devices(const std::vector<record::DeviceInfo>& devices) {
  std::set<std::string> seen;
  for (const auto& info : devices) {
    const auto& first = devices.front();
    if (info.name != first.name || info.compute_capability != first.compute_capability)
      throw usage_error("rank {} on {} drives a {}, rank {} on {} a {}: all ranks need the same GPU model",
                        first.rank, first.host, first.name, info.rank, info.host, info.name);
    if (!info.uuid.empty() && !seen.insert(info.uuid).second)
      throw usage_error(
          "rank {} on {}: GPU {} is already driven by another rank: start no more ranks than GPUs", info.rank,
          info.host, info.uuid);
  }
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

}  // namespace shardrift
