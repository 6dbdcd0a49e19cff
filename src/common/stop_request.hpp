// Signals that ask a program to stop: noted, so that it ends in order.
#pragma once
#include <atomic>

namespace shardrift {

// Stop at the next occasion, keep what is finished. Set by a signal here, or because another rank got one.
extern std::atomic<bool> stop_requested;

// SIGINT, SIGTERM, SIGHUP (unless nohup had it ignored) and SIGUSR1 set stop_requested. A second SIGINT or
// SIGTERM ends the process at once (interrupted): by itself, or by whoever reads the descriptor below; a
// third one does in any case.
void catch_stop_signals();

// For a stretch of work that others would wait for if this process ended within it: a second signal ends the
// process when this is destroyed.
class SecondSignalWaits {
 public:
  SecondSignalWaits();
  ~SecondSignalWaits();
  SecondSignalWaits(const SecondSignalWaits&) = delete;
  SecondSignalWaits& operator=(const SecondSignalWaits&) = delete;
};

// Readable after each such signal. Whoever reads it also looks at hurry_requested(), tells others and ends.
int stop_descriptor();
void stop_descriptor_is_read(bool read);
bool hurry_requested();

}  // namespace shardrift
