#include "common/progress_line.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "common/standard_output.hpp"
#include "common/text_columns.hpp"

namespace shardrift {
namespace {

// One less than the terminal has: a full line would wrap and could not be rewritten.
std::size_t columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1U : 79U;
}

}  // namespace

ProgressLine::ProgressLine(Logs logs)
    : logs_(logs), terminal_(isatty(STDERR_FILENO) != 0), shown_(std::chrono::steady_clock::now()) {}

ProgressLine::~ProgressLine() {
  clear();
}

void ProgressLine::clear() {
  if (!open_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  open_ = false;
}

void ProgressLine::show(const std::string& text) {
  if (logs_ == Logs::off || (!terminal_ && logs_ == Logs::none)) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - shown_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10000))) return;
  shown_ = now;
  if (terminal_)
    std::fprintf(stderr, "\r\033[K%s", text.substr(0, columns()).c_str());
  else
    std::fprintf(stderr, "%s\n", text.c_str());
  std::fflush(stderr);
  open_ = terminal_;
}

void ProgressLine::say(const std::string& text) {
  clear();
  print(legible(text, Newlines::kept) + "\n");
}

}  // namespace shardrift
