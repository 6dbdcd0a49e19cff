#include "parallel/reduction/reduction.hpp"

#include "common/error.hpp"

namespace shardrift {

std::string_view name_of(ReductionOrder order) {
  return order == ReductionOrder::native ? "native" : "linear";
}

std::string_view name_of(Accumulator accumulator) {
  switch (accumulator) {
    case Accumulator::message:
      return "message";
    case Accumulator::float32:
      return "float32";
    case Accumulator::float64:
      break;
  }
  return "float64";
}

ReductionOrder reduction_order_from_name(std::string_view name) {
  for (const auto order : {ReductionOrder::native, ReductionOrder::linear})
    if (name == name_of(order)) return order;
  throw usage_error("unknown --reduction '{}': this version has native and linear", name);
}

Accumulator accumulator_from_name(std::string_view name) {
  for (const auto accumulator : {Accumulator::message, Accumulator::float32, Accumulator::float64})
    if (name == name_of(accumulator)) return accumulator;
  throw usage_error("unknown --accumulate '{}': use message, float32 or float64", name);
}

}  // namespace shardrift
