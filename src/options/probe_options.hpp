// The command line of shardrift-run probe.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "parallel/plan/plan.hpp"
#include "parallel/profile/collective_model.hpp"

namespace shardrift {

struct ProbeOptions {
  Device device = Device::cpu;
  std::vector<std::int64_t> counts;  // elements of a message; --tokens x --hidden added; each once, ascending
  std::vector<DType> dtypes;
  CollectiveOperation operation = CollectiveOperation::all_reduce;
  Collective collective = Collective::library;
  std::vector<Launch> launches;    // eager, captured, or both
  std::optional<Reduction> local;  // a local order instead of a live collective
  int shards = 4;                  // of a local order
  bool check = false;
  std::filesystem::path profile;       // to check against
  std::filesystem::path save_profile;  // to write or extend
  std::filesystem::path output;        // HDF5
  bool overwrite = false;
  bool quiet = false;
  int stall_timeout = 60;       // seconds, as of a run
  int segments = 8;             // printed of one map
  std::vector<double> numbers;  // one a rank, summed and shown too; empty: none
  std::string command;          // as typed
};

// arguments: what follows "probe". Throws usage_error. Pinning flags are accepted here and applied by
// main.cpp.
ProbeOptions parse_probe_options(const std::vector<std::string>& arguments, bool& helped);
std::string probe_help();

}  // namespace shardrift
