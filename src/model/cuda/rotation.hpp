// The rotation of a pair of elements. For device code only; every kernel that rotates shares it, and so the
// bits.
#pragma once
#include "model/scalar.hpp"

namespace shardrift::cuda {

template <typename T>
__device__ inline void rotate(T& first, T& second, float cosine_word, float sine_word) {
  using C = Compute<T>;
  const C cosine = static_cast<C>(cosine_word);
  const C sine = static_cast<C>(sine_word);
  const C a = static_cast<C>(first);
  const C b = static_cast<C>(second);
  first = static_cast<T>(fma(a, cosine, -(b * sine)));
  second = static_cast<T>(fma(b, cosine, a * sine));
}

}  // namespace shardrift::cuda
