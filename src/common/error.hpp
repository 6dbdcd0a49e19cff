// Errors and exit codes shared by every program; exit codes follow sysexits.h where one fits.
#pragma once
#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace shardrift {

enum class ExitCode : int {
  ok = 0,                // done; for compare and gate: within tolerance
  beyond_tolerance = 1,  // compare, gate
  inconclusive = 2,      // gate
  usage = 64,            // flags, impossible plans
  bad_data = 65,         // a file that is not what it should be
  failure = 70,          // device, rank, disk
  interrupted = 75,      // stopped by a signal; a rerun resumes
};

// One clear sentence for the user: names the file, the value and the fix. Never caught to be ignored.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

template <typename... Args>
Error usage_error(fmt::format_string<Args...> text, Args&&... args) {
  return {ExitCode::usage, fmt::format(text, std::forward<Args>(args)...)};
}
template <typename... Args>
Error bad_data(fmt::format_string<Args...> text, Args&&... args) {
  return {ExitCode::bad_data, fmt::format(text, std::forward<Args>(args)...)};
}
template <typename... Args>
Error failure(fmt::format_string<Args...> text, Args&&... args) {
  return {ExitCode::failure, fmt::format(text, std::forward<Args>(args)...)};
}

}  // namespace shardrift
