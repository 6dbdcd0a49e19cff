// The worker processes of a running job, for tests that kill, stop or signal one of them.
#pragma once
#include <string>
#include <vector>

namespace shardrift::testing {

// Process numbers of the ranks that this mpirun started, by rank.
std::vector<int> rank_processes(int mpirun);
// Is there a process whose command line has this text, be it started or only forked for it?
bool is_on_a_command_line(const std::string& text);
// Has the process a handler for this signal by now?
bool catches(int process, int signal);

}  // namespace shardrift::testing
