// The scalar formulas of element-wise operations, one text for CPU and CUDA kernels. (Their libraries' exp
// and tanh differ in the last bit, so the two devices do.)
#pragma once
#include <cmath>

#include "common/host_device.hpp"
#include "model/scalar.hpp"
#include "weights/layer_spec.hpp"

namespace shardrift {

// Of a gate. gelu_tanh: torch's gelu(approximate="tanh"), 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)));
// gelu: 0.5 x (1 + erf(x / sqrt 2)).
template <typename C>
SHARDRIFT_DEVICE C activated_value(C x, Activation activation) {
  using std::erf, std::exp, std::tanh;
  switch (activation) {
    case Activation::gelu_tanh:
      return C(0.5) * x * (C(1) + tanh(C(0.7978845608028654) * (x + C(0.044715) * x * x * x)));
    case Activation::gelu:
      return C(0.5) * x * (C(1) + erf(x * C(0.7071067811865476)));
    case Activation::clamped_swish:
      return x / (C(1) + exp(C(-1.702) * x));
    case Activation::silu:
      break;
  }
  return x / (C(1) + exp(-x));
}

// act(gate) · up: the activated gate is rounded, then the product; clamped_swish is rounded once.
template <typename T>
SHARDRIFT_DEVICE T activated_product(T gate, T up, Activation activation, double limit) {
  using C = Compute<T>;
  C g = static_cast<C>(gate), u = static_cast<C>(up);
  if (activation != Activation::clamped_swish)
    return static_cast<T>(static_cast<C>(static_cast<T>(activated_value(g, activation))) * u);
  const C most = static_cast<C>(limit);
  g = g > most ? most : g;
  u = u > most ? most : u < -most ? -most : u;
  return static_cast<T>(activated_value(g, activation) * (u + C(1)));
}

// Of an element already divided by its row's root mean square.
template <typename T>
SHARDRIFT_DEVICE T normed_value(Compute<T> x, T weight, NormKind kind) {
  using C = Compute<T>;
  const C w = static_cast<C>(weight);
  switch (kind) {
    case NormKind::unrounded:
      return static_cast<T>(w * x);
    case NormKind::one_plus:
      return static_cast<T>((C(1) + w) * x);
    case NormKind::rounded:
      break;
  }
  return static_cast<T>(w * static_cast<C>(static_cast<T>(x)));
}

}  // namespace shardrift
