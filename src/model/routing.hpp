// A mixture's routing and the weighted sum of a row's experts, element by element: one text for CPU and CUDA
// kernels.
#pragma once
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "common/host_device.hpp"
#include "model/backend.hpp"
#include "model/scalar.hpp"

namespace shardrift {

// Orders NaN below all numbers.
template <typename C>
SHARDRIFT_DEVICE C rank_value(C logit) {
  return logit == logit ? logit : -static_cast<C>(INFINITY);
}

template <typename T>
SHARDRIFT_DEVICE void softmax_of(const T* logits, const std::int32_t* experts, std::int32_t active,
                                 Compute<T>* weights) {
  using C = Compute<T>;
  using std::exp;
  C top = static_cast<C>(logits[experts[0]]);
  for (std::int32_t n = 1; n < active; ++n) {
    const C value = static_cast<C>(logits[experts[n]]);
    top = value > top ? value : top;
  }
  C sum = 0;
  for (std::int32_t n = 0; n < active; ++n) sum += exp(static_cast<C>(logits[experts[n]]) - top);
  for (std::int32_t n = 0; n < active; ++n) weights[n] = exp(static_cast<C>(logits[experts[n]]) - top) / sum;
}

// logits: [spec.count] of one row; experts, weights: [spec.active].
template <typename T>
SHARDRIFT_DEVICE void route_row(const T* logits, const ExpertsSpec& spec, bool given, std::int32_t* experts,
                                Compute<T>* weights) {
  using C = Compute<T>;
  using std::exp;
  const auto count = static_cast<std::int32_t>(spec.count);
  const auto active = static_cast<std::int32_t>(spec.active);
  C top = rank_value(static_cast<C>(logits[0]));
  for (std::int32_t e = 1; e < count; ++e) {
    const C value = rank_value(static_cast<C>(logits[e]));
    top = value > top ? value : top;
  }
  if (!given) {
    // Each time the best of those that come after the one before, in the order of (logit descending, id).
    C last = static_cast<C>(INFINITY);
    std::int32_t last_id = -1;
    for (std::int32_t n = 0; n < active; ++n) {
      C best = 0;
      std::int32_t best_id = -1;
      for (std::int32_t e = 0; e < count; ++e) {
        const C value = rank_value(static_cast<C>(logits[e]));
        const bool after = value < last || (value == last && e > last_id);
        if (after && (best_id < 0 || value > best)) {
          best = value;
          best_id = e;
        }
      }
      last = best;
      last_id = best_id;
      std::int32_t at = n;  // ascending
      for (; at > 0 && experts[at - 1] > best_id; --at) experts[at] = experts[at - 1];
      experts[at] = best_id;
    }
  }
  if (spec.weights == RouteWeights::softmax_of_chosen) {
    softmax_of<T>(logits, experts, active, weights);
    return;
  }
  C sum = 0;
  for (std::int32_t e = 0; e < count; ++e) sum += exp(static_cast<C>(logits[e]) - top);
  C chosen = 0;
  for (std::int32_t n = 0; n < active; ++n) {
    weights[n] = exp(static_cast<C>(logits[experts[n]]) - top) / sum;
    chosen += weights[n];
  }
  if (spec.weights != RouteWeights::softmax_renormalized) return;
  if (chosen > 0) {
    for (std::int32_t n = 0; n < active; ++n) weights[n] /= chosen;
  } else {  // given experts, all of which this router's softmax gives 0: the same quotients
    softmax_of<T>(logits, experts, active, weights);
  }
}

// Of a partial of type P in a model of type T.
template <typename P, typename T>
inline constexpr bool can_be_partial = std::is_same_v<P, T> ||
                                       (std::is_same_v<P, float> && !std::is_same_v<T, double>);

template <typename P, typename T>
SHARDRIFT_DEVICE P combined_element(const ExpertOutputs& from, const Compute<P>* weights, std::int64_t row,
                                    std::int64_t columns, std::int64_t column) {
  using C = Compute<P>;
  C sum = 0;
  bool any = false;
  for (std::int64_t n = row * from.active; n < (row + 1) * from.active; ++n) {
    if (from.experts[n] < from.here.begin || from.experts[n] >= from.here.end) continue;
    const std::int64_t place = from.places == nullptr ? n * columns : from.places[n];
    P output = static_cast<const P*>(from.outputs)[place + column];
    if (from.bias.data != nullptr) {
      const T bias = static_cast<const T*>(from.bias.data)[from.experts[n] * from.bias.cols + column];
      output = static_cast<P>(static_cast<C>(output) + static_cast<C>(bias));
    }
    C term = weights[n] * static_cast<C>(output);
    if (from.sum == ExpertSum::model) term = static_cast<C>(static_cast<P>(term));
    sum = any ? sum + term : term;
    if (from.sum == ExpertSum::model) sum = static_cast<C>(static_cast<P>(sum));
    any = true;
  }
  return any ? static_cast<P>(sum) : static_cast<P>(-0.0F);
}

}  // namespace shardrift
