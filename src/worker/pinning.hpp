// Flags that pin what a collective library chooses by itself, for run and probe alike. The libraries read
// their variables when they start, so main.cpp applies these before MPI does. A user's own variable that says
// otherwise is refused, never overwritten; without flags nothing is touched.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "parallel/profile/collective_model.hpp"

namespace shardrift {

struct Pinning {
  OpenMpiAllReduce mpi_all_reduce = OpenMpiAllReduce::automatic;
  std::string nccl_algorithm = "auto";  // auto | ring | tree | nvls
  std::string nccl_protocol = "auto";   // auto | ll | ll128 | simple
  int nccl_channels = 0;                // 0: auto

  NcclPins nccl() const;  // for the search of a model; nvls has none
  bool pins_nccl() const { return nccl_algorithm != "auto" || nccl_protocol != "auto" || nccl_channels > 0; }
};

// The flags --mpi-allreduce, --nccl-algorithm, --nccl-protocol and --nccl-channels among `arguments` ("--flag
// value" or "--flag=value"); others are left alone. Throws usage_error on a bad value.
Pinning pinning_from(const std::vector<std::string>& arguments);

// Sets OMPI_MCA_coll_tuned_use_dynamic_rules and …_allreduce_algorithm, NCCL_ALGO, NCCL_PROTO, NCCL_MIN_CTAS
// and NCCL_MAX_CTAS in this process. Throws usage_error, naming the variable, where one says otherwise
// already.
void apply_pinning(const Pinning& pinning);

// The help texts of the flags.
struct PinningFlag {
  const char* name;
  const char* help;
};
std::vector<PinningFlag> pinning_flags();

}  // namespace shardrift
