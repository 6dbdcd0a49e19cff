// The CPU device with one fault planted in what it computes, after weights are loaded: records say nothing of
// it. For dense models on one rank of one stage, without empty shards.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "tests/unit/model/counting_backend.hpp"
#include "weights/model_config.hpp"

namespace shardrift::testing {

enum class FaultKind {
  none,
  transposed_in,   // a shard's columns of queries, keys, values, or of gate and up, lie as their transpose
                   // would
  transposed_out,  // … of o_proj, down_proj
  other_weights,   // all of a shard's weights are those of another checkpoint: every one 6% off
  dropped_bias,    // the bias of a column-parallel product is not added
  stale_cache,     // a token's keys and values are not written: what lay there before stays
  wrong_position,  // decode passes rotate by the position before
};

struct Fault {
  FaultKind kind = FaultKind::none;
  std::int64_t layer = 0;
  std::int64_t shard = 0;
  Block block = Block::attention;
  std::int32_t position = 0;  // of stale_cache
};

class FaultyDevice final : public CountingBackend {
 public:
  // planted: counts how often the fault did something.
  FaultyDevice(const Fault& fault, const ModelConfig& config, const Plan& plan, int& planted);

  void linear(const Matrix& x, const Weight& weight, const Matrix& out) override;
  void add(const Matrix& to, const Matrix& delta) override;
  void rope_and_cache(const Matrix& qkv, std::int64_t query_heads, const RopeView& rope,
                      const RowIndex& index, const CacheView& cache) override;

 private:
  struct Product {
    std::int64_t layer = 0;
    Block block = Block::attention;
    std::int64_t shard = 0;
    bool in = true;
  };
  const Product* product_of(const Weight& weight);
  bool is_target(const Product& product) const;
  std::vector<std::byte>& altered(const Weight& weight);

  Fault fault_;
  std::int64_t layers_, shards_;
  std::vector<Product> order_;                 // in which a pass takes the products
  std::map<const void*, std::size_t> places_;  // of weights seen
  std::map<const void*, std::vector<std::byte>> altered_;
  const void* biased_ = nullptr;  // what the target's product wrote last
  std::int64_t ropes_ = 0;
  int& planted_;
};

}  // namespace shardrift::testing
