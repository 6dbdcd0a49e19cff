// A handshake for tests that need a run at a certain point: killed, interrupted, near its time limit, beside
// another.
//
//   SHARDRIFT_HOLD=NAME:COUNT[:hung][,NAME:COUNT…]
//
// The run that writes NAME.h5 stops after the COUNT-th prompt that it puts on disk. It makes NAME.h5.held,
// which holds its process number, and goes on when NAME.h5.go is there or it is asked to stop. It holds once:
// not where NAME.h5.held is there already, so that a run that is started again goes through. To the watchdogs
// it waits for input; with :hung, for a device that does not answer. Of the bench that writes NAME.json,
// COUNT counts what it measures: it holds between a shape's passes and their phases.
#pragma once
#include <atomic>
#include <filesystem>
#include <string>

namespace shardrift {

class Hold {
 public:
  // Of the run that writes `output`. Throws usage_error where SHARDRIFT_HOLD cannot be read.
  explicit Hold(const std::filesystem::path& output);

  // This prompt was given to the writer. Returns at once unless it is the one to hold after.
  void after(const std::string& prompt, const std::atomic<bool>& stop);
  // Likewise at a place that writes nothing.
  void here(const std::atomic<bool>& stop);

 private:
  void hold(const std::atomic<bool>& stop) const;

  std::filesystem::path output_;
  bool hung_ = false;
  int left_ = 0;  // prompts until it holds; 0: it does not
};

}  // namespace shardrift
