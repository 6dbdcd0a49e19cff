// One progress line on stderr: rewritten in place on a terminal, every ten seconds in a log.
#pragma once
#include <chrono>
#include <string>

namespace shardrift {

class ProgressLine {
 public:
  explicit ProgressLine(bool enabled);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  void show(const std::string& text, bool last = false);

 private:
  bool enabled_;
  bool terminal_;
  bool open_ = false;  // a line without its newline is on the terminal
  std::chrono::steady_clock::time_point shown_;
};

}  // namespace shardrift
