#include "experiments/runner/detect_machine.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "common/error.hpp"
#include "common/text.hpp"
#include "experiments/runner/process.hpp"
#include "experiments/runner/visible_gpus.hpp"

namespace shardrift::runner {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

// In CUDA's order. Which of several models is the fastest only CUDA says: the worker is asked.
std::vector<Card> in_cudas_order(std::vector<Card> cards, const fs::path& worker) {
  if (!are_mixed(cards) || variable("CUDA_DEVICE_ORDER") == "PCI_BUS_ID") return cards;
  const auto told = output_of({"env", "-u", "CUDA_VISIBLE_DEVICES", worker.string(), "devices"});
  if (auto ordered = in_order_of(told.value_or(""), cards)) return *ordered;
  throw usage_error(
      "GPUs of several models, which CUDA numbers in another order than nvidia-smi, and {} does not tell: "
      "set "
      "CUDA_DEVICE_ORDER=PCI_BUS_ID, or choose cards of one model by UUID in CUDA_VISIBLE_DEVICES",
      worker.string());
}

VisibleGpus gpus_for(const fs::path& worker) {
  const auto table = output_of(
      {"nvidia-smi", "--query-gpu=index,name,memory.total,uuid", "--format=csv,noheader,nounits"}, 30);
  if (!table) return {{}, "no GPU found"};
  auto cards = parse_cards(*table, output_of({"nvidia-smi", "-L"}, 30).value_or(""));
  const auto visible = variable("CUDA_VISIBLE_DEVICES");
  const auto entries = split_words(visible.value_or("0"), ',');
  const bool by_number = std::any_of(entries.begin(), entries.end(),
                                     [](const auto& entry) { return number_from<int>(entry).has_value(); });
  if (by_number) cards = in_cudas_order(std::move(cards), worker);
  return visible_gpus(cards, visible, are_mixed(cards));
}

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
}

std::string value_after(const char* file, const std::string& key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    const auto colon = line.find(':');
    const auto first = line.find_first_not_of(' ', colon + 1);
    return first == std::string::npos ? "" : line.substr(first);
  }
  return {};
}

// "mpirun (Open MPI) 4.1.4" -> "Open MPI v4.1.4", as MPI_Get_library_version begins.
std::string mpi_version() {
  const auto text = output_of({"mpirun", "--version"});
  if (!text) return {};
  const std::string_view known = "mpirun (Open MPI) ";
  if (!text->starts_with(known)) return text->substr(0, text->find('\n'));
  return "Open MPI v" + text->substr(known.size(), text->find('\n') - known.size());
}

bool built_with_cuda(const fs::path& worker) {
  const auto text = output_of({worker.string(), "--version"}, 60);
  return text && text->find("cuda") != std::string::npos;
}

void take(int wanted, int there, const char* what, study::Machine& machine) {
  if (wanted > there && machine.device == "cuda")
    throw usage_error("--devices {}: here {} {} {}", wanted, there == 1 ? "is" : "are", there, what);
  machine.devices = wanted > 0 ? wanted : there;
}

}  // namespace

DetectedMachine detect_machine(const MachineWanted& wanted, const fs::path& worker) {
  DetectedMachine detected;
  auto& machine = detected.machine;
  detected.cores = usable_cores();
  std::string no_gpu;
  if (wanted.device != "cpu") {
    const auto visible = gpus_for(worker);
    const auto& gpus = visible.gpus;
    if (gpus.empty()) {
      no_gpu = visible.why_none;
    } else if (!built_with_cuda(worker)) {
      no_gpu = fmt::format("{} was built without CUDA", worker.string());
    } else {
      machine.device = "cuda";
      take(wanted.devices, static_cast<int>(gpus.size()), "GPUs", machine);
      for (int i = 0; i < machine.devices; ++i) {
        const auto& gpu = gpus[static_cast<std::size_t>(i)];
        if (gpu.name != gpus.front().name)
          throw usage_error("GPUs of two models, {} and {}: choose some of one with CUDA_VISIBLE_DEVICES",
                            gpus.front().name, gpu.name);
        detected.gpu_ids.push_back(gpu.id);
      }
      machine.device_name = gpus.front().name;
      machine.device_memory = gpus.front().memory;
      machine.collective_library = "nccl";
      detected.why = fmt::format("{} x {}", machine.devices, machine.device_name);
      return detected;
    }
    if (wanted.device == "cuda") throw usage_error("--device cuda: {}", no_gpu);
  }
  machine.device = "cpu";
  take(wanted.devices, detected.cores, "cores", machine);
  machine.device_name = value_after("/proc/cpuinfo", "model name");
  machine.device_memory = std::strtoll(value_after("/proc/meminfo", "MemTotal").c_str(), nullptr, 10) << 10;
  machine.collective_library = "mpi";
  machine.library_version = mpi_version();
  detected.why = fmt::format("{} rank{} on the {} core{} of {}{}", machine.devices,
                             machine.devices == 1 ? "" : "s", detected.cores, detected.cores == 1 ? "" : "s",
                             machine.device_name, no_gpu.empty() ? "" : " (" + no_gpu + ")");
  return detected;
}

DetectedMachine unseen_machine(const MachineWanted& wanted) {
  DetectedMachine unseen;
  unseen.machine.device = wanted.device;
  unseen.machine.devices = wanted.devices;
  unseen.machine.collective_library = wanted.device == "cuda" ? "nccl" : "mpi";
  unseen.why =
      fmt::format("{} {} somewhere else", wanted.devices, wanted.device == "cuda" ? "GPUs" : "CPU ranks");
  return unseen;
}

fs::path find_worker(const fs::path& given) {
  if (!given.empty()) {
    if (access(given.c_str(), X_OK) != 0) throw usage_error("--worker {}: no such program", given.string());
    return fs::absolute(given);
  }
  std::vector<fs::path> places;
  std::error_code error;
  if (const auto program = fs::read_symlink("/proc/self/exe", error); !error)
    places.push_back(program.parent_path());
  if (const char* path = std::getenv("PATH"))
    for (const auto& folder : split_words(path, ':')) places.emplace_back(folder);
  for (const auto& place : places)
    if (access((place / "shardrift-run").c_str(), X_OK) == 0) return place / "shardrift-run";
  throw usage_error(
      "shardrift-run is neither beside this program nor in PATH: build it (scripts/build), or name it with "
      "--worker");
}

}  // namespace shardrift::runner
