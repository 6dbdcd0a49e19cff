#include "worker/environment.hpp"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "common/error.hpp"
#include "common/text.hpp"
#include "model/cpu/products/product_kernels.hpp"
#include "model/library_versions.hpp"
#include "record/numerics.hpp"
#include "worker/singletons.hpp"
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
  if (launcher_bookkeeping(name) || left_networks_out(name)) return false;
  if (record::pins_numerics(name)) return true;
  for (const std::string_view prefix :
       {"NCCL_", "CUDA_", "CUBLAS_", "OMPI_MCA_", "OMP_", "MKL_", "TORCH_", "ATEN_", "SLURM_JOB_"})
    if (name.starts_with(prefix)) return true;
  return false;
}

std::string cpu_products() {
  return fmt::format("ATen MKL/oneDNN on one thread; own kernels ({}) for one row and for 16-bit numbers{}",
                     product_kernels().front()->name,
                     has_matrix_unit(false) ? ", whose many rows are oneDNN's (AMX)" : "");
}

// Names that whoever started the ranks says matter: those a site profile exports (slurm/templates/task.sh).
std::set<std::string> named_variables() {
  const char* names = std::getenv("SHARDRIFT_VARIABLES");
  const auto words = split_words(names == nullptr ? "" : names, ' ');
  return {words.begin(), words.end()};
}

}  // namespace

record::DeviceInfo describe_cpu(const World& world) {
  record::DeviceInfo info;
  info.rank = world.rank();
  info.host = world.host();
  info.name = cpu_model();
  return info;
}

record::Environment describe_here(Device device, int threads) {
  record::Environment here;
  const auto named = named_variables();
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const auto equals = text.find('=');
    if (equals == std::string::npos) continue;
    const auto name = text.substr(0, equals);
    if (recorded_variable(name) || named.contains(name)) here.variables[name] = text.substr(equals + 1);
  }
  add_torch_versions(here.libraries, here.settings);
  here.libraries["mpi"] = mpi_library_version();
#ifdef SHARDRIFT_HAVE_CUDA
  if (device == Device::cuda) here.libraries["nccl"] = nccl_version();
#endif
  here.settings["matmul"] =
      device == Device::cuda
          ? "ATen cuBLAS, reduced-precision reductions off; own kernels with --products fixed"
          : cpu_products();
  here.settings["kernel_threads"] = std::to_string(threads);
  return here;
}

std::map<std::string, std::string> joined_by_host(const std::vector<HostValues>& hosts) {
  std::map<std::string, std::string> joined = hosts.at(0).values;
  for (std::size_t i = 1; i < hosts.size(); ++i) {
    for (const auto& [name, value] : hosts[i].values)
      if (const auto first = hosts[0].values.find(name);
          first == hosts[0].values.end() || first->second != value)
        joined[name + "@" + hosts[i].host] = value;
    for (const auto& [name, value] : hosts[0].values)
      if (!hosts[i].values.contains(name)) joined[name + "@" + hosts[i].host] = "(not set)";
  }
  return joined;
}

record::Environment gather_environment(const World& world, const record::DeviceInfo& mine, Device device,
                                       int threads) {
  const auto here = describe_here(device, threads);
  json text = {
      {"device", {mine.rank, mine.host, mine.name, mine.uuid, mine.compute_capability, mine.driver}}};
  if (world.local_rank() == 0) {  // the ranks of one host see the same
    text["libraries"] = here.libraries;
    text["variables"] = here.variables;
    text["settings"] = here.settings;
  }
  record::Environment environment;
  std::vector<HostValues> libraries;
  std::vector<HostValues> variables;
  std::vector<HostValues> settings;
  // A variable may hold any bytes; JSON only UTF-8.
  for (const auto& other : world.gather_all(text.dump(-1, ' ', false, json::error_handler_t::replace))) {
    const auto item = json::parse(other);
    const auto& device_of = item["device"];
    environment.devices.push_back(
        {device_of[0], device_of[1], device_of[2], device_of[3], device_of[4], device_of[5]});
    if (!item.contains("libraries")) continue;
    const std::string& host = environment.devices.back().host;
    libraries.push_back({host, item["libraries"]});
    variables.push_back({host, item["variables"]});
    settings.push_back({host, item["settings"]});
  }
  environment.libraries = joined_by_host(libraries);
  environment.variables = joined_by_host(variables);
  environment.settings = joined_by_host(settings);
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

}  // namespace shardrift
