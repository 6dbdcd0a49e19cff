#include "experiments/runner/reasons.hpp"

#include <fmt/core.h>

#include <csignal>
#include <cstring>
#include <fstream>

#include "common/error.hpp"

namespace shardrift::runner {
namespace {

constexpr std::string_view kWorker = "shardrift-run: ";
constexpr std::streamoff kLongestTail = 1 << 16;
constexpr int kSignalBase = 128;  // of exit codes that shells and mpirun make of signals

struct Tail {
  std::string message;    // the worker's
  std::string last_line;  // not empty, no ruler
};

Tail tail_of(const std::filesystem::path& log) {
  Tail tail;
  std::ifstream file(log, std::ios::binary | std::ios::ate);
  if (!file) return tail;
  const std::streamoff size = file.tellg();
  file.seekg(size > kLongestTail ? size - kLongestTail : 0);
  for (std::string line; std::getline(file, line);) {
    // A progress line is overwritten in place on terminals.
    if (const auto back = line.rfind('\r'); back != std::string::npos && back + 1 < line.size())
      line.erase(0, back + 1);
    if (line.starts_with(kAttemptMark)) tail = {};
    if (const auto at = line.find(kWorker); at != std::string::npos)
      tail.message = line.substr(at + kWorker.size());
    if (line.find_first_not_of("-= \t") != std::string::npos) tail.last_line = line;
  }
  return tail;
}

std::string signal_text(int signal) {
  const char* name = strsignal(signal);
  std::string text = fmt::format("killed by signal {} ({})", signal, name == nullptr ? "unknown" : name);
  if (signal == SIGKILL) text += "; memory ran out, or someone killed it";
  return text;
}

}  // namespace

std::string output_of_attempt(const std::filesystem::path& log) {
  std::string text;
  std::ifstream file(log);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(kAttemptMark)) {
      text.clear();
      std::getline(file, line);  // the command
      continue;
    }
    text += line + "\n";
  }
  return text;
}

std::string reason_of(const Ended& ended, const std::filesystem::path& log) {
  const Tail tail = tail_of(log);
  const auto with = [&](const std::string& what) {
    const auto& more = tail.message.empty() ? tail.last_line : tail.message;
    return more.empty() ? what : what + ": " + more;
  };
  if (ended.signal != 0)
    return tail.message.empty() ? signal_text(ended.signal) : with(signal_text(ended.signal));
  switch (ended.code) {
    case static_cast<int>(ExitCode::usage):
      return with("refused");
    case static_cast<int>(ExitCode::bad_data):
      return with("bad data");
    case static_cast<int>(ExitCode::failure):
      return with("failed");
    case static_cast<int>(ExitCode::interrupted):
      return with("interrupted");
    default:
      break;
  }
  if (ended.code > kSignalBase && ended.code < kSignalBase + 65)
    return with(signal_text(ended.code - kSignalBase));
  return with(fmt::format("exit code {}", ended.code));
}

}  // namespace shardrift::runner
