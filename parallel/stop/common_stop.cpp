#include "parallel/stop/common_stop.hpp"

#include <algorithm>

#include "common/progress.hpp"

namespace shardrift {

void CommonStop::among(int first, int count, int me) {
  const std::lock_guard lock(mutex_);
  first_ = first;
  count_ = count;
  me_ = me;
}

bool CommonStop::knows_all() const {
  for (int rank = first_; rank < first_ + count_; ++rank)
    if (!promises_.contains(rank)) return false;
  return true;
}

bool CommonStop::step() {
  std::unique_lock lock(mutex_);
  ++step_;
  const auto mine = promises_.find(me_);
  if (mine == promises_.end() || step_ < mine->second) return false;
  if (!knows_all()) {
    const progress::Waiting waiting(progress::On::ranks, "the choice of a common step to stop at");
    heard_.wait(lock, [&] { return knows_all(); });
  }
  std::uint64_t last = 0;
  for (int rank = first_; rank < first_ + count_; ++rank) last = std::max(last, promises_.at(rank));
  return step_ >= last;
}

std::uint64_t CommonStop::promise() {
  const std::lock_guard lock(mutex_);
  if (count_ == 0) return 0;
  const auto [mine, fresh] = promises_.try_emplace(me_, step_ + 1);
  if (fresh) heard_.notify_all();
  return mine->second;
}

void CommonStop::hear(int rank, std::uint64_t promise) {
  if (promise == 0) return;
  const std::lock_guard lock(mutex_);
  if (promises_.try_emplace(rank, promise).second) heard_.notify_all();
}

}  // namespace shardrift
