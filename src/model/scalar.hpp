// From a run-time dtype to a C++ element type, on hosts and devices.
#pragma once
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <type_traits>

#include "common/dtype.hpp"

namespace shardrift {

// What an operation computes in.
template <typename T>
using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;

// visit_dtype(dtype, [&]<typename T>() { … });
template <typename F>
decltype(auto) visit_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::float64:
      return f.template operator()<double>();
    case DType::float16:
      return f.template operator()<c10::Half>();
    case DType::bfloat16:
      return f.template operator()<c10::BFloat16>();
    case DType::float32:
    case DType::tf32:
      break;
  }
  return f.template operator()<float>();
}

}  // namespace shardrift
