#include "parallel/transport/watchdog.hpp"

#include <fmt/ranges.h>
#include <mpi.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <mutex>

#include "common/error.hpp"
#include "common/progress.hpp"
#include "common/stop_request.hpp"

namespace shardrift {
namespace {

constexpr int kDefaultTimeout = 60;  // seconds
// Noticed somewhat before the time is over, so that all have ended when it is.
constexpr double kNoticed = 0.85;
constexpr double kLongestTick = 0.5;    // seconds
constexpr double kLauncherTakes = 1.5;  // seconds: a launcher ends the ranks of a job in which one died
constexpr double kCpuProgress = 0.002;  // seconds of CPU time that count as progress

double seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}
// The CPU time of all threads but this one.
double cpu_seconds() {
  return seconds_of(CLOCK_PROCESS_CPUTIME_ID) - seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

void consume(int descriptor) {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(descriptor, &count, sizeof count);
}

struct PolledCalls {
  std::function<std::string()> check;
  std::function<void()> abort;
};
std::mutex g_polled_mutex;
std::map<int, PolledCalls> g_polled;
int g_next_polled = 0;

std::string polled_error() {
  const std::lock_guard lock(g_polled_mutex);
  for (const auto& [id, calls] : g_polled)
    if (auto error = calls.check(); !error.empty()) return error;
  return "";
}

}  // namespace

Polled::Polled(std::function<std::string()> check, std::function<void()> abort) {
  const std::lock_guard lock(g_polled_mutex);
  id_ = g_next_polled++;
  g_polled[id_] = {std::move(check), std::move(abort)};
}

Polled::~Polled() {
  const std::lock_guard lock(g_polled_mutex);
  g_polled.erase(id_);
}

Watchdog::Watchdog(int rank, std::unique_ptr<Heartbeat> heartbeat, std::vector<std::string> hosts,
                   std::vector<std::string> introductions)
    : rank_(rank),
      heartbeat_(std::move(heartbeat)),
      hosts_(std::move(hosts)),
      peers_(hosts_.size()),
      timeout_(kDefaultTimeout),
      timer_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  heartbeat_->meet(rank, introductions);
  stop_descriptor_is_read(true);
  // Signals are for the other threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { work(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Watchdog::~Watchdog() {
  leave();
  close(timer_);
  close(wake_);
}

void Watchdog::leave() {
  if (!thread_.joinable()) return;
  leaving_ = true;
  wake();
  thread_.join();
  stop_descriptor_is_read(false);
}

void Watchdog::wake() const {
  constexpr std::uint64_t kOne = 1;
  [[maybe_unused]] const auto written = write(wake_, &kOne, sizeof kOne);
}

void Watchdog::steps_among(int first, int count) {
  stop_.among(first, count, rank_);
  // A stop that was asked for earlier is not to be run away from.
  if (stop_requested && !blind_) stop_.promise();
  wake();
}

std::vector<int> Watchdog::unheard() {
  constexpr auto kLongest = std::chrono::seconds(5);
  const auto begin = std::chrono::steady_clock::now();
  while (heard_ + 1 < static_cast<int>(peers_.size()) && std::chrono::steady_clock::now() - begin < kLongest)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::vector<int> ranks;
  if (heard_ + 1 < static_cast<int>(peers_.size()))
    for (std::size_t rank = 0; rank < peers_.size(); ++rank)
      if (static_cast<int>(rank) != rank_ && !peers_[rank].heard) ranks.push_back(static_cast<int>(rank));
  return ranks;
}

std::string Watchdog::name(int rank) const {
  return fmt::format("rank {} on {}", rank, hosts_[static_cast<std::size_t>(rank)]);
}

int Watchdog::ticks_of(double seconds) const {
  return std::max(1, static_cast<int>(seconds / tick_seconds_));
}

Beat Watchdog::own_beat(bool leaving) const {
  const auto state = progress::state();
  Beat beat;
  beat.done = state.done;
  beat.on = static_cast<std::uint8_t>(state.on);
  std::strncpy(beat.text, state.text.c_str(), Beat::kText - 1);
  beat.promise = promise_;
  beat.dead = dead_;
  beat.stop = stop_requested ? 1 : 0;
  beat.hurry = hurry_requested() ? 1 : 0;
  beat.leaving = leaving ? 1 : 0;
  return beat;
}

void Watchdog::work() {
  const auto set_timer = [&] {
    const int timeout = timeout_;
    const double tick = timeout == 0 ? kLongestTick : std::min(kLongestTick, timeout / 20.0);
    if (tick == tick_seconds_) return;
    tick_seconds_ = tick;
    itimerspec every{};
    every.it_interval.tv_nsec = static_cast<long>(tick * 1e9) % 1000000000;
    every.it_interval.tv_sec = static_cast<time_t>(tick);
    every.it_value = every.it_interval;
    timerfd_settime(timer_, 0, &every, nullptr);
    quiet_ = 0;
    for (auto& peer : peers_) peer.silent = 0;
  };
  set_timer();
  heartbeat_->send(own_beat(false));
  while (!leaving_) {
    std::vector<pollfd> waited{{timer_, POLLIN, 0},
                               {heartbeat_->descriptor(), POLLIN, 0},
                               {wake_, POLLIN, 0},
                               {stop_descriptor(), POLLIN, 0}};  // a negative one is left out
    for (std::size_t rank = 0; rank < peers_.size(); ++rank)
      waited.push_back({heartbeat_->process_of(static_cast<int>(rank)), POLLIN, 0});
    poll(waited.data(), waited.size(), -1);
    if (leaving_) break;
    if (waited[2].revents != 0) consume(wake_);
    if (waited[3].revents != 0) consume(stop_descriptor());
    // First what was said, then who died: a rank that ends in order says so before.
    while (const auto beat = heartbeat_->receive()) hear(*beat);
    look_for_deaths();
    settle_stops();
    if (waited[0].revents != 0) {
      consume(timer_);  // however many times it ran out meanwhile
      set_timer();
      tick();
      judge();
    }
  }
  for (int i = 0; i < 2; ++i) heartbeat_->send(own_beat(true));
}

void Watchdog::hear(const Beat& beat) {
  Peer& peer = peers_[static_cast<std::size_t>(beat.from)];
  if (!peer.heard) {
    peer.heard = true;
    ++heard_;
    heartbeat_->send(own_beat(false));  // it may not have heard this rank
  }
  if (beat.done != peer.last.done || static_cast<progress::On>(beat.on) == progress::On::input) quiet_ = 0;
  peer.silent = 0;
  peer.leaving = peer.leaving || beat.leaving != 0;
  peer.last = beat;
  stop_.hear(beat.from, beat.promise);
  if (beat.stop != 0) stop_requested = true;
  if (beat.ending != 0) end_comes_ = true;
  if (beat.hurry != 0) end(static_cast<int>(ExitCode::interrupted), "");
  if (beat.dead >= 0 && beat.dead < static_cast<int>(peers_.size()) && beat.dead != rank_)
    see_death(beat.dead);
}

// pidfds of the ranks of this machine.
void Watchdog::look_for_deaths() {
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    const int rank = static_cast<int>(i);
    pollfd process{heartbeat_->process_of(rank), POLLIN, 0};
    if (process.fd < 0 || poll(&process, 1, 0) != 1) continue;
    heartbeat_->forget_process(rank);
    while (const auto beat = heartbeat_->receive()) hear(*beat);  // said before it ended
    see_death(rank);
  }
}

void Watchdog::see_death(int rank) {
  Peer& peer = peers_[static_cast<std::size_t>(rank)];
  if (peer.leaving || peer.died) return;
  peer.died = true;
  if (dead_ >= 0) return;
  dead_ = rank;
  heartbeat_->send(own_beat(false));
  // A launcher that was told to end the job kills who does not end by itself: no news.
  const bool launcher_ends_all = since_stop_ >= ticks_of(kLauncherTakes / 3);
  if (elected() && !launcher_ends_all) {
    std::fprintf(stderr, "shardrift-run: %s died; it was at: %s, and %s is at: %s; all ranks are ended\n",
                 name(rank).c_str(), peer.last.text, name(rank_).c_str(), progress::state().text.c_str());
    std::fflush(stderr);
  }
}

// Does the word fall to this rank? To the lowest that lives and is heard.
bool Watchdog::elected() const {
  for (int rank = 0; rank < rank_; ++rank) {
    const Peer& peer = peers_[static_cast<std::size_t>(rank)];
    const int timeout = timeout_ == 0 ? kDefaultTimeout : timeout_.load();
    const bool silent = peer.silent > ticks_of(kNoticed * timeout / 2);
    if (peer.heard && !peer.died && !peer.leaving && !silent) return false;
  }
  return true;
}

void Watchdog::settle_stops() {
  if (!stop_requested) return;
  if (hurry_requested())
    end(static_cast<int>(ExitCode::interrupted), fmt::format("{}: ended by a second signal", name(rank_)));
  const auto promise = blind_ ? 0 : stop_.promise();
  const bool news = since_stop_ < 0 || promise != promise_;
  promise_ = promise;
  since_stop_ = std::max(since_stop_, 0);
  if (news) heartbeat_->send(own_beat(false));  // and again with every tick
}

void Watchdog::tick() {
  ++quiet_;
  if (since_stop_ >= 0) ++since_stop_;
  for (auto& peer : peers_) ++peer.silent;
  auto state = progress::state();
  if (const double cpu = cpu_seconds(); state.on == progress::On::nothing && cpu - own_cpu_ >= kCpuProgress) {
    own_cpu_ = cpu;
    progress::done();
    state = progress::state();
  }
  if (state.done != own_done_ || state.on == progress::On::input) quiet_ = 0;
  own_done_ = state.done;
  heartbeat_->send(own_beat(false));
  if (state.on != progress::On::nothing) own_cpu_ = cpu_seconds();
}

// Who holds the run up: ranks that do not wait for others, or all where all do.
std::string Watchdog::standing() const {
  std::vector<std::string> waiting;
  std::vector<std::string> others;
  for (int rank = 0; rank < static_cast<int>(peers_.size()); ++rank) {
    const Beat& last = peers_[static_cast<std::size_t>(rank)].last;
    const auto state = progress::state();
    const auto on = rank == rank_ ? state.on : static_cast<progress::On>(last.on);
    const std::string text = rank == rank_ ? state.text : last.text;
    (on == progress::On::ranks ? waiting : others).push_back(fmt::format("{}: {}", name(rank), text));
  }
  return fmt::format("{}", fmt::join(others.empty() ? waiting : others, "; "));
}

void Watchdog::judge() {
  constexpr auto kFailure = static_cast<int>(ExitCode::failure);
  if (const auto error = polled_error(); !error.empty())
    end(kFailure, fmt::format("{}: {}; it was at: {}", name(rank_), error, progress::state().text));
  // Another rank or the launcher does it, or this rank does.
  if (dead_ >= 0 || end_comes_) {
    if (++waited_for_end_ > ticks_of(kLauncherTakes)) end(kFailure, "");
    return;
  }
  const int timeout = timeout_;
  if (timeout == 0 || blind_) return;
  const int limit = ticks_of(kNoticed * timeout);
  // Another rank has the word; where it does not take it, this one does.
  const int mine = elected() ? limit : limit + ticks_of(std::max(2.0, 0.1 * timeout));
  for (int rank = 0; rank < static_cast<int>(peers_.size()); ++rank) {
    const Peer& peer = peers_[static_cast<std::size_t>(rank)];
    if (rank == rank_ || !peer.heard || peer.leaving || peer.died || peer.silent < mine) continue;
    end(kFailure,
        fmt::format("{} has not answered for {} s (stopped, or its host is lost); it was at: {}, and "
                    "{} is at: {}; all ranks are ended (--stall-timeout {})",
                    name(rank), timeout, peer.last.text, name(rank_), progress::state().text, timeout));
  }
  if (quiet_ >= mine)
    end(kFailure, fmt::format("no rank has made progress for {} s: {}; all ranks are ended (--stall-timeout "
                              "{})",
                              timeout, standing(), timeout));
}

void Watchdog::end(int code, const std::string& message) {
  if (!message.empty()) {
    std::fprintf(stderr, "shardrift-run: %s\n", message.c_str());
    std::fflush(stderr);
  }
  progress::end_waits();
  Beat last = own_beat(true);
  last.ending = 1;
  for (int i = 0; i < 2; ++i) heartbeat_->send(last);
  // Neither of these may hold the end up.
  std::thread([code] {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    _exit(code);
  }).detach();
  if (g_polled_mutex.try_lock()) {
    for (const auto& [id, calls] : g_polled) calls.abort();
    g_polled_mutex.unlock();
  }
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized == 0 && peers_.size() > 1) MPI_Abort(MPI_COMM_WORLD, code);
  _exit(code);
}

}  // namespace shardrift
