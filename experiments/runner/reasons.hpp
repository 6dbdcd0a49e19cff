// Why a run did not end well, in words.
#pragma once
#include <filesystem>
#include <string>

#include "experiments/runner/process.hpp"

namespace shardrift::runner {

// The part of a log that belongs to its last attempt is what follows the last line beginning with this.
inline constexpr const char* kAttemptMark = "== ";

// ended: not with exit code 0. The worker's own message is taken from the log; without one, the log's last
// line.
std::string reason_of(const Ended& ended, const std::filesystem::path& log);

// What the last attempt printed, without the command that started it.
std::string output_of_attempt(const std::filesystem::path& log);

}  // namespace shardrift::runner
