// Of a mixture's pairs of a row and one of its experts: which are multiplied at once, without the host's
// seeing where a row goes. The bits are those of an expert's rows by themselves, where a row's bits are its
// own (--products fixed).
#pragma once
#include <algorithm>
#include <cstdint>

#include "parallel/plan/plan.hpp"

namespace shardrift {

// Whether the plan's device can; GPUs have it for numbers of 16 bits.
inline bool groups_experts(const Plan& plan) {
  return plan.products == Products::fixed && (plan.device == Device::cpu || size_of(plan.dtype) == 2);
}

// Rows of a pass that go through mixtures of `active` experts a row so; at most: 0, none. All rows of a
// decode pass, which has as many as there are slots; of prefills as few as make no difference.
inline std::int64_t grouped_rows(const Plan& plan, std::int64_t rows, std::int64_t slots,
                                 std::int64_t active) {
  constexpr std::int64_t kFewPairs = 64;
  if (!groups_experts(plan)) return 0;
  return std::min(rows, std::max(slots, kFewPairs / active));
}

}  // namespace shardrift
