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

ClusteredValues::ClusteredValues(const std::vector<std::vector<double>>& values)
    : per_prompt_(values.size(), 0) {
  struct Value {
    double value;
    std::uint32_t prompt;
  };
  std::vector<Value> all;
  for (std::size_t j = 0; j < values.size(); ++j)
    for (const double value : values[j])
      if (!std::isnan(value)) {
        all.push_back({value, static_cast<std::uint32_t>(j)});
        ++per_prompt_[j];
      }
  std::sort(all.begin(), all.end(), [](const Value& a, const Value& b) {
    return a.value != b.value ? a.value < b.value : a.prompt < b.prompt;
  });
  sorted_.reserve(all.size());
  prompt_.reserve(all.size());
  for (const auto& value : all) {
    sorted_.push_back(value.value);
    prompt_.push_back(value.prompt);
  }
}

double ClusteredValues::percentile(double p, const std::vector<std::uint32_t>& drawn) const {
  std::int64_t total = 0;
  for (std::size_t j = 0; j < per_prompt_.size(); ++j)
    total += per_prompt_[j] * static_cast<std::int64_t>(drawn[j]);
  if (total == 0) return kNone;
  const double at = p * static_cast<double>(total - 1);
  const auto below = static_cast<std::int64_t>(at);
  const std::int64_t above = std::min(below + 1, total - 1);
  std::int64_t seen = 0;
  double low = kNone;
  bool found_low = false;
  for (std::size_t i = 0; i < sorted_.size(); ++i) {
    seen += drawn[prompt_[i]];
    if (!found_low && seen > below) {
      low = sorted_[i];
      found_low = true;
    }
    if (seen > above) return between(low, sorted_[i], at - static_cast<double>(below));
  }
  return low;
}

}  // namespace shardrift::statistics
