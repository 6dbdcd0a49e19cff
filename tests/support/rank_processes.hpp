// The worker processes of a running job, for tests that kill, stop or signal one of them.
#pragma once
#include <vector>

namespace shardrift::testing {

// Process numbers of the ranks that this mpirun started, by rank.
std::vector<int> rank_processes(int mpirun);
// Has the process a handler for this signal by now?
bool catches(int process, int signal);

}  // namespace shardrift::testing
