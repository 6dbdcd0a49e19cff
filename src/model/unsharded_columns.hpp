// Where the columns of a hosted shard's matrices stand in the tensors of the unsharded model: what a trace
// sums checksums by, and a graft puts tensors of another sharding in by. A row of an unsharded tensor is
//
//   queries, keys, values      all query heads, all KV heads' keys, all KV heads' values (qkv; query_key_norm
//   and
//                              rope: without the values)
//   heads' outputs             all query heads (attention)
//   gates and ups              all gates, all ups (gate_up); activation: all columns
//   partials                   each shard's whole product, one shard after the other
//   logits                     the vocabulary, pads left out
//   everything else            as it is: every rank of a tensor-parallel group has all of it
#pragma once
#include <cstdint>
#include <vector>

#include "parallel/plan/dealing.hpp"
#include "parallel/plan/plan.hpp"
#include "record/operations.hpp"
#include "weights/model_config.hpp"

namespace shardrift {

// Columns of a shard's matrix that are columns index, index + 1, … of the unsharded tensor.
struct ColumnPiece {
  Range columns;
  std::int64_t index = 0;
  bool first_holder = true;  // false: of a KV head that a lower shard holds as well
};

// Whether every rank of a tensor-parallel group has the operation's whole output.
bool whole_everywhere(record::Operation operation);

class UnshardedColumns {
 public:
  UnshardedColumns(const ModelConfig& config, const Plan& plan, const Place& place);
  // s: which of this rank's shards. cols: of the matrix. Not of one expert's matrices.
  std::vector<ColumnPiece> of(record::Operation operation, std::size_t s, std::int64_t cols) const;
  // Columns of the unsharded tensor of which a shard's matrix has `cols`.
  std::int64_t width(record::Operation operation, std::int64_t cols) const;
  std::int64_t shard(std::size_t s) const { return shards_[s].shard; }  // of the plan's

 private:
  struct Shard {
    HeadShare heads;
    Range first_kv;  // of the model's KV heads: those that no lower shard holds
    Range columns;   // of the MLP
    Range vocabulary;
    std::int64_t shard = 0;
  };
  std::vector<ColumnPiece> of_heads(const Shard& shard, bool values) const;

  const ModelConfig& config_;
  int shard_count_;
  std::vector<Shard> shards_;  // hosted
};

}  // namespace shardrift
