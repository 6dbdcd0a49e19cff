// Forward's buffers: everything a pass needs, allocated once, at fixed addresses.
#include <algorithm>

#include "common/error.hpp"
#include "model/forward.hpp"
#include "model/rope.hpp"
#include "weights/attention_scratch.hpp"
#include "weights/grouped_experts.hpp"

namespace shardrift {

std::size_t Forward::Columns::stride(std::int64_t rows, DType dtype) const {
  return stride_of({nullptr, rows, width, dtype});
}

template <typename Deal>
Forward::Columns Forward::dealt_columns(std::int64_t count, const Deal& deal_to) {
  Columns columns;
  columns.count = count;
  std::vector<std::int64_t> offsets{0};
  for (int s = 0; s < plan_.shards; ++s) {
    const Range range = deal_to(s);
    columns.width = std::max(columns.width, range.size());
    offsets.push_back(range.end);
  }
  columns.offsets = uploaded(backend_, offsets);
  return columns;
}

Forward::Forward(const ModelConfig& config, const Plan& plan, const Place& place, const ModelWeights& weights,
                 Backend& backend, Transport& tensor_group, Transport& stage_group, const Capacity& capacity,
                 OrderMapSource orders)
    : config_(config),
      plan_(plan),
      place_(place),
      weights_(weights),
      backend_(backend),
      tensor_group_(tensor_group),
      stage_group_(stage_group),
      capacity_(capacity),
      orders_(std::move(orders)),
      gathers_(plan.row_linear == RowLinear::gather && plan.shards > 1),
      partial_dtype_(partial_dtype(plan.reduction, plan.dtype)),
      rounds_partials_(plan.reduction.partial == PartialDType::rounded &&
                       size_of(plan.dtype) < size_of(DType::float32)),
      own_(backend) {
  if (plan.reduction.needs_profile() && !orders_)
    throw usage_error("--reduction profile needs --collective-profile FILE: whose order is it to be?");
  index_buffer_ = Buffer(
      backend, static_cast<std::size_t>(4 * capacity.rows + capacity.logit_rows) * sizeof(std::int32_t));
  embedding_scale_ =
      config.embedding_scale_rounds ? rounded_to(plan.dtype, config.embedding_scale) : config.embedding_scale;
  residual_ = OwnedMatrix(backend, capacity.rows, config.hidden, plan.dtype);
  normed_ = OwnedMatrix(backend, capacity.rows, config.hidden, plan.dtype);
  reduced_ = OwnedMatrix(backend, capacity.rows, config.hidden, plan.dtype);
  if (rounds_partials_) product_ = OwnedMatrix(backend, capacity.rows, config.hidden, DType::float32);

  const std::int64_t hosted = place.shards.size();
  const std::size_t partial_stride = stride_of({nullptr, capacity.rows, config.hidden, partial_dtype_});
  std::size_t partials = static_cast<std::size_t>(hosted) * partial_stride;
  if (plan.row_linear == RowLinear::scatter) {
    const auto count = padded_count(capacity.rows * config.hidden, plan.dtype, tensor_group.size());
    const auto bytes = static_cast<std::size_t>(count) * size_of(plan.dtype);
    partials = std::max(partials, bytes);
    scattered_ = Buffer(backend, bytes / static_cast<std::size_t>(tensor_group.size()));
  }
  partials_ = Buffer(backend, partials);
  make_shard_buffers();

  std::size_t gathered = 0;
  // (An embedding exchange needs no more: a partial is at least as wide as the model's dtype.)
  if (plan.shards > 1) gathered = static_cast<std::size_t>(plan.shards) * partial_stride;
  if (gathers_) make_gather_buffers(gathered);
  make_norm_buffers(gathered);
  make_expert_buffers(gathered);
  if (place.last_stage) make_head_buffers(gathered);
  gathered_ = Buffer(backend, gathered);
  if (place.first_stage && tensor_group.size() > 1) {
    std::vector<std::int32_t> owner;
    for (std::int64_t token = 0; token < config.vocabulary; ++token)
      owner.push_back(
          static_cast<std::int32_t>(vocabulary_owner(config.vocabulary, plan.shards, token) / hosted));
    vocabulary_owner_ = uploaded(backend, owner);
  }
}

// Of each hosted shard: its products' outputs and inputs; of each layer: its keys and values, and its rope.
void Forward::make_shard_buffers() {
  const std::int64_t own_rows = gathers_ ? 0 : capacity_.rows;  // gather: slices of input_slices_ instead
  for (const Block block : kBlocks) {
    // Every layer is dealt alike, but for mixtures, which have no dense MLP.
    std::size_t layer = 0;
    while (block == Block::mlp && layer + 1 < weights_.layers.size() && is_mixture(layer)) ++layer;
    const auto b = static_cast<std::size_t>(block);
    for (const auto& shard : weights_.layers[layer].shards) {
      wide_[b].emplace_back(backend_, capacity_.rows, shard[block].in.matrix.view.rows, plan_.dtype);
      inner_[b].emplace_back(backend_, own_rows, shard[block].inner, plan_.dtype);
    }
  }
  for (std::size_t layer = 0; layer < weights_.layers.size(); ++layer) {
    keys_.emplace_back();
    values_.emplace_back();
    for (const auto& shard : weights_.layers[layer].shards) {
      const auto bytes =
          static_cast<std::size_t>(capacity_.slots * shard.kv_heads * capacity_.length * config_.head_dim) *
          size_of(plan_.dtype);
      keys_.back().emplace_back(backend_, bytes);
      values_.back().emplace_back(backend_, bytes);
    }
    if (layer == 0 && spreads_attention(plan_, config_.head_dim))
      for (const auto& shard : weights_.layers[layer].shards)
        attention_scratch_.emplace_back(
            backend_,
            static_cast<std::size_t>(
                capacity_.slots * attention_scratch(shard.query_heads, config_.head_dim, capacity_.length)));
    const RopeConfig& rope = spec(layer).rope;
    std::size_t kind = 0;
    while (kind < ropes_.size() && !(ropes_[kind].rope == rope)) ++kind;
    if (kind == ropes_.size()) {
      const auto tables = rope_tables(rope, config_.head_dim, capacity_.length);
      RopeBuffers buffers{rope,
                          uploaded(backend_, tables.cosines),
                          uploaded(backend_, tables.sines),
                          uploaded(backend_, tables.frequencies),
                          {}};
      buffers.view = {tables.pairs,     buffers.cosines.as<float>(), buffers.sines.as<float>(),
                      capacity_.length, tables.short_length,         buffers.frequencies.as<float>()};
      ropes_.push_back(std::move(buffers));
    }
    layer_rope_.push_back(kind);
  }
}

void Forward::make_gather_buffers(std::size_t& gathered) {
  std::size_t widest = 0;
  std::int64_t inputs = 0;
  for (const Block block : kBlocks) {
    Columns& columns = inner_columns_[static_cast<std::size_t>(block)];
    if (block == Block::attention) {
      columns = dealt_columns(config_.query_heads * config_.head_dim, [&](int s) {
        const Range heads = deal_heads(config_.query_heads, config_.kv_heads, plan_.shards, s).query;
        return Range{heads.begin * config_.head_dim, heads.end * config_.head_dim};
      });
    } else {
      columns = dealt_columns(config_.intermediate,
                              [&](int s) { return deal_columns(config_.intermediate, plan_.shards, s); });
    }
    widest = std::max(widest, columns.stride(capacity_.rows, plan_.dtype));
    inputs = std::max(inputs, columns.count);
  }
  hidden_columns_ = dealt_columns(
      config_.hidden, [&](int s) { return deal_vocabulary(config_.hidden, plan_.shards, s).rows; });
  input_slices_ = Buffer(backend_, static_cast<std::size_t>(place_.shards.size()) * widest);
  gathered = std::max(gathered, static_cast<std::size_t>(plan_.shards) * widest);
  joined_ = Buffer(backend_, static_cast<std::size_t>(capacity_.rows * inputs) * size_of(plan_.dtype));
}

void Forward::make_norm_buffers(std::size_t& gathered) {
  const bool whole = std::any_of(config_.specs.begin(), config_.specs.end(), [](const LayerSpec& layer) {
    return layer.query_key_norm == QueryKeyNorm::per_row;
  });
  if (!whole) return;
  std::size_t widest = 0;
  for (const bool keys : {false, true}) {
    WholeRows& whole_rows = whole_rows_[keys ? 1 : 0];
    std::int64_t seen = 0;  // KV heads that lower shards hold
    whole_rows.columns =
        dealt_columns((keys ? config_.kv_heads : config_.query_heads) * config_.head_dim, [&](int s) {
          const auto heads = deal_heads(config_.query_heads, config_.kv_heads, plan_.shards, s);
          Range own =
              keys ? Range{std::max(seen, heads.kv.begin), std::max(seen, heads.kv.end)} : heads.query;
          if (keys) seen = own.end;
          own = {own.begin * config_.head_dim, own.end * config_.head_dim};
          const Range held = keys ? heads.kv : heads.query;
          if (place_.shards.contains(s)) {
            whole_rows.own.push_back(own);
            whole_rows.held.push_back({held.begin * config_.head_dim, held.end * config_.head_dim});
          }
          return own;
        });
    whole_rows.rows = OwnedMatrix(backend_, capacity_.rows, whole_rows.columns.count, plan_.dtype);
    widest = std::max(widest, whole_rows.columns.stride(capacity_.rows, plan_.dtype));
  }
  norm_slices_ = Buffer(backend_, static_cast<std::size_t>(place_.shards.size()) * widest);
  gathered = std::max(gathered, static_cast<std::size_t>(plan_.shards) * widest);
}

// Of the mixtures of the stage: their routes, and one expert's rows at a time, each expert's on a boundary of
// its own.
void Forward::make_expert_buffers(std::size_t& gathered) {
  std::int64_t experts = 0, intermediate = 0, inner = 0;
  for (const auto& layer : config_.specs)
    if (layer.experts.count > 0 && &layer < &config_.specs[static_cast<std::size_t>(place_.layers.begin)])
      ++mixtures_.first;
  for (std::size_t layer = 0; layer < weights_.layers.size(); ++layer) {
    mixtures_.number.push_back(is_mixture(layer) ? mixtures_.count : -1);
    if (!is_mixture(layer)) continue;
    const ExpertsSpec& spec = this->spec(layer).experts;
    if (mixtures_.count++ > 0 && spec.active != mixtures_.active)
      throw failure("mixtures of {} and of {} experts a row in one model: this is a bug", mixtures_.active,
                    spec.active);
    mixtures_.active = spec.active;
    experts = std::max(experts, spec.count);
    intermediate = std::max(intermediate, spec.intermediate);
    if (gathers_)
      mixtures_.inner.push_back(dealt_columns(
          spec.intermediate, [&](int s) { return deal_columns(spec.intermediate, plan_.shards, s); }));
    for (const auto& shard : weights_.layers[layer].shards)
      for (const auto& expert : shard.experts) inner = std::max(inner, expert.block.inner);
  }
  if (mixtures_.count == 0) return;
  const std::size_t element = size_of(plan_.dtype);
  const auto rows = static_cast<std::size_t>(capacity_.rows);
  const std::size_t pairs = rows * static_cast<std::size_t>(mixtures_.active);
  const auto routed = static_cast<std::size_t>(mixtures_.count) * pairs;
  router_logits_ = Buffer(backend_, rows * static_cast<std::size_t>(experts) * element);
  routed_ = Buffer(backend_, routed * sizeof(std::int32_t));
  route_weights_ = Buffer(backend_, routed * size_of(route_dtype()));
  device_pair_rows_ = Buffer(backend_, pairs * sizeof(std::int32_t));
  device_places_ = Buffer(backend_, pairs * sizeof(std::int64_t));
  const std::size_t boundaries = static_cast<std::size_t>(experts) * kAlignment;
  expert_inputs_ = Buffer(backend_, pairs * static_cast<std::size_t>(config_.hidden) * element + boundaries);
  const Matrix output = expert_output_row();
  expert_outputs_ = Buffer(backend_, pairs * output.bytes() + boundaries);
  mixtures_.grouped_rows = grouped_rows(plan_, capacity_.rows, capacity_.slots, mixtures_.active);
  expert_wide_ = Buffer(backend_, rows * static_cast<std::size_t>(2 * inner) * element);
  expert_inner_ =
      Buffer(backend_, rows * static_cast<std::size_t>(gathers_ ? intermediate : inner) * element);
  if (mixtures_.grouped_rows > 0) make_grouped_buffers(inner);
  if (!gathers_) return;
  std::size_t widest = 0;
  for (const Columns& columns : mixtures_.inner)
    widest = std::max(widest, columns.stride(static_cast<std::int64_t>(pairs), plan_.dtype));
  expert_slices_ = Buffer(backend_, static_cast<std::size_t>(place_.shards.size()) * widest);
  gathered = std::max(gathered, static_cast<std::size_t>(plan_.shards) * widest);
  expert_joined_ = Buffer(backend_, pairs * static_cast<std::size_t>(intermediate) * element);
}

void Forward::make_head_buffers(std::size_t& gathered) {
  const std::int64_t rows = std::min(capacity_.logit_rows, kHeadRows);
  const std::int64_t width = deal_vocabulary(config_.vocabulary, plan_.shards, 0).width;
  vocabulary_ = dealt_columns(
      config_.vocabulary, [&](int s) { return deal_vocabulary(config_.vocabulary, plan_.shards, s).rows; });
  chosen_ = Buffer(backend_, static_cast<std::size_t>(capacity_.logit_rows) * sizeof(std::int32_t));
  head_input_ = OwnedMatrix(backend_, rows, config_.hidden, plan_.dtype);
  const Matrix slice{nullptr, rows, width, plan_.logits_dtype};
  head_slices_ = Buffer(backend_, static_cast<std::size_t>(place_.shards.size()) * stride_of(slice));
  logits_ = OwnedMatrix(backend_, rows, config_.vocabulary, plan_.logits_dtype);
  if (tensor_group_.size() > 1)
    gathered = std::max(gathered, static_cast<std::size_t>(plan_.shards) * stride_of(slice));
}

}  // namespace shardrift
