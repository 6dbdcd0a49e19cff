// The forward pass, written once for every plan: over the shards this rank hosts, the layers of its stage,
// and two transports. One device with S = 1 is the same code with nothing to exchange.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "model/backend.hpp"
#include "model/device_order_map.hpp"
#include "model/graft.hpp"
#include "model/landing.hpp"
#include "model/shard_weights.hpp"
#include "model/trace.hpp"
#include "parallel/transport/transport.hpp"
#include "weights/device_memory.hpp"

namespace shardrift {

// One pass over `tokens.size()` rows. Row i is token tokens[i] at positions[i] of sequence slots[i]; a
// sequence's rows lie together, in the order of their positions.
struct Pass {
  // -1 - i: the token chosen from logit row i of the pass before, which the host need not know yet (plans of
  // one stage)
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> slots;
  std::vector<std::int32_t> wanted;  // rows whose logits are asked for, ascending, at least one
  // [mixtures of the model, rows, active]: the experts that rows go to, ascending; empty: the routers' choice
  std::vector<std::int32_t> routes;
  bool decodes = false;  // one row a sequence: one of many passes alike, which a captured plan replays
  std::int64_t rows() const { return static_cast<std::int64_t>(tokens.size()); }
};

// The order map of a message of that many elements; asked once for each number of rows. A profile's, where
// the plan's order is profile; of the padded message's collective without its pads, where it is scattered.
// The experts that the rows of a pass went to, in each mixture of this stage; empty where it has none.
struct PassRoutes {
  std::span<const std::int32_t> experts;  // [mixtures, rows, active], of a row ascending
  std::span<const float> weights;         // likewise
};

using OrderMapSource = std::function<OrderMap(std::int64_t count, bool captured)>;

class Forward {
 public:
  // orders: needed where plan.reduction.needs_profile(); where it is empty, the order is the plan's own.
  Forward(const ModelConfig& config, const Plan& plan, const Place& place, const ModelWeights& weights,
          Backend& backend, Transport& tensor_group, Transport& stage_group, const Capacity& capacity,
          OrderMapSource orders = {});

  // What came of a pass, valid until its landing serves another.
  struct Outcome {
    std::span<const std::byte>
        logits;  // of the rows asked for, words of plan.logits_dtype [rows, vocabulary],
                 // on the writing rank (last stage, t = 0); elsewhere empty
    std::span<const std::int32_t>
        chosen;         // of each of those rows the token, or kNotFinite; on the last stage
    PassRoutes routes;  // on every rank
  };
  Outcome run(const Pass& pass) {
    begin(pass, own_);
    return end(own_);
  }

  // The same in two: enqueues all of it and, where the device is asynchronous, returns before it is done, …
  void begin(const Pass& pass, Landing& landing);
  // … and waits for it. Passes end in the order they began.
  Outcome end(Landing& landing) const;  // again: the same

  // What begin is made of, so that what the device does alone can be captured and replayed:
  // host to device: tokens, positions, slots, wanted rows, and the order maps of the pass's messages.
  void stage(const Pass& pass, Landing& landing);
  // From the tokens to the logits of the first kHeadRows rows asked for and the tokens they choose, on the
  // device and between devices. No host transfer, no allocation, no wait (but for what a trace reads, for
  // MPI, whose transport is the host's, and for routes where experts are not grouped).
  void compute();
  // Device to host: logits and tokens. Those of rows past the first kHeadRows (score) are computed here,
  // block by block, because they pass through one buffer.
  void fetch(Landing& landing);

  // Whether compute() of such a pass leaves the host out of it, so that it can be captured.
  bool is_the_devices_alone(const Pass& pass) const {
    return mixtures_.count == 0 || pass.rows() <= mixtures_.grouped_rows;
  }

  // From the next pass on, what it computes on the way is traced; null: no more. The trace must outlive it.
  void trace_to(Trace* trace) { trace_ = trace; }
  // … outputs of one operation are kept or replaced; null: no more. Likewise.
  void graft_with(Graft* graft) { graft_ = graft; }

 private:
  // forward.cpp: the pass
  void embed();
  void run_block(std::size_t layer, Block block);
  void project(std::size_t layer, std::size_t shard, const Matrix& x);
  const OwnedMatrix* norm_after(std::size_t layer, Block block) const;
  void attend(std::size_t layer, std::size_t shard, const Matrix& attended);
  void activate(std::size_t layer, std::size_t shard, const Matrix& x, const Matrix& activated);
  void product_in(std::size_t layer, Block block, std::size_t shard, const Matrix& x, const Matrix& out);
  void head(std::int64_t done);
  void each_shard(const std::function<void(std::size_t shard)>& work);
  void compute_or_replay();
  void finish_logits(const Matrix& slice);
  bool output(record::Operation operation, std::size_t layer, std::size_t shard, const Matrix& matrix);
  bool looked_into() const { return trace_ != nullptr || graft_ != nullptr; }

  // forward_norms.cpp: norms of queries and keys
  void norm_heads(std::size_t layer, std::size_t shard, const Matrix& qkv);
  void norm_whole_rows(std::size_t layer, std::int64_t rows);
  void norm_whole_rows(std::size_t layer, std::int64_t rows, bool keys);
  NormView norm_by(const OwnedMatrix& weight) const {
    return {&weight.view, config_.rms_norm_eps, config_.norm};
  }
  Matrix projected(std::size_t shard, std::int64_t rows) const {  // queries, keys, values
    return wide_[static_cast<std::size_t>(Block::attention)][shard].view.first_rows(rows);
  }

  // forward_experts.cpp: a mixture in place of an MLP
  struct ExpertRows {
    std::int64_t id = 0;
    Range pairs;              // its rows, ascending
    std::size_t input = 0;    // bytes from expert_inputs_ to its first row, a multiple of kAlignment
    std::int64_t output = 0;  // elements from expert_outputs_ to its first row, as aligned
  };
  void make_expert_buffers(std::size_t& gathered);
  void stage_routes(const Pass& pass);
  void fetch_routes(Landing& landing);
  PassRoutes fetched_routes(Landing& landing) const;
  void route(std::size_t layer, const Matrix& x);
  void sort_by_expert(const ExpertsSpec& spec, std::span<const std::int32_t> ids);
  void place_outputs();
  void each_shards_experts(const std::function<void(std::size_t shard)>& work);
  void run_experts(std::size_t layer, std::size_t shard, const Matrix& x);
  void run_sorted_experts(std::size_t layer, std::size_t shard);
  Matrix gathered_experts(std::size_t layer, std::int64_t rows);
  void multiply_sorted(const ShardLayer& shard, const Matrix& joined);
  void expert_inner(std::size_t layer, std::size_t shard, const ShardExpert& expert, const ExpertRows& rows,
                    const Matrix& inner);
  void combine(std::size_t layer, std::size_t shard, const Matrix& out);
  void observe_expert(record::Operation operation, std::size_t layer, std::size_t shard,
                      const ExpertRows& rows, const Matrix& matrix);
  Matrix input_of(const ExpertRows& expert) const;
  Matrix output_of(const ExpertRows& expert) const;
  std::byte* slice_of_experts(std::size_t layer, std::size_t shard) const;
  Range experts_here(std::size_t layer, std::size_t shard) const;

  // forward_grouped_experts.cpp: all of a pass's pairs at once
  struct ExpertTables {
    std::vector<ExpertTable> in, out;  // one a format: codes do not give every number
  };
  struct GroupedBuffers {
    Buffer wide, inner, outputs;  // of all pairs; inner: empty where it is gathered
  };
  ExpertTables tables_of(std::size_t layer, std::size_t shard);
  void make_grouped_buffers(std::int64_t inner);
  void run_grouped_experts(std::size_t layer, std::size_t shard, const Matrix& x);
  void multiply_out(std::size_t layer, std::size_t shard, const Matrix& inner);
  void multiply_grouped(const std::vector<ExpertTable>& tables, std::size_t layer, bool settled,
                        const Matrix& x, const Matrix& out);
  std::int64_t pairs() const { return index_.rows * mixtures_.active; }  // of the staged pass
  // One row of an expert's output, of one shard: its dtype and columns.
  Matrix expert_output_row() const {
    return {nullptr, 1, gathers_ ? hidden_columns_.width : config_.hidden,
            gathers_ ? plan_.dtype : partial_dtype_};
  }
  DType route_dtype() const { return plan_.dtype == DType::float64 ? DType::float64 : DType::float32; }
  bool is_mixture(std::size_t layer) const { return spec(layer).experts.count > 0; }

  // forward_sums.cpp: from the shards' inputs of a row-parallel linear to one tensor
  void row_product(std::size_t layer, Block block, std::size_t shard, const Matrix& x);
  void product_out(const Matrix& x, const Weight& weight, const Matrix& out);
  Matrix reduced(std::int64_t rows);
  void sum_by_scatter(const Matrix& message);
  Matrix gathered_product(std::size_t layer, Block block, std::int64_t rows);
  Matrix row_input(std::size_t layer, Block block, std::size_t shard, std::int64_t rows) const;
  Matrix partial(std::int64_t hosted, std::int64_t rows) const;
  bool folds() const;
  std::pair<std::int64_t, bool> order_key(std::int64_t rows) const {
    return {rows, captured_ && plan_.reduction.needs_profile()};
  }
  void prepare_maps(std::int64_t rows);
  void prepare_rounding(std::int64_t rows);

  CacheView cache(std::size_t layer, std::size_t shard) const;
  std::int64_t model_layer(std::size_t layer) const {
    return place_.layers.begin + static_cast<std::int64_t>(layer);
  }
  const LayerSpec& spec(std::size_t layer) const {
    return config_.specs[static_cast<std::size_t>(model_layer(layer))];
  }

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

  // forward_setup.cpp
  void make_shard_buffers();
  void make_gather_buffers(std::size_t& gathered);
  void make_norm_buffers(std::size_t& gathered);
  void make_head_buffers(std::size_t& gathered);

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
  Graft* graft_ = nullptr;
  bool gathers_;          // --row-linear gather with something to gather
  DType partial_dtype_;   // the model's, or float32
  bool rounds_partials_;  // --partial rounded, where there is something to round
  // By rows of the message and, of a profile's, whether it is captured; made when first staged.
  std::map<std::pair<std::int64_t, bool>, DeviceOrderMap> order_maps_;
  std::map<std::int64_t, DeviceOrderMap> rounding_maps_;

  Landing own_;  // run()'s
  // Passes that were captured, by what fixes their kernels, addresses and sizes: rows, logit rows, one
  // sequence, own sequences.
  std::map<std::tuple<std::int64_t, std::int64_t, bool, bool>, std::unique_ptr<CapturedWork>> captures_;
  bool captured_ = false;                 // the staged pass is replayed
  RowIndex index_;                        // of the staged pass
  std::int64_t logit_rows_ = 0;           // of the staged pass: wanted ones
  const std::int32_t* wanted_ = nullptr;  // device, [logit rows] of the staged pass
  Buffer index_buffer_;                   // int32: tokens, positions, slots, lengths, wanted rows of a pass
  Buffer chosen_;                         // int32 [capacity.logit_rows], where there is a head
  double embedding_scale_ = 1;
  struct RopeBuffers {
    RopeConfig rope;
    Buffer cosines, sines, frequencies;
    RopeView view;
  };
  std::vector<RopeBuffers> ropes_;       // one a kind that a layer of the stage has
  std::vector<std::size_t> layer_rope_;  // [layers of the stage]: which
  Buffer vocabulary_owner_;              // int32 [vocabulary]: tensor-parallel rank holding the token's row
  std::vector<std::vector<Buffer>> keys_, values_;  // [layers of the stage][hosted shards]
  std::vector<Buffer> attention_scratch_;           // [hosted shards], of the slots' rows; empty: not needed
  OwnedMatrix residual_, normed_, reduced_;         // [rows, hidden]
  bool normed_already_ = false;  // the block before has normed the stream for the one at hand
  OwnedMatrix product_;          // [rows, hidden] float32, before it is rounded
  // Of each block, one a hosted shard, its own aligned buffers: what the column-parallel products write
  // (queries, keys, values; gates, ups), and what the row-parallel product reads.
  std::array<std::vector<OwnedMatrix>, kBlocks.size()> wide_, inner_;
  Buffer partials_;         // hosted shards' partials, one aligned stride apart
  Buffer gathered_;         // all shards' partials, embeddings or logit slices
  OwnedMatrix head_input_;  // [head rows, hidden]
  Buffer head_slices_;
  OwnedMatrix logits_;  // [head rows, vocabulary]
  Columns vocabulary_;
  // A norm over all queries or keys of a row: who holds which columns (a KV head that two shards hold is the
  // lower one's), the hosted shards' slices, one aligned stride apart, and whole rows. By [keys].
  struct WholeRows {
    Columns columns;
    std::vector<Range> held;  // of each hosted shard: the columns of the whole row that it works with
    std::vector<Range> own;   // of each hosted shard: the columns of the whole row that its slice has
    OwnedMatrix rows;         // [rows, all heads · head_dim]
  };
  std::array<WholeRows, 2> whole_rows_;
  Buffer norm_slices_;
  Buffer scattered_;  // scatter: this rank's part of the sum
  // gather: who holds which columns of each block's inner matrix, and of hidden; the hosted shards' slices of
  // an input, one aligned stride apart; and all of it, [rows, K]
  std::array<Columns, kBlocks.size()> inner_columns_;
  Columns hidden_columns_;
  Buffer input_slices_, joined_;

  // Mixtures of the stage. Where a pass goes through one, its rows are sorted by expert into pairs of row and
  // expert.
  struct Mixtures {
    std::int64_t count = 0;                         // in this stage
    std::int64_t first = 0;                         // of the model's mixtures, which is the stage's first
    std::int64_t active = 0;                        // the same in all
    std::vector<std::int64_t> number;               // [layers of the stage]: which of the stage's; -1: none
    std::vector<Columns> inner;                     // gather, [count]
    std::int64_t grouped_rows = 0;                  // passes of up to so many rows are grouped
    std::vector<std::vector<ExpertTables>> tables;  // where they are: [count][hosted shards]
    std::vector<Buffer> table_buffers;
    std::vector<GroupedBuffers> grouped;  // [hosted shards], of grouped_rows
  };
  Mixtures mixtures_;
  bool given_routes_ = false;               // of the staged pass
  bool grouped_ = false;                    // likewise
  std::vector<std::int32_t> host_experts_;  // [rows, active] of the layer at hand
  std::vector<ExpertRows> expert_rows_;     // of the layer at hand: those that have rows, by id
  std::vector<std::int32_t> pair_rows_;     // [pairs]: rows of the pass
  std::vector<std::int64_t> pair_places_;   // [rows, active]: index into the pairs
  std::vector<std::int64_t> places_;        // [rows, active]: elements from expert_outputs_
  Buffer router_logits_;                    // [rows, experts] of the model's dtype
  Buffer routed_;                           // int32 [mixtures, rows, active] of the capacity's rows
  Buffer route_weights_;                    // likewise, float32 (float64 of float64)
  Buffer device_pair_rows_;                 // int32 [pairs]
  Buffer device_places_;                    // int64 [rows, active]
  Buffer expert_inputs_, expert_outputs_;
  Buffer expert_wide_, expert_inner_;     // of one expert at a time
  Buffer expert_slices_, expert_joined_;  // gather: of all pairs
};

}  // namespace shardrift
