#include "common/progress.hpp"

#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "common/phase_listener.hpp"

namespace shardrift::progress {
namespace {

// Written by the main thread, read by the watchdog. A text and a number of two moments do no harm.
std::atomic<std::uint64_t> g_done{0};
std::atomic<const char*> g_what{"starting"};
std::atomic<std::int64_t> g_number{-1};
std::atomic<On> g_on{On::nothing};
std::atomic<const char*> g_in{""};
std::atomic<bool> g_ended{false};
std::atomic<const PhaseListener*> g_listener{nullptr};
// Of the thread's open scopes, the newest in the lowest bit: whether a range of at() is open in it.
thread_local std::uint64_t t_at = 0;

// Those of a scope, and those of at(), which end where the next begins or its scope ends.
void begin_range(const char* what, std::int64_t number) {
  if (const auto* listener = g_listener.load(std::memory_order_acquire)) listener->begin(what, number);
}
void end_range() {
  if (const auto* listener = g_listener.load(std::memory_order_acquire)) listener->end();
}
void end_at() {
  if ((t_at & 1U) != 0) end_range();
  t_at &= ~std::uint64_t{1};
}
void begin_scope(const char* what, std::int64_t number = -1) {
  begin_range(what, number);
  t_at <<= 1U;
}
void end_scope() {
  end_at();
  t_at >>= 1U;
  end_range();
}

void set(const char* what, std::int64_t number) {
  g_what.store(what, std::memory_order_relaxed);
  g_number.store(number, std::memory_order_relaxed);
  done();
}

const char* words(On on) {
  switch (on) {
    case On::input:
      return "waiting for input";
    case On::device:
      return "waiting for the device";
    case On::ranks:
      return "waiting for other ranks";
    default:
      return "";
  }
}

}  // namespace

void done(std::uint64_t amount) {
  g_done.fetch_add(amount, std::memory_order_relaxed);
}

void listen(const PhaseListener& listener) {
  static PhaseListener kept;
  kept = listener;
  g_listener.store(&kept, std::memory_order_release);
}

Doing::Doing(const char* what, std::int64_t number) : what_(g_what), number_(g_number) {
  begin_scope(what, number);
  set(what, number);
}

Doing::~Doing() {
  end_scope();
  set(what_, number_);
}

void at(const char* what, std::int64_t number) {
  end_at();
  if (g_listener.load(std::memory_order_relaxed) != nullptr) {
    begin_range(what, number);
    t_at |= 1U;
  }
  set(what, number);
}

Waiting::Waiting(On on, const char* in) : on_(g_on), in_(g_in) {
  g_in.store(in, std::memory_order_relaxed);
  g_on.store(on, std::memory_order_relaxed);
  begin_scope(in);
}

Waiting::~Waiting() {
  end_scope();
  while (g_ended) std::this_thread::sleep_for(std::chrono::seconds(1));
  g_on.store(on_, std::memory_order_relaxed);
  g_in.store(in_, std::memory_order_relaxed);
  done();
}

State state() {
  State state;
  state.done = g_done.load(std::memory_order_relaxed);
  state.on = g_on.load(std::memory_order_relaxed);
  state.text = g_what.load(std::memory_order_relaxed);
  if (const auto number = g_number.load(std::memory_order_relaxed); number >= 0)
    state.text += fmt::format(" {}", number);
  if (state.on != On::nothing)
    state.text += fmt::format(": {} in {}", words(state.on), g_in.load(std::memory_order_relaxed));
  return state;
}

void end_waits() {
  g_ended = true;
}

}  // namespace shardrift::progress
