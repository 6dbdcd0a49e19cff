// The order map by which one device folds a message, for every --reduction but native and profile: an order
// of our own (reduction.hpp) or a published one, of another program's all-reduce.
#pragma once
#include <cstdint>
#include <string>

#include "common/dtype.hpp"
#include "parallel/reduction/order_map.hpp"
#include "parallel/reduction/reduction.hpp"

namespace shardrift {

// Throws usage_error where a published order does not take a message of `count` elements of `dtype`.
OrderMap fold_order_map(const Reduction& reduction, int shards, std::int64_t count, DType dtype);

// Refuses, whatever the messages, numbers of shards that a published order never sums.
void check_published_shards(const Reduction& reduction, int shards);

// What adds such a message by a published order: "vllm" "0.33.0" "two-stage".
struct PublishedSum {
  std::string library;
  std::string version;
  std::string algorithm;
  std::string channels;  // NCCL: blocks; else empty
};
PublishedSum published_sum(const Reduction& reduction, int shards, std::int64_t count, DType dtype);

}  // namespace shardrift
