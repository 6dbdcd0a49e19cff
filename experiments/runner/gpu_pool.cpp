#include "experiments/runner/gpu_pool.hpp"

#include <algorithm>

namespace shardrift::runner {

std::vector<std::string> GpuPool::chosen(int count, int wanted) const {
  if (wanted >= 0) {
    const auto& id = all_.at(static_cast<std::size_t>(wanted));
    const bool is_free = std::find(free_.begin(), free_.end(), id) != free_.end();
    return is_free ? std::vector<std::string>{id} : std::vector<std::string>{};
  }
  if (static_cast<int>(free_.size()) < count) return {};
  return {free_.begin(), free_.begin() + count};
}

std::vector<std::string> GpuPool::take(int count, int wanted) {
  auto taken = chosen(count, wanted);
  for (const auto& id : taken) std::erase(free_, id);
  return taken;
}

void GpuPool::give_back(const std::vector<std::string>& ids) {
  free_.insert(free_.end(), ids.begin(), ids.end());
  const auto place = [&](const std::string& id) { return std::find(all_.begin(), all_.end(), id); };
  std::sort(free_.begin(), free_.end(), [&](const auto& a, const auto& b) { return place(a) < place(b); });
}

}  // namespace shardrift::runner
