#include "analysis/measure/pace.hpp"

#include <algorithm>
#include <cmath>

namespace shardrift::analysis {
namespace {

constexpr std::size_t kBlocks = 8;  // that a run is cut into

// The middle one, or the mean of the middle two.
double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Blocks of one replica's passes, as even as can be.
void add_blocks(const std::vector<double>& seconds, std::vector<double>& blocks) {
  const std::size_t count = std::min(kBlocks, seconds.size());
  for (std::size_t i = 0; i < count; ++i) {
    const auto begin = static_cast<std::ptrdiff_t>(i * seconds.size() / count);
    const auto end = static_cast<std::ptrdiff_t>((i + 1) * seconds.size() / count);
    blocks.push_back(median({seconds.begin() + begin, seconds.begin() + end}));
  }
}

}  // namespace

void TimedPasses::add(const record::PromptRecord& prompt) {
  if (prompt.rows.empty()) return;
  auto& process = processes_[prompt.replica];
  const std::pair first(prompt.rows.front().forward_call, prompt.rows.front().batch_row);
  if (first <= process.first) ++process.number;  // counted anew: the run was resumed
  process.first = first;
  for (const auto& row : prompt.rows) {
    if (!(row.seconds > 0) || !std::isfinite(row.seconds) || row.forward_rows <= 0) continue;
    auto& passes = row.phase == record::Phase::decode ? decode_ : prefill_;
    passes[prompt.replica][{process.number, row.forward_call}] = {row.forward_rows,
                                                                  row.seconds / row.forward_rows};
  }
}

Pace TimedPasses::pace() const {
  const auto& replicas = decode_.empty() ? prefill_ : decode_;
  Pace pace;
  pace.decode = !decode_.empty();
  std::vector<double> blocks;
  std::map<std::int32_t, std::int64_t> sizes;
  for (const auto& [replica, passes] : replicas)
    for (const auto& [which, one] : passes) ++sizes[one.rows];
  const auto usual = std::max_element(sizes.begin(), sizes.end(), [](const auto& a, const auto& b) {
    return a.second < b.second || (a.second == b.second && a.first < b.first);
  });
  for (const auto& [replica, passes] : replicas) {
    std::vector<double> seconds;
    for (const auto& [which, one] : passes)
      if (!pace.decode || one.rows == usual->first) seconds.push_back(one.seconds);
    pace.passes += static_cast<std::int64_t>(seconds.size());
    add_blocks(seconds, blocks);
  }
  if (blocks.empty()) return {};
  pace.seconds = median(blocks);
  pace.fastest = *std::min_element(blocks.begin(), blocks.end());
  pace.slowest = *std::max_element(blocks.begin(), blocks.end());
  return pace;
}

Pace pace_of(const record::Reader& run) {
  TimedPasses passes;
  for (const auto& id : run.prompt_ids()) passes.add(run.prompt(id));
  return passes.pace();
}

}  // namespace shardrift::analysis
