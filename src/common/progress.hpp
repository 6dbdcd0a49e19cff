// What this process is doing and how much it has done: what the ranks' watchdogs tell each other, so that a
// rank that stopped is told from one that is slow. Noting costs an atomic store and sends nothing.
#pragma once
#include <cstdint>
#include <string>

namespace shardrift::progress {

// Something was done: bytes loaded, hashed, verified or assembled, a layer computed, a size probed. Any
// thread. Work on the CPU counts by itself; this is for what takes long without using it, and for devices.
void done(std::uint64_t amount = 1);

// What the main thread is at, until the scope ends: Doing loading("loading weights"). The text is a literal.
class Doing {
 public:
  explicit Doing(const char* what, std::int64_t number = -1);
  ~Doing();
  Doing(const Doing&) = delete;
  Doing& operator=(const Doing&) = delete;

 private:
  const char* what_;
  std::int64_t number_;
};
// The same without a scope, where it changes often: at("layer", 12), which counts as something done.
void at(const char* what, std::int64_t number = -1);

// On whom the main thread waits until the scope ends: while it waits, its use of the CPU is no progress.
// input: a file or a person that may come at any time, which is no stall however long it takes.
enum class On { nothing, input, device, ranks };
class Waiting {
 public:
  Waiting(On on, const char* in);
  ~Waiting();  // does not return once the run is being ended: nothing that was waited for is believed
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  On on_;
  const char* in_;
};

struct State {
  std::uint64_t done = 0;
  On on = On::nothing;
  std::string text;  // "layer 12: waiting for other ranks in an all-reduce"
};
State state();

// The watchdog ends the run: from here on no wait returns.
void end_waits();

}  // namespace shardrift::progress
