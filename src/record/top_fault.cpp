#include "record/top_fault.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace shardrift::record {
namespace {

// Of one row's most likely tokens: distinct ones, whose probabilities are parts of one.
std::string fault_of_list(std::span<const std::int32_t> ids, std::span<const float> log_probabilities) {
  constexpr double kRounding = 0.01;  // servers give some digits of what 16 bits held
  std::vector<std::int32_t> sorted(ids.begin(), ids.end());
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
    return fmt::format("the list names token {} twice", *twice);
  double sum = 0;
  for (const float value : log_probabilities) sum += std::exp(static_cast<double>(value));
  if (sum > 1 + kRounding)
    return fmt::format("the probabilities of its list sum to {:.3g}, more than 1 (natural logarithms)", sum);
  return {};
}

// What row i chose beside its list.
std::string fault_of_choice(std::size_t i, std::int32_t chosen, std::span<const std::int32_t> ids,
                            std::span<const float> values) {
  const auto found = std::find(ids.begin(), ids.end(), chosen);
  if (found == ids.end())
    return fmt::format("row {} chose token {}, which is not in its list of the most likely tokens ({}{})", i,
                       chosen, ids[0], ids.size() > 1 ? ", …" : "");
  const auto own = values[static_cast<std::size_t>(found - ids.begin())];
  const auto most = std::max_element(values.begin(), values.end());
  if (own >= *most) return {};
  return fmt::format(
      "row {} chose token {} of log-probability {}, but its list of the most likely tokens has {} of {}", i,
      chosen, own, ids[static_cast<std::size_t>(most - values.begin())], *most);
}

}  // namespace

std::optional<std::string> fault_in_top(const PromptRecord& record) {
  const auto k = static_cast<std::size_t>(record.top.k);
  if (k == 0) return std::nullopt;
  const auto ids = [&](std::size_t i) { return std::span(record.top.ids.data() + i * k, k); };
  const auto values = [&](std::size_t i) {
    return std::span(record.top.log_probabilities.data() + i * k, k);
  };
  for (std::size_t i = 0; i < record.rows.size(); ++i)
    if (auto fault = fault_of_choice(i, record.rows[i].chosen, ids(i), values(i)); !fault.empty())
      return fault;
  for (std::size_t i = 0; i < record.rows.size(); ++i) {
    for (std::size_t j = 0; j < k; ++j)
      if (const float value = values(i)[j]; !(value <= 1e-3F) || (j > 0 && value > values(i)[j - 1]))
        return fmt::format(
            "row {}: {} at place {} is no log-probability, or no descending one (natural logarithms, "
            "most likely first)",
            i, value, j);
    if (const auto fault = fault_of_list(ids(i), values(i)); !fault.empty())
      return fmt::format("row {}: {}", i, fault);
  }
  return std::nullopt;
}

}  // namespace shardrift::record
