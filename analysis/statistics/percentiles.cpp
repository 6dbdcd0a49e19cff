#include "analysis/statistics/percentiles.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace shardrift::statistics {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// Between two neighbours; equal ones first, since infinity minus infinity has no value.
double between(double low, double high, double fraction) {
  if (low == high || fraction == 0) return low;
  return low + (high - low) * fraction;
}

}  // namespace

double percentile_of_sorted(const std::vector<double>& sorted, double p) {
  if (sorted.empty()) return kNone;
  const double at = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return between(sorted[below], sorted[above], at - static_cast<double>(below));
}

double percentile(std::vector<double> values, double p) {
  values.erase(std::remove_if(values.begin(), values.end(), [](double v) { return std::isnan(v); }),
               values.end());
  std::sort(values.begin(), values.end());
  return percentile_of_sorted(values, p);
}

ClusteredValues::ClusteredValues(const std::vector<std::vector<double>>& values) : prompts_(values.size()) {
  struct Value {
    double value;
    std::uint32_t prompt;
  };
  std::vector<Value> all;
  for (std::size_t j = 0; j < values.size(); ++j)
    for (const double value : values[j])
      if (!std::isnan(value)) all.push_back({value, static_cast<std::uint32_t>(j)});
  std::sort(all.begin(), all.end(), [](const Value& a, const Value& b) {
    return a.value != b.value ? a.value < b.value : a.prompt < b.prompt;
  });
  sorted_.reserve(all.size());
  prompt_.reserve(all.size());
  for (const auto& value : all) {
    sorted_.push_back(value.value);
    prompt_.push_back(value.prompt);
  }
  block_ = std::max<std::size_t>(64, prompts_);
  blocks_ = (sorted_.size() + block_ - 1) / block_;
  before_.assign((blocks_ + 1) * prompts_, 0);
  for (std::size_t block = 0; block < blocks_; ++block) {
    std::uint32_t* after = &before_[(block + 1) * prompts_];
    std::copy_n(&before_[block * prompts_], prompts_, after);
    const std::size_t end = std::min((block + 1) * block_, prompt_.size());
    for (std::size_t i = block * block_; i < end; ++i) ++after[prompt_[i]];
  }
}

std::int64_t ClusteredValues::drawn_before(std::size_t block, const std::vector<std::uint32_t>& drawn) const {
  std::int64_t sum = 0;
  for (std::size_t j = 0; j < prompts_; ++j)
    sum += static_cast<std::int64_t>(before_[block * prompts_ + j]) * static_cast<std::int64_t>(drawn[j]);
  return sum;
}

double ClusteredValues::at(std::int64_t index, const std::vector<std::uint32_t>& drawn, double& next) const {
  // The last block with at most `index` values before it.
  std::size_t low = 0;
  std::size_t high = blocks_;
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    (drawn_before(middle, drawn) <= index ? low : high) = middle;
  }
  std::int64_t seen = drawn_before(low, drawn);
  std::size_t i = low * block_;
  while ((seen += drawn[prompt_[i]]) <= index) ++i;
  next = sorted_[i];
  for (std::size_t k = i + 1; seen == index + 1 && k < sorted_.size(); ++k) {
    if (drawn[prompt_[k]] == 0) continue;
    next = sorted_[k];
    break;
  }
  return sorted_[i];
}

double ClusteredValues::percentile(double p, const std::vector<std::uint32_t>& drawn) const {
  const std::int64_t total = prompts_ == 0 ? 0 : drawn_before(blocks_, drawn);
  if (total == 0) return kNone;
  const double place = p * static_cast<double>(total - 1);
  const auto below = static_cast<std::int64_t>(place);
  double above = kNone;
  const double low = at(below, drawn, above);
  return between(low, above, place - static_cast<double>(below));
}

}  // namespace shardrift::statistics
