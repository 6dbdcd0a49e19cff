#include "worker/apply_pinning.hpp"

#include <cstdlib>

#include "common/error.hpp"

namespace shardrift {
namespace {

void set(const char* variable, const std::string& value, std::string_view flag) {
  const char* old = std::getenv(variable);
  if (old != nullptr && old != value)
    throw usage_error("{} needs {}={}, but the environment says {}={}: unset one of them", flag, variable,
                      value, variable, old);
  setenv(variable, value.c_str(), 1);
}

std::string nccl_spelling(PinnedProtocol protocol) {
  switch (protocol) {
    case PinnedProtocol::ll:
      return "LL";
    case PinnedProtocol::ll128:
      return "LL128";
    case PinnedProtocol::automatic:
    case PinnedProtocol::simple:
      break;
  }
  return "Simple";
}

}  // namespace

void apply_pinning(const Pinning& pinning) {
  if (pinning.mpi_all_reduce != OpenMpiAllReduce::automatic) {
    set("OMPI_MCA_coll_tuned_use_dynamic_rules", "1", "--mpi-allreduce");
    set("OMPI_MCA_coll_tuned_allreduce_algorithm",
        std::to_string(openmpi_algorithm_number(pinning.mpi_all_reduce)), "--mpi-allreduce");
  }
  // The plain form, without "allreduce:", breaks other collectives since 2.24.
  if (pinning.nccl_algorithm != PinnedAlgorithm::automatic)
    set("NCCL_ALGO", "allreduce:" + std::string(name_of(pinning.nccl_algorithm)), "--nccl-algorithm");
  if (pinning.nccl_algorithm == PinnedAlgorithm::nvls) set("NCCL_NVLS_ENABLE", "1", "--nccl-algorithm");
  if (pinning.nccl_protocol != PinnedProtocol::automatic)
    set("NCCL_PROTO", "allreduce:" + nccl_spelling(pinning.nccl_protocol), "--nccl-protocol");
  if (pinning.nccl_channels.count > 0) {
    const auto count = std::to_string(pinning.nccl_channels.count);
    set("NCCL_MIN_CTAS", count, "--nccl-channels");
    set("NCCL_MAX_CTAS", count, "--nccl-channels");
  }
}

}  // namespace shardrift
