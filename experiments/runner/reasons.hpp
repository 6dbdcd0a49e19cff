// Why a run did not end well, in words.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "experiments/runner/process.hpp"

namespace shardrift::runner {

// The part of a log that belongs to its last attempt is what follows the last line beginning with this.
inline constexpr const char* kAttemptMark = "== ";

// ended: not with exit code 0. The program's own message is taken from the log; without one, the log's last
// line. engine: the words of another engine's command (study::Configuration::engine), whose message is the
// first line that begins with the name of one of its programs or with "error:", else its first traceback's
// exception: what a launcher such as torchrun says of it later does not tell why.
std::string reason_of(const Ended& ended, const std::filesystem::path& log,
                      const std::vector<std::string>& engine = {});

// What the last attempt printed, without the command that started it.
std::string output_of_attempt(const std::filesystem::path& log);

}  // namespace shardrift::runner
