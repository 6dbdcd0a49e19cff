// The forward pass, written once for every plan: over the shards this rank hosts, the layers of its stage,
// and two transports. One device with S = 1 is the same code with nothing to exchange.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "model/backend.hpp"
#include "model/device_order_map.hpp"
#include "model/shard_weights.hpp"
#include "model/trace.hpp"
#include "parallel/transport/transport.hpp"

namespace shardrift {

// One pass over `tokens.size()` rows. Row i is token tokens[i] at positions[i] of sequence slots[i].
struct Pass {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> slots;
  bool all_logits =
      false;  // logits of every row (score), else of the last row, or of all rows of a decode pass
  std::int64_t rows() const { return static_cast<std::int64_t>(tokens.size()); }
};

struct Capacity {
  std::int64_t rows = 0;        // of the largest pass
  std::int64_t logit_rows = 0;  // of the largest head product
  std::int64_t length = 0;      // positions of the KV cache
  std::int64_t slots = 1;       // sequences of the KV cache
};

// The order map of a message of that many elements; asked once for each number of rows. A profile's, where
// the plan's order is profile; of the padded message's collective without its pads, where it is scattered.
using OrderMapSource = std::function<OrderMap(std::int64_t count)>;

class Forward {
 public:
  // orders: needed where plan.reduction.needs_profile(); where it is empty, the order is the plan's own.
  Forward(const ModelConfig& config, const Plan& plan, const Place& place, const ModelWeights& weights,
          Backend& backend, Transport& tensor_group, Transport& stage_group, const Capacity& capacity,
          OrderMapSource orders = {});

  // Runs the pass. On the writing rank (last stage, t = 0) returns the logits of the rows asked for,
  // row-major words of plan.logits_dtype [logit rows, vocabulary], valid until the next call; elsewhere an
  // empty span.
  std::span<const std::byte> run(const Pass& pass);

  // From the next pass on, what it computes on the way is traced; null: no more. The trace must outlive it.
  void trace_to(Trace* trace) { trace_ = trace; }

  static constexpr std::int64_t kHeadRows =
      256;  // rows of one head product in score mode: a constant of the numerics

 private:
  void embed(const RowIndex& index);
  void attention_block(std::size_t layer, const RowIndex& index);
  void mlp_block(std::size_t layer, std::int64_t rows);
  void row_product(std::size_t layer, std::size_t shard, bool attention, const Matrix& x);
  void close_block(std::size_t layer, bool attention, std::int64_t rows);
  Matrix reduced(std::int64_t rows);
  void sum_by_scatter(const Matrix& message);
  Matrix gathered_product(std::size_t layer, bool attention, std::int64_t rows);
  Matrix row_input(const OwnedMatrix& own, std::size_t shard, std::int64_t rows, bool attention) const;
  void head(const Pass& pass);
  void head_product(std::int64_t first_row, std::int64_t done, std::int64_t rows, std::byte* host);
  Matrix partial(std::int64_t hosted, std::int64_t rows) const;
  const DeviceOrderMap& order_map(std::int64_t rows);
  const DeviceOrderMap& rounding_map(std::int64_t rows);
  std::int64_t model_layer(std::size_t layer) const {
    return place_.layers.begin + static_cast<std::int64_t>(layer);
  }
  CacheView cache(std::size_t layer, std::size_t shard) const;

  // How the columns of a matrix are dealt to the shards.
  struct Columns {
    std::int64_t count = 0;
    std::int64_t width = 0;  // of the widest slice
    Buffer offsets;          // int64 [shards + 1]
    std::size_t stride(std::int64_t rows, DType dtype) const;
  };
  template <typename Deal>
  Columns dealt_columns(std::int64_t count, const Deal& deal_to);
  // All shards' slices [rows][width], of which this rank has written its own to hosted.
  ColumnSlices all_slices(const void* hosted, std::size_t stride, const Columns& columns, std::int64_t width);

  const ModelConfig& config_;
  const Plan& plan_;
  const Place& place_;
  const ModelWeights& weights_;
  Backend& backend_;
  Transport& tensor_group_;  // the R ranks of this stage
  Transport& stage_group_;   // the P ranks with this t
  Capacity capacity_;
  OrderMapSource orders_;
  Trace* trace_ = nullptr;
  bool gathers_;                                       // --row-linear gather with something to gather
  DType partial_dtype_;                                // the model's, or float32
  bool rounds_partials_;                               // --partial rounded, where there is something to round
  std::map<std::int64_t, DeviceOrderMap> order_maps_;  // by rows of the message, made at first use
  std::map<std::int64_t, DeviceOrderMap> rounding_maps_;

  Buffer tokens_, positions_, slots_;  // int32 [capacity.rows]
  Buffer cosines_, sines_;
  Buffer vocabulary_owner_;  // int32 [vocabulary]: tensor-parallel rank holding the token's row
  std::vector<std::vector<Buffer>> keys_, values_;  // [layers of the stage][hosted shards]
  OwnedMatrix residual_, normed_, reduced_;         // [rows, hidden]
  OwnedMatrix product_;                             // [rows, hidden] float32, before it is rounded
  std::vector<OwnedMatrix> qkv_, attended_, gate_up_,
      activated_;           // one a hosted shard: its own aligned buffers
  Buffer partials_;         // hosted shards' partials, one aligned stride apart
  Buffer gathered_;         // all shards' partials, embeddings or logit slices
  OwnedMatrix head_input_;  // [head rows, hidden]
  Buffer head_slices_;
  OwnedMatrix logits_;  // [head rows, vocabulary]
  std::vector<std::byte> host_logits_;
  Columns vocabulary_;
  Buffer scattered_;  // scatter: this rank's part of the sum
  // gather: who holds which columns of the attention's output, of the MLP's activations and of hidden; the
  // hosted shards' slices of an input, one aligned stride apart; and all of it, [rows, K]
  Columns attended_columns_, activated_columns_, hidden_columns_;
  Buffer input_slices_, joined_;
};

}  // namespace shardrift
