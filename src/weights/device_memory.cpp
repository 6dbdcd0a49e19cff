#include "weights/device_memory.hpp"

#include <algorithm>
#include <span>

#include "parallel/plan/prompt_groups.hpp"
#include "weights/attention_scratch.hpp"
#include "weights/grouped_experts.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kAligned = 256;  // where several buffers share one allocation

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAligned - 1) / kAligned * kAligned;
}

class Sizes {
 public:
  Sizes(const ModelConfig& config, const Plan& plan, const Place& place, const Capacity& capacity)
      : config_(config),
        plan_(plan),
        place_(place),
        capacity_(capacity),
        element_(static_cast<std::int64_t>(size_of(plan.dtype))),
        gathers_(plan.row_linear == RowLinear::gather && plan.shards > 1) {
    for (auto s = place.shards.begin; s < place.shards.end; ++s) {
      const auto shard = static_cast<int>(s);
      const auto heads = deal_heads(config.query_heads, config.kv_heads, plan.shards, shard);
      shards_.push_back({shard, heads.query.size() * config.head_dim, heads.kv.size() * config.head_dim,
                         deal_columns(config.intermediate, plan.shards, shard).size()});
    }
  }

  DeviceMemory all() const { return {element_ * weights(), cache(), buffers()}; }

 private:
  struct Shard {
    int index;
    std::int64_t queries, keys, columns;  // of queries, of keys (values alike), of a dense MLP
  };
  // What a shard has of a mixture.
  struct Experts {
    std::int64_t count, columns;  // of them
  };

  Experts experts_of(const ExpertsSpec& spec, int shard) const {
    if (plan_.expert_parallel) return {deal(spec.count, plan_.shards, shard).size(), spec.intermediate};
    return {spec.count, deal_columns(spec.intermediate, plan_.shards, shard).size()};
  }

  std::int64_t vocabulary_slice() const { return deal_vocabulary(config_.vocabulary, plan_.shards, 0).width; }

  std::int64_t layer(const LayerSpec& spec) const {
    const std::int64_t hidden = config_.hidden;
    const BlockSpec& attention = spec[Block::attention];
    const BlockSpec& mlp = spec[Block::mlp];
    const bool mixture = spec.experts.count > 0;
    std::int64_t count = 0;
    for (const BlockSpec* block : {&attention, &mlp})
      count += hidden * ((block->norm_before ? 1 : 0) + (block->norm_after ? 1 : 0) +
                         (block->output_bias && !(mixture && block == &mlp) ? 1 : 0));
    if (mixture) count += spec.experts.count * (hidden + (spec.experts.router_bias ? 1 : 0));
    if (spec.query_key_norm == QueryKeyNorm::per_head) count += 2 * config_.head_dim;
    if (spec.query_key_norm == QueryKeyNorm::per_row)
      count += (config_.query_heads + config_.kv_heads) * config_.head_dim;
    const std::int64_t own_rows = deal_vocabulary(hidden, plan_.shards, 0).width;  // gather: of an output
    const bool gathers = plan_.row_linear == RowLinear::gather;
    for (const Shard& shard : shards_) {
      const std::int64_t in = shard.queries + 2 * shard.keys;
      count += (hidden + (attention.input_bias ? 1 : 0)) * in;
      count += gathers ? own_rows * config_.query_heads * config_.head_dim : hidden * shard.queries;
      if (spec.sinks) count += shard.queries / config_.head_dim;
      const std::int64_t bias = mlp.input_bias ? 1 : 0;
      if (!mixture) {
        count += (hidden + bias) * 2 * shard.columns;
        count += gathers ? own_rows * config_.intermediate : hidden * shard.columns;
        continue;
      }
      const Experts experts = experts_of(spec.experts, shard.index);
      count += experts.count * (hidden + bias) * 2 * experts.columns;
      count += experts.count * (gathers ? own_rows * spec.experts.intermediate : hidden * experts.columns);
      // Biases of all experts, where they are added.
      if (mlp.output_bias && (plan_.expert_parallel || gathers || shard.index == 0))
        count += spec.experts.count * (gathers ? own_rows : hidden);
    }
    return count;
  }

  std::int64_t weights() const {
    std::int64_t count = 0;
    for (auto i = place_.layers.begin; i < place_.layers.end; ++i)
      count += layer(config_.specs[static_cast<std::size_t>(i)]);
    const std::int64_t vocabulary = place_.shards.size() * vocabulary_slice() * config_.hidden;
    if (place_.first_stage || (place_.last_stage && config_.tied_head)) count += vocabulary;
    if (place_.last_stage) count += config_.hidden + (config_.tied_head ? 0 : vocabulary);
    return count;
  }

  std::int64_t cache() const {
    std::int64_t heads = 0;
    for (const Shard& shard : shards_) heads += 2 * shard.keys;
    return place_.layers.size() * heads * capacity_.slots * capacity_.length * element_;
  }

  std::int64_t buffers() const {
    const std::int64_t rows = capacity_.rows;
    const std::int64_t stream = rows * config_.hidden;
    const auto hosted = static_cast<std::int64_t>(shards_.size());
    const auto partial = static_cast<std::int64_t>(size_of(partial_dtype(plan_.reduction, plan_.dtype)));
    std::int64_t bytes = 3 * stream * element_ + 4 * (4 * rows + capacity_.logit_rows);
    if (plan_.reduction.partial == PartialDType::rounded && element_ < 4) bytes += 4 * stream;
    std::int64_t partials = hosted * aligned(stream * partial);
    if (plan_.row_linear == RowLinear::scatter) {
      const std::int64_t padded = padded_count(stream, plan_.dtype, plan_.tensor_parallel) * element_;
      partials = std::max(partials, padded);
      bytes += padded / plan_.tensor_parallel;
    }
    bytes += partials;
    // What the ranks of a group read each other's partials from: two messages, taken in turns.
    if (plan_.collective != Collective::library && plan_.device == Device::cuda)
      bytes += 2 * aligned(stream * element_);
    const auto layers = stage_layers();
    const bool dense = std::any_of(layers.begin(), layers.end(),
                                   [](const LayerSpec& layer) { return layer.experts.count == 0; });
    for (const Shard& shard : shards_) {
      const std::int64_t columns = dense ? shard.columns : 0;
      bytes += rows * element_ * (shard.queries + 2 * shard.keys + 2 * columns);
      if (!gathers_) bytes += rows * element_ * (shard.queries + columns);
      if (spreads_attention(plan_, config_.head_dim))
        bytes += capacity_.slots *
                 attention_scratch(shard.queries / config_.head_dim, config_.head_dim, capacity_.length);
    }
    std::int64_t gathered = plan_.shards > 1 ? plan_.shards * aligned(stream * partial) : 0;
    const std::int64_t queries = config_.query_heads * config_.head_dim;
    if (gathers_) {
      std::int64_t widest = 0;
      for (int s = 0; s < plan_.shards; ++s) {
        const auto heads = deal_heads(config_.query_heads, config_.kv_heads, plan_.shards, s).query.size();
        widest = std::max(
            {widest, heads * config_.head_dim, deal_columns(config_.intermediate, plan_.shards, s).size()});
      }
      const std::int64_t slice = aligned(rows * widest * element_);
      bytes += hosted * slice + rows * std::max(queries, config_.intermediate) * element_;
      gathered = std::max(gathered, plan_.shards * slice);
    }
    if (norms_whole_rows()) {  // the shards' slices, and whole rows of queries and keys
      std::int64_t widest = 0;
      for (int s = 0; s < plan_.shards; ++s)
        widest =
            std::max(widest, deal_heads(config_.query_heads, config_.kv_heads, plan_.shards, s).query.size());
      const std::int64_t slice = aligned(rows * widest * config_.head_dim * element_);
      bytes += hosted * slice + rows * (queries + config_.kv_heads * config_.head_dim) * element_;
      gathered = std::max(gathered, plan_.shards * slice);
    }
    bytes += mixtures(partial, gathered);
    if (place_.last_stage) {
      const std::int64_t logit_rows = std::min(capacity_.logit_rows, kHeadRows);
      const auto logit = static_cast<std::int64_t>(size_of(plan_.logits_dtype));
      const std::int64_t slice = aligned(logit_rows * vocabulary_slice() * logit);
      bytes += logit_rows * config_.hidden * element_ + hosted * slice +
               logit_rows * config_.vocabulary * logit + 4 * capacity_.logit_rows;
      if (plan_.tensor_parallel > 1) gathered = std::max(gathered, plan_.shards * slice);
    }
    if (place_.first_stage && plan_.tensor_parallel > 1) bytes += 4 * config_.vocabulary;
    return bytes + gathered + ropes();
  }

  // Of the stage's mixtures: routes, each expert's rows and outputs, and one expert's columns at a time; the
  // same of each shard for all pairs that are multiplied at once.
  std::int64_t mixtures(std::int64_t partial, std::int64_t& gathered) const {
    std::int64_t count = 0, active = 0, experts = 0, intermediate = 0, inner = 0, slice = 0, tables = 0;
    for (const LayerSpec& layer : stage_layers()) {
      const ExpertsSpec& spec = layer.experts;
      if (spec.count == 0) continue;
      ++count;
      active = spec.active;
      experts = std::max(experts, spec.count);
      intermediate = std::max(intermediate, spec.intermediate);
      for (const Shard& shard : shards_) {
        const Experts here = experts_of(spec, shard.index);
        inner = std::max(inner, here.columns);
        if (here.count > 0) tables += 2 * spec.count;  // of gates and ups, of downs
      }
      for (int s = 0; s < plan_.shards; ++s)
        slice = std::max(slice, deal_columns(spec.intermediate, plan_.shards, s).size());
    }
    if (count == 0) return 0;
    const std::int64_t rows = capacity_.rows;
    const std::int64_t pairs = rows * active;
    const std::int64_t route_weight = plan_.dtype == DType::float64 ? 8 : 4;
    std::int64_t bytes = rows * experts * element_ + count * pairs * (4 + route_weight) + pairs * (4 + 8);
    bytes += pairs * config_.hidden * element_ + experts * kAligned;
    const std::int64_t output = gathers_ ? deal_vocabulary(config_.hidden, plan_.shards, 0).width * element_
                                         : config_.hidden * partial;
    bytes += pairs * output + experts * kAligned;
    const std::int64_t grouped = grouped_rows(plan_, rows, capacity_.slots, active) * active;
    bytes += rows * (2 * inner + (gathers_ ? intermediate : inner)) * element_;
    bytes += static_cast<std::int64_t>(shards_.size()) * grouped *
             ((gathers_ ? 2 : 3) * inner * element_ + output);
    constexpr std::int64_t kEntry = 24;  // of a table of experts
    if (grouped > 0) bytes += tables * kEntry;
    if (!gathers_) return bytes;
    const std::int64_t stride = aligned(pairs * slice * element_);
    gathered = std::max(gathered, plan_.shards * stride);
    return bytes + static_cast<std::int64_t>(shards_.size()) * stride + pairs * intermediate * element_;
  }

  std::span<const LayerSpec> stage_layers() const {
    return std::span(config_.specs)
        .subspan(static_cast<std::size_t>(place_.layers.begin),
                 static_cast<std::size_t>(place_.layers.size()));
  }

  // Cosines and sines of each kind of rope, float32.
  std::int64_t ropes() const {
    std::vector<RopeConfig> kinds;
    std::int64_t bytes = 0;
    for (auto i = place_.layers.begin; i < place_.layers.end; ++i) {
      const RopeConfig& rope = config_.specs[static_cast<std::size_t>(i)].rope;
      if (std::find(kinds.begin(), kinds.end(), rope) != kinds.end()) continue;
      kinds.push_back(rope);
      bytes += 4 * capacity_.length * (rope.rotated > 0 ? rope.rotated : config_.head_dim);
    }
    return bytes;
  }

  bool norms_whole_rows() const {
    return std::any_of(config_.specs.begin(), config_.specs.end(),
                       [](const LayerSpec& layer) { return layer.query_key_norm == QueryKeyNorm::per_row; });
  }

  const ModelConfig& config_;
  const Plan& plan_;
  const Place& place_;
  const Capacity& capacity_;
  std::int64_t element_;
  bool gathers_;
  std::vector<Shard> shards_;  // hosted
};

}  // namespace

bool spreads_attention(const Plan& plan, std::int64_t head_dim) {
  return plan.device == Device::cuda && has_tensor_attention(plan.dtype, head_dim);
}

Capacity capacity_of(const Plan& plan, const ModelConfig& config, bool decodes,
                     const std::vector<std::int64_t>& prompt_lengths, std::int64_t longest, int in_flight) {
  Capacity capacity;
  const std::int64_t together = decodes ? plan.batch : plan.prefill_batch;  // sequences of one pass
  capacity.slots = decodes ? together * in_flight : together;
  capacity.rows = together;
  for (const auto rows : prefill_rows(plan, prompt_lengths)) capacity.rows = std::max(capacity.rows, rows);
  capacity.logit_rows = decodes ? together : capacity.rows;
  capacity.length = std::min(config.max_positions, longest);
  return capacity;
}

DeviceMemory device_memory(const ModelConfig& config, const Plan& plan, const Place& place,
                           const Capacity& capacity) {
  return Sizes(config, plan, place, capacity).all();
}

DeviceMemory fullest_device(const ModelConfig& config, const Plan& plan, const Capacity& capacity) {
  const Plan whole = validated(plan, static_cast<int>(config.layers), world_size(plan));
  DeviceMemory fullest;
  for (int rank = 0; rank < plan.pipeline * plan.tensor_parallel; ++rank) {
    const auto memory = device_memory(config, whole, place_of(whole, rank), capacity);
    if (memory.total() > fullest.total()) fullest = memory;
  }
  return fullest;
}

}  // namespace shardrift
