// A reduction is a value: how S partials become one tensor (DESIGN section 3).
#pragma once
#include <string>
#include <string_view>

#include "common/dtype.hpp"

namespace shardrift {

// Which expression tree over the shards. Only the transport knows native's; every other is a local fold.
enum class ReductionOrder {
  native,  // the transport's own all-reduce (ncclAllReduce, MPI_Allreduce); needs one shard a rank
  linear,  // ((0 + 1) + 2) + … + (S-1)
};

// Where a sum rounds. message: to the partial's dtype after every add, as a collective's hops do.
enum class Accumulator { message, float32, float64 };

struct Reduction {
  ReductionOrder order = ReductionOrder::native;
  Accumulator accumulator = Accumulator::message;
  bool operator==(const Reduction&) const = default;
};

std::string_view name_of(ReductionOrder order);
std::string_view name_of(Accumulator accumulator);
ReductionOrder reduction_order_from_name(std::string_view name);  // usage_error on another name
Accumulator accumulator_from_name(std::string_view name);         // usage_error on another name

}  // namespace shardrift
