#include "common/progress.hpp"

#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace shardrift::progress {
namespace {

// Written by the main thread, read by the watchdog. A text and a number of two moments do no harm.
std::atomic<std::uint64_t> g_done{0};
std::atomic<const char*> g_what{"starting"};
std::atomic<std::int64_t> g_number{-1};
std::atomic<On> g_on{On::nothing};
std::atomic<const char*> g_in{""};
std::atomic<bool> g_ended{false};

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

Doing::Doing(const char* what, std::int64_t number) : what_(g_what), number_(g_number) {
  at(what, number);
}

Doing::~Doing() {
  at(what_, number_);
}

void at(const char* what, std::int64_t number) {
  g_what.store(what, std::memory_order_relaxed);
  g_number.store(number, std::memory_order_relaxed);
  done();
}

Waiting::Waiting(On on, const char* in) : on_(g_on), in_(g_in) {
  g_in.store(in, std::memory_order_relaxed);
  g_on.store(on, std::memory_order_relaxed);
}

Waiting::~Waiting() {
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
