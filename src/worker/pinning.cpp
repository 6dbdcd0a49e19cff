#include "worker/pinning.hpp"

#include <cstdlib>

#include "common/error.hpp"
#include "common/text.hpp"

namespace shardrift {
namespace {

constexpr const char* kMpiFlag = "mpi-allreduce";
constexpr const char* kAlgorithmFlag = "nccl-algorithm";
constexpr const char* kProtocolFlag = "nccl-protocol";
constexpr const char* kChannelsFlag = "nccl-channels";

// The last value given, as Boost.Program_options would take it; nullopt where the flag is absent.
std::optional<std::string> value_of(const std::vector<std::string>& arguments, const std::string& flag) {
  std::optional<std::string> value;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--" + flag && i + 1 < arguments.size()) value = arguments[i + 1];
    if (arguments[i].starts_with("--" + flag + "=")) value = arguments[i].substr(flag.size() + 3);
  }
  return value;
}

void set(const char* variable, const std::string& value, const char* flag) {
  const char* old = std::getenv(variable);
  if (old != nullptr && old != value)
    throw usage_error("--{} needs {}={}, but the environment says {}={}: unset one of them", flag, variable,
                      value, variable, old);
  setenv(variable, value.c_str(), 1);
}

std::string require_one_of(const std::string& value, const char* flag,
                           const std::vector<std::string>& known) {
  for (const auto& one : known)
    if (value == one) return value;
  std::string list;
  for (const auto& one : known) list += (list.empty() ? "" : ", ") + one;
  throw usage_error("unknown --{} '{}': use {}", flag, value, list);
}

}  // namespace

NcclPins Pinning::nccl() const {
  NcclPins pins;
  if (nccl_algorithm == "ring" || nccl_algorithm == "tree")
    pins.algorithm = from_name<NcclAlgorithm>(nccl_algorithm);
  if (nccl_protocol != "auto") pins.protocol = from_name<NcclProtocol>(nccl_protocol);
  if (nccl_channels > 0) pins.channels = nccl_channels;
  return pins;
}

Pinning pinning_from(const std::vector<std::string>& arguments) {
  Pinning pinning;
  if (const auto value = value_of(arguments, kMpiFlag))
    pinning.mpi_all_reduce = named<OpenMpiAllReduce>("--mpi-allreduce", *value);
  if (const auto value = value_of(arguments, kAlgorithmFlag))
    pinning.nccl_algorithm = require_one_of(*value, kAlgorithmFlag, {"auto", "ring", "tree", "nvls"});
  if (const auto value = value_of(arguments, kProtocolFlag))
    pinning.nccl_protocol = require_one_of(*value, kProtocolFlag, {"auto", "ll", "ll128", "simple"});
  if (const auto value = value_of(arguments, kChannelsFlag); value && *value != "auto") {
    const auto channels = number_from<int>(*value);
    if (!channels || *channels < 1 || *channels > 64)
      throw usage_error("--{} {}: use auto or 1 to 64", kChannelsFlag, *value);
    pinning.nccl_channels = *channels;
  }
  return pinning;
}

void apply_pinning(const Pinning& pinning) {
  if (pinning.mpi_all_reduce != OpenMpiAllReduce::automatic) {
    set("OMPI_MCA_coll_tuned_use_dynamic_rules", "1", kMpiFlag);
    set("OMPI_MCA_coll_tuned_allreduce_algorithm",
        std::to_string(openmpi_algorithm_number(pinning.mpi_all_reduce)), kMpiFlag);
  }
  // The plain form, without "allreduce:", breaks other collectives since 2.24.
  if (pinning.nccl_algorithm != "auto")
    set("NCCL_ALGO", "allreduce:" + pinning.nccl_algorithm, kAlgorithmFlag);
  if (pinning.nccl_algorithm == "nvls") set("NCCL_NVLS_ENABLE", "1", kAlgorithmFlag);
  if (pinning.nccl_protocol != "auto") {
    const std::string spelling =  // NCCL's own
        pinning.nccl_protocol == "simple" ? "Simple" : (pinning.nccl_protocol == "ll" ? "LL" : "LL128");
    set("NCCL_PROTO", "allreduce:" + spelling, kProtocolFlag);
  }
  if (pinning.nccl_channels > 0) {
    set("NCCL_MIN_CTAS", std::to_string(pinning.nccl_channels), kChannelsFlag);
    set("NCCL_MAX_CTAS", std::to_string(pinning.nccl_channels), kChannelsFlag);
  }
}

std::vector<PinningFlag> pinning_flags() {
  return {{kMpiFlag,
           "auto, basic-linear, recursive-doubling, ring, rabenseifner: OpenMPI's all-reduce (default auto)"},
          {kAlgorithmFlag, "auto, ring, tree, nvls: NCCL's all-reduce (default auto)"},
          {kProtocolFlag, "auto, ll, ll128, simple: NCCL's protocol (default auto)"},
          {kChannelsFlag, "auto or 1 to 64: NCCL's channels (default auto)"}};
}

}  // namespace shardrift
