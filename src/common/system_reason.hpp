// Why the system refused something, in its words, and what can be done about a limit.
#pragma once
#include <exception>
#include <string>

namespace shardrift {

// Of an errno: "Too many open files (more than the limit on open files allows: ulimit -n)".
std::string system_reason(int error);

// What an exception of the standard library says, in these words: a thread that could not be started, memory
// that was not there.
std::string reason_of(const std::exception& error);

}  // namespace shardrift
