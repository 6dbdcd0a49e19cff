#include "model/cpu/threads.hpp"

#include "parallel/plan/dealing.hpp"

namespace shardrift {

Threads::Threads(int count) : count_(count) {
  for (int thread = 1; thread < count; ++thread) workers_.emplace_back([this, thread] { work(thread); });
}

Threads::~Threads() {
  stopping_ = true;
  ++generation_;
  generation_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void Threads::for_range(std::int64_t n, std::int64_t grain,
                        const std::function<void(std::int64_t, std::int64_t)>& body) {
  if (n <= 0) return;
  if (count_ == 1 || n < 2 * grain) {
    body(0, n);
    return;
  }
  n_ = n;
  body_ = &body;
  running_ = count_ - 1;
  ++generation_;
  generation_.notify_all();
  run_part(0);
  for (int left = running_; left != 0; left = running_) running_.wait(left);
}

void Threads::work(int thread) {
  std::uint32_t seen = 0;
  while (true) {
    generation_.wait(seen);
    seen = generation_;
    if (stopping_) return;
    run_part(thread);
    if (--running_ == 0) running_.notify_all();
  }
}

void Threads::run_part(int thread) const {
  const Range part = deal(n_, count_, thread);
  if (!part.empty()) (*body_)(part.begin, part.end);
}

}  // namespace shardrift
