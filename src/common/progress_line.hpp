// One progress line on stderr: rewritten in place on a terminal and gone at the end.
#pragma once
#include <chrono>
#include <string>

namespace shardrift {

class ProgressLine {
 public:
  // What is shown where stderr is no terminal: a line every ten seconds, or none. `off`: nothing anywhere.
  enum class Logs { none, every_ten_seconds, off };

  explicit ProgressLine(Logs logs);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(const std::string& text);  // as often as one likes: what comes too soon is dropped
  // A line of its own, on stdout, with its newline. Throws failure where it cannot be written.
  void say(const std::string& text);

 private:
  void clear();

  Logs logs_;
  bool terminal_;
  bool open_ = false;  // the line stands on the terminal
  std::chrono::steady_clock::time_point shown_;
};

}  // namespace shardrift
