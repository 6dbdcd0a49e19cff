#include "record/numerics.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <vector>

namespace shardrift::record {
namespace {

constexpr const char* kNone = "(not set)";
// Of a setting that another host has otherwise (NAME@HOST).
constexpr char kOfHost = '@';

using Texts = std::map<std::string, std::string>;

// A value, and those of other hosts whatever their names. Adds to `to` under prefix + the value's name.
template <typename Counts>
void add_texts(Numerics& to, const std::string& prefix, const Texts& texts, Counts&& counts) {
  std::map<std::string, std::set<std::string>> elsewhere;
  for (const auto& [key, value] : texts) {
    const auto name = key.substr(0, key.find(kOfHost));
    if (!counts(name)) continue;
    if (name == key)
      to[prefix + name] = value;
    else
      elsewhere[name].insert(value);
  }
  for (const auto& [name, values] : elsewhere) {
    const std::string first = to.try_emplace(prefix + name, kNone).first->second;
    to[prefix + name] = fmt::format("{}, on other hosts {}", first, fmt::join(values, ", "));
  }
}

// Of ranks, in their order; once where neighbours have the same.
std::string of_ranks(const std::vector<DeviceInfo>& devices, std::string DeviceInfo::*field) {
  std::vector<std::string> values;
  for (const auto& device : devices)
    if (values.empty() || values.back() != device.*field) values.push_back(device.*field);
  return fmt::format("{}", fmt::join(values, ", "));
}

}  // namespace

bool pins_numerics(std::string_view variable) {
  constexpr auto kPrefixes = std::to_array<std::string_view>({"NCCL_ALGO",
                                                              "NCCL_PROTO",
                                                              "NCCL_MIN_",
                                                              "NCCL_MAX_",
                                                              "NCCL_NTHREADS",
                                                              "NCCL_LL",
                                                              "NCCL_BUFFSIZE",
                                                              "NCCL_NVLS",
                                                              "NCCL_TUNER",
                                                              "NCCL_COLLNET",
                                                              "CUBLAS_",
                                                              "CUBLASLT_",
                                                              "NVIDIA_TF32",
                                                              "TORCH_ALLOW_TF32",
                                                              "TORCH_BLAS_PREFER",
                                                              "MKL_CBWR",
                                                              "MKL_ENABLE_INSTRUCTIONS",
                                                              "MKL_DEBUG_CPU_TYPE",
                                                              "ONEDNN_MAX_",
                                                              "ONEDNN_DEFAULT_FPMATH",
                                                              "DNNL_MAX_",
                                                              "DNNL_DEFAULT_FPMATH",
                                                              "ATEN_CPU_CAPABILITY",
                                                              "OMPI_MCA_coll"});
  return std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return variable.starts_with(prefix); });
}

Numerics numerics_of(const Environment& environment) {
  Numerics numerics;
  numerics["the device"] = of_ranks(environment.devices, &DeviceInfo::name);
  numerics["the device's compute capability"] =
      of_ranks(environment.devices, &DeviceInfo::compute_capability);
  numerics["the GPU driver"] = of_ranks(environment.devices, &DeviceInfo::driver);
  // One rank adds nothing up over MPI or NCCL; HDF5 computes nothing.
  const bool alone = environment.devices.size() < 2;
  add_texts(numerics, "the version of ", environment.libraries, [&](const std::string& name) {
    return name != "hdf5" && !(alone && (name == "mpi" || name == "nccl"));
  });
  add_texts(numerics, "the setting ", environment.settings,
            [](const std::string& name) { return name == "matmul" || name == "cpu_capability"; });
  add_texts(numerics, "the variable ", environment.variables, [&](const std::string& name) {
    return pins_numerics(name) && !(alone && (name.starts_with("NCCL_") || name.starts_with("OMPI_")));
  });
  return numerics;
}

std::optional<std::string> first_difference(const Numerics& was, const Numerics& now) {
  Numerics names = was;
  names.insert(now.begin(), now.end());
  const auto value = [](const Numerics& numerics, const std::string& name) {
    const auto found = numerics.find(name);
    return found == numerics.end() ? std::string(kNone) : found->second;
  };
  for (const auto& [name, ignored] : names) {
    const auto before = value(was, name);
    const auto after = value(now, name);
    if (before != after) return fmt::format("{} was {}, now is {}", name, before, after);
  }
  return std::nullopt;
}

}  // namespace shardrift::record
