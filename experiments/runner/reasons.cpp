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

constexpr std::string_view kError = "error: ";
constexpr std::string_view kTraceback = "Traceback (most recent call last):";
constexpr std::string_view kOfLauncher = "ChildFailedError:";  // torchrun's own, whatever the reason was

// What a log's last attempt says.
struct Tail {
  std::string message;    // the program's own
  std::string exception;  // of the first traceback
  std::string last_line;  // not empty, no ruler
};

// Another engine's lines, read one by one.
class EngineLines {
 public:
  explicit EngineLines(const std::vector<std::string>& engine) {
    for (const auto& word : engine) {
      if (word.starts_with('-')) continue;
      const std::filesystem::path path(word);
      names_.push_back(path.filename().string() + ": ");
      names_.push_back(path.stem().string() + ": ");
    }
  }

  void read(std::string_view line, Tail& tail) {
    line = without_rank(line);
    if (tail.message.empty()) tail.message = own_message(line);
    if (line.starts_with(kTraceback)) {
      in_traceback_ = true;
    } else if (in_traceback_ && !line.empty() && line.front() != ' ') {
      in_traceback_ = false;
      if (tail.exception.empty() && !line.ends_with(kOfLauncher)) tail.exception = line;
    }
  }

 private:
  // torch's ranks write "[rank0]: " before their lines.
  static std::string_view without_rank(std::string_view line) {
    const auto end = line.find("]: ");
    if (line.starts_with('[') && end != std::string_view::npos && line.find(' ') > end)
      line.remove_prefix(end + 3);
    return line;
  }

  // "record: no such file", "record: error: no such file" and "error: no such file" say "no such file".
  std::string own_message(std::string_view line) const {
    for (const auto& name : names_)
      if (line.starts_with(name)) {
        line.remove_prefix(name.size());
        if (is_error(line)) line.remove_prefix(kError.size());
        return std::string(line);
      }
    if (!is_error(line)) return {};
    return std::string(line.substr(kError.size()));
  }

  static bool is_error(std::string_view line) {
    return line.starts_with(kError) || line.starts_with("Error: ") || line.starts_with("ERROR: ");
  }

  std::vector<std::string> names_;
  bool in_traceback_ = false;
};

Tail tail_of(const std::filesystem::path& log, const std::vector<std::string>& engine) {
  Tail tail;
  EngineLines lines(engine);
  std::ifstream file(log, std::ios::binary | std::ios::ate);
  if (!file) return tail;
  const std::streamoff size = file.tellg();
  file.seekg(size > kLongestTail ? size - kLongestTail : 0);
  for (std::string line; std::getline(file, line);) {
    // A progress line is overwritten in place on terminals.
    if (const auto back = line.rfind('\r'); back != std::string::npos && back + 1 < line.size())
      line.erase(0, back + 1);
    if (line.starts_with(kAttemptMark)) {
      tail = {};
      lines = EngineLines(engine);
    }
    if (const auto at = line.find(kWorker); engine.empty() && at != std::string::npos)
      tail.message = line.substr(at + kWorker.size());
    if (!engine.empty()) lines.read(line, tail);
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

std::string reason_of(const Ended& ended, const std::filesystem::path& log,
                      const std::vector<std::string>& engine) {
  const Tail tail = tail_of(log, engine);
  const auto with = [&](const std::string& what) {
    const auto& more = !tail.message.empty()     ? tail.message
                       : !tail.exception.empty() ? tail.exception
                                                 : tail.last_line;
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
