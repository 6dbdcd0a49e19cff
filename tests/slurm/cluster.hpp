// A private Slurm (private-slurm) for the tests of one program, and `shardrift` against it.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "program.hpp"
#include "wait.hpp"

namespace shardrift::testing {

// Empty: Slurm's daemons are here. Else why not; with SHARDRIFT_REQUIRE_SLURM (scripts/test) that is a
// failure.
std::string slurm_missing();

class Cluster {
 public:
  // nodes: "n1:2:h100". Exports SLURM_CONF and what mpirun needs to this process; stopped with its owner, and
  // by itself should this process die. Throws what went wrong.
  explicit Cluster(const std::vector<std::string>& nodes);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

 private:
  std::filesystem::path folder_;
};

// Process numbers of the daemons of a private Slurm in `folder`, of theirs too.
std::vector<std::string> daemons_of(const std::filesystem::path& folder);

// build/bin/shardrift in `folder`.
Finished shardrift(const std::filesystem::path& folder, std::vector<std::string> arguments);

// wait_for, asking as seldom as a cluster likes.
::testing::AssertionResult wait_on_slurm(const std::string& what, const std::function<bool()>& is_so);

// "12_0" of a configuration, by status's table; empty: none.
std::string job_of(const std::string& status_text, const std::string& name);
// Its line.
std::string row_of(const std::string& status_text, const std::string& name);

}  // namespace shardrift::testing
