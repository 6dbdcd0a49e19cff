// Ending a program that links torch.
#pragma once
#include <cstdio>
#include <cstdlib>

namespace shardrift {

// Ends the process with everything flushed but without static destructors: torch's crash at exit where
// another libstdc++ than its own is loaded ("free(): invalid pointer" in deregisterOperator, seen on
// Ubuntu 24.04 with torch 2.11), which would turn a finished run into exit code 134.
[[noreturn]] inline void leave(int code) {
  std::fflush(nullptr);
  std::_Exit(code);
}

}  // namespace shardrift
