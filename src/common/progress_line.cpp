#include "common/progress_line.hpp"

#include <unistd.h>

#include <cstdio>

namespace shardrift {

ProgressLine::ProgressLine(bool enabled)
    : enabled_(enabled), terminal_(isatty(STDERR_FILENO) != 0), shown_(std::chrono::steady_clock::now()) {}

ProgressLine::~ProgressLine() {
  if (open_) std::fputc('\n', stderr);
}

void ProgressLine::show(const std::string& text, bool last) {
  if (!enabled_) return;
  const auto now = std::chrono::steady_clock::now();
  const auto pause = terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10000);
  if (!last && now - shown_ < pause) return;
  shown_ = now;
  std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", text.c_str());
  open_ = terminal_;
  std::fflush(stderr);
}

}  // namespace shardrift
