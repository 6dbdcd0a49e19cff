// One thread a rank that notices what would else be waited for for ever: a rank that stopped, died or makes
// no progress, a collective library's own error. It also carries signals from rank to rank. It makes no MPI
// call but MPI_Abort.
//
// Time is counted in its own ticks: a job that is suspended as a whole counts none.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "parallel/stop/common_stop.hpp"
#include "parallel/transport/heartbeat.hpp"

namespace shardrift {

class Watchdog {
 public:
  Watchdog(int rank, std::unique_ptr<Heartbeat> heartbeat, std::vector<std::string> hosts,
           std::vector<std::string> introductions);
  ~Watchdog();  // says goodbye: what happens to this rank from now on is no fault
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Ranks that were not heard from yet, after waiting for them a while.
  std::vector<int> unheard();
  // Some ranks do not hear each other: a silent rank is no fault then.
  void trust_no_silence() { blind_ = true; }
  bool is_blind() const { return blind_; }
  void set_timeout(int seconds) { timeout_ = seconds; }  // 0: silent and standing ranks are no fault
  void leave();                                          // the destructor's goodbye, earlier
  // As CommonStop's.
  void steps_among(int first, int count);
  bool step() { return stop_.step(); }

 private:
  struct Peer {
    std::atomic<bool> heard{false};
    bool died = false;
    bool leaving = false;
    int silent = 0;  // ticks
    Beat last;
  };
  void wake() const;
  void work();
  void tick();
  void hear(const Beat& beat);
  void look_for_deaths();
  void see_death(int rank);
  void settle_stops();
  void judge();
  bool elected() const;
  int ticks_of(double seconds) const;
  Beat own_beat(bool leaving) const;
  std::string standing() const;
  std::string name(int rank) const;
  [[noreturn]] void end(int code, const std::string& message);

  int rank_;
  std::unique_ptr<Heartbeat> heartbeat_;
  std::vector<std::string> hosts_;
  std::vector<Peer> peers_;
  CommonStop stop_;
  std::atomic<int> timeout_;
  std::atomic<bool> blind_{false};
  std::atomic<bool> leaving_{false};
  std::atomic<int> heard_{0};  // ranks
  int timer_ = -1;
  int wake_ = -1;
  double tick_seconds_ = 0;
  std::uint64_t promise_ = 0;   // of stop_, told to others
  int quiet_ = 0;               // ticks without progress of any rank
  std::uint64_t own_done_ = 0;  // when last looked at
  double own_cpu_ = 0;          // seconds used when last counted as progress
  int dead_ = -1;               // the first rank that died
  bool end_comes_ = false;      // another rank said so
  int waited_for_end_ = 0;      // ticks
  int since_stop_ = -1;         // ticks since a stop was first asked for; -1: not yet
  std::thread thread_;
};

// What is polled beside the ranks: a library's communicator, say. `check` names an error, or gives "";
// `abort` lets go of whoever waits in it. Both are called by the watchdog's thread, between construction and
// the end of destruction.
class Polled {
 public:
  Polled(std::function<std::string()> check, std::function<void()> abort);
  ~Polled();
  Polled(const Polled&) = delete;
  Polled& operator=(const Polled&) = delete;

 private:
  int id_;
};

}  // namespace shardrift
