#include "model/forward.hpp"

#include <algorithm>

#include "common/error.hpp"
#include "model/rope.hpp"

namespace shardrift {
using record::Operation;
namespace {

template <typename T>
Buffer uploaded(Backend& backend, const std::vector<T>& values) {
  Buffer buffer(backend, values.size() * sizeof(T));
  if (!values.empty()) backend.upload(buffer.data(), values.data(), values.size() * sizeof(T));
  return buffer;
}

std::size_t stride_of(const Matrix& matrix) {
  return aligned(matrix.bytes());
}

}  // namespace

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
                       size_of(plan.dtype) < size_of(DType::float32)) {
  if (plan.reduction.needs_profile() && !orders_)
    throw usage_error("--reduction profile needs --collective-profile FILE: whose order is it to be?");
  const auto ids = static_cast<std::size_t>(capacity.rows) * sizeof(std::int32_t);
  tokens_ = Buffer(backend, ids);
  positions_ = Buffer(backend, ids);
  slots_ = Buffer(backend, ids);
  const auto tables = rope_tables(config.rope, config.head_dim, capacity.length);
  cosines_ = uploaded(backend, tables.cosines);
  sines_ = uploaded(backend, tables.sines);

  const DType dtype = plan.dtype;
  const std::int64_t hosted = place.shards.size();
  const std::size_t element = size_of(dtype);
  residual_ = OwnedMatrix(backend, capacity.rows, config.hidden, dtype);
  normed_ = OwnedMatrix(backend, capacity.rows, config.hidden, dtype);
  reduced_ = OwnedMatrix(backend, capacity.rows, config.hidden, dtype);
  if (rounds_partials_) product_ = OwnedMatrix(backend, capacity.rows, config.hidden, DType::float32);
  const std::size_t partial_stride = stride_of({nullptr, capacity.rows, config.hidden, partial_dtype_});
  std::size_t partials = static_cast<std::size_t>(hosted) * partial_stride;
  if (plan.row_linear == RowLinear::scatter) {
    const auto count = padded_count(capacity.rows * config.hidden, dtype, tensor_group.size());
    partials = std::max(partials, static_cast<std::size_t>(count) * element);
    scattered_ = Buffer(
        backend, static_cast<std::size_t>(count) * element / static_cast<std::size_t>(tensor_group.size()));
  }
  partials_ = Buffer(backend, partials);
  const auto& shards = weights.layers.front().shards;          // every layer is dealt alike
  const std::int64_t own_rows = gathers_ ? 0 : capacity.rows;  // gather: slices of input_slices_ instead
  for (const auto& shard : shards) {
    const std::int64_t queries = shard.query_heads * config.head_dim;
    qkv_.emplace_back(backend, capacity.rows, queries + 2 * shard.kv_heads * config.head_dim, dtype);
    attended_.emplace_back(backend, own_rows, queries, dtype);
    gate_up_.emplace_back(backend, capacity.rows, 2 * shard.columns, dtype);
    activated_.emplace_back(backend, own_rows, shard.columns, dtype);
  }
  for (const auto& layer : weights.layers) {
    keys_.emplace_back();
    values_.emplace_back();
    for (const auto& shard : layer.shards) {
      const auto bytes =
          static_cast<std::size_t>(capacity.slots * shard.kv_heads * capacity.length * config.head_dim) *
          element;
      keys_.back().emplace_back(backend, bytes);
      values_.back().emplace_back(backend, bytes);
    }
  }

  std::size_t gathered = 0;
  // (An embedding exchange needs no more: a partial is at least as wide as the model's dtype.)
  if (plan.shards > 1) gathered = static_cast<std::size_t>(plan.shards) * partial_stride;
  if (gathers_) {
    attended_columns_ = dealt_columns(config.query_heads * config.head_dim, [&](int s) {
      const Range heads = deal_heads(config.query_heads, config.kv_heads, plan.shards, s).query;
      return Range{heads.begin * config.head_dim, heads.end * config.head_dim};
    });
    activated_columns_ = dealt_columns(
        config.intermediate, [&](int s) { return deal_columns(config.intermediate, plan.shards, s); });
    hidden_columns_ = dealt_columns(
        config.hidden, [&](int s) { return deal_vocabulary(config.hidden, plan.shards, s).rows; });
    const std::size_t widest = std::max(attended_columns_.stride(capacity.rows, dtype),
                                        activated_columns_.stride(capacity.rows, dtype));
    input_slices_ = Buffer(backend, static_cast<std::size_t>(hosted) * widest);
    gathered = std::max(gathered, static_cast<std::size_t>(plan.shards) * widest);
    const std::int64_t inputs = std::max(attended_columns_.count, activated_columns_.count);
    joined_ = Buffer(backend, static_cast<std::size_t>(capacity.rows * inputs) * element);
  }
  if (place.last_stage) {
    const std::int64_t rows = std::min(capacity.logit_rows, kHeadRows);
    const std::int64_t width = deal_vocabulary(config.vocabulary, plan.shards, 0).width;
    vocabulary_ = dealt_columns(
        config.vocabulary, [&](int s) { return deal_vocabulary(config.vocabulary, plan.shards, s).rows; });
    head_input_ = OwnedMatrix(backend, rows, config.hidden, dtype);
    const Matrix slice{nullptr, rows, width, plan.logits_dtype};
    head_slices_ = Buffer(backend, static_cast<std::size_t>(hosted) * stride_of(slice));
    logits_ = OwnedMatrix(backend, rows, config.vocabulary, plan.logits_dtype);
    if (tensor_group.size() > 1)
      gathered = std::max(gathered, static_cast<std::size_t>(plan.shards) * stride_of(slice));
  }
  gathered_ = Buffer(backend, gathered);
  if (place.first_stage && tensor_group.size() > 1) {
    std::vector<std::int32_t> owner;
    for (std::int64_t token = 0; token < config.vocabulary; ++token)
      owner.push_back(
          static_cast<std::int32_t>(vocabulary_owner(config.vocabulary, plan.shards, token) / hosted));
    vocabulary_owner_ = uploaded(backend, owner);
  }
}

std::span<const std::byte> Forward::run(const Pass& pass) {
  const std::int64_t rows = pass.rows();
  if (rows < 1 || rows > capacity_.rows)
    throw failure("a pass of {} rows, but buffers for {}: this is a bug", rows, capacity_.rows);
  const auto bytes = static_cast<std::size_t>(rows) * sizeof(std::int32_t);
  backend_.upload(tokens_.data(), pass.tokens.data(), bytes);
  backend_.upload(positions_.data(), pass.positions.data(), bytes);
  backend_.upload(slots_.data(), pass.slots.data(), bytes);
  const bool one_sequence = std::equal(pass.slots.begin() + 1, pass.slots.end(), pass.slots.begin());
  const RowIndex index{tokens_.as<std::int32_t>(), positions_.as<std::int32_t>(), slots_.as<std::int32_t>(),
                       rows, one_sequence};

  // The residual stream [rows, hidden] is the same on every rank of a stage; stages hand it on as it is.
  const Matrix residual = residual_.view.first_rows(rows);
  const std::int64_t logit_rows = pass.all_logits ? rows : 1;
  if (trace_ != nullptr) trace_->begin(rows - logit_rows, logit_rows);
  if (place_.first_stage) {
    embed(index);
    if (trace_ != nullptr) {
      trace_->whole(Operation::embedding, 0, residual);
      trace_->stream(0, residual);
    }
  } else {
    stage_group_.receive(residual.data, residual.bytes(), place_.stage - 1);
  }
  for (std::size_t layer = 0; layer < weights_.layers.size(); ++layer) {
    attention_block(layer, index);
    mlp_block(layer, rows);
    if (trace_ != nullptr) trace_->stream(model_layer(layer) + 1, residual);
  }
  if (place_.last_stage) {
    head(pass);
  } else {
    stage_group_.send(residual.data, residual.bytes(), place_.stage + 1);
  }
  if (trace_ != nullptr) trace_->end();
  if (!place_.last_stage) return {};
  return place_.writes() ? std::span<const std::byte>(host_logits_) : std::span<const std::byte>();
}

void Forward::embed(const RowIndex& index) {
  const Matrix residual = residual_.view.first_rows(index.rows);
  if (tensor_group_.size() == 1) {
    for (const auto& slice : weights_.embedding)
      backend_.embed(slice.rows.view, slice.share.rows, index, residual);
    return;
  }
  // Each rank fills the rows whose tokens it owns; all exchange bytes; each row is then taken from its owner.
  const Matrix mine{partials_.data(), index.rows, config_.hidden, plan_.dtype};
  for (const auto& slice : weights_.embedding) backend_.embed(slice.rows.view, slice.share.rows, index, mine);
  tensor_group_.all_gather(mine.data, gathered_.data(), stride_of(mine));
  backend_.pick_rows(gathered_.data(), stride_of(mine), vocabulary_owner_.as<std::int32_t>(), index,
                     residual);
}

void Forward::attention_block(std::size_t layer, const RowIndex& index) {
  const auto& weights = weights_.layers[layer];
  const std::int64_t rows = index.rows;
  const Matrix x = normed_.view.first_rows(rows);
  backend_.rms_norm(residual_.view.first_rows(rows), weights.attention_norm.view, config_.rms_norm_eps, x);
  if (trace_ != nullptr) trace_->whole(Operation::attention_norm, model_layer(layer), x);
  for (std::size_t s = 0; s < weights.shards.size(); ++s) {
    const auto& shard = weights.shards[s];
    const Matrix attended = row_input(attended_[s], s, rows, true);
    if (shard.query_heads > 0) {
      const Matrix qkv = qkv_[s].view.first_rows(rows);
      const AttentionShape shape{shard.query_heads, shard.local_kv.as<std::int32_t>(),
                                 config_.sliding_window};
      backend_.linear(x, shard.qkv.view, qkv);
      if (trace_ != nullptr) trace_->qkv(model_layer(layer), s, qkv);
      backend_.rope_and_cache(qkv, shard.query_heads, cosines_.as<float>(), sines_.as<float>(), index,
                              cache(layer, s));
      if (trace_ != nullptr) trace_->rotated(model_layer(layer), s, qkv);
      backend_.attention(qkv, shape, index, cache(layer, s), attended);
      if (trace_ != nullptr) trace_->attended(model_layer(layer), s, attended);
    }
    if (!gathers_) row_product(layer, s, true, attended);
  }
  close_block(layer, true, rows);
}

void Forward::mlp_block(std::size_t layer, std::int64_t rows) {
  const auto& weights = weights_.layers[layer];
  const Matrix x = normed_.view.first_rows(rows);
  backend_.rms_norm(residual_.view.first_rows(rows), weights.mlp_norm.view, config_.rms_norm_eps, x);
  if (trace_ != nullptr) trace_->whole(Operation::mlp_norm, model_layer(layer), x);
  for (std::size_t s = 0; s < weights.shards.size(); ++s) {
    const auto& shard = weights.shards[s];
    const Matrix activated = row_input(activated_[s], s, rows, false);
    if (shard.columns > 0) {
      const Matrix gate_up = gate_up_[s].view.first_rows(rows);
      backend_.linear(x, shard.gate_up.view, gate_up);
      if (trace_ != nullptr) trace_->gate_up(model_layer(layer), s, gate_up);
      backend_.silu_multiply(gate_up, activated);
      if (trace_ != nullptr) trace_->activated(model_layer(layer), s, activated);
    }
    if (!gathers_) row_product(layer, s, false, activated);
  }
  close_block(layer, false, rows);
}

// A shard's partial: its product, or -0 where it has no columns of K.
void Forward::row_product(std::size_t layer, std::size_t shard, bool attention, const Matrix& x) {
  const auto& weights = weights_.layers[layer].shards[shard];
  const Matrix out = partial(static_cast<std::int64_t>(shard), x.rows);
  const Matrix& weight = attention ? weights.output.view : weights.down.view;
  if (x.cols == 0) {
    backend_.fill_negative_zero(out);
  } else if (!rounds_partials_) {
    backend_.linear(x, weight, out);
  } else {
    // The product's float32 accumulators, rounded by ourselves: one shard's fold adds nothing.
    const Matrix product = product_.view.first_rows(x.rows);
    backend_.linear(x, weight, product);
    backend_.fold(product.data, product.bytes(), product.dtype, rounding_map(x.rows), Accumulator::message,
                  out);
  }
  if (trace_ != nullptr)
    trace_->partial(attention ? Operation::attention_partials : Operation::mlp_partials, model_layer(layer),
                    shard, out);
}

// The shards' products become one tensor [rows, hidden], which is added to the residual stream.
void Forward::close_block(std::size_t layer, bool attention, std::int64_t rows) {
  const Matrix residual = residual_.view.first_rows(rows);
  const Matrix sum = gathers_ ? gathered_product(layer, attention, rows) : reduced(rows);
  if (trace_ != nullptr)
    trace_->whole(attention ? Operation::attention_sum : Operation::mlp_sum, model_layer(layer), sum);
  backend_.add(residual, sum);
  if (trace_ != nullptr)
    trace_->whole(attention ? Operation::attention_residual : Operation::mlp_residual, model_layer(layer),
                  residual);
}

// Where a shard's input of a row-parallel linear goes: its own buffer, or its slice of what is gathered.
Matrix Forward::row_input(const OwnedMatrix& own, std::size_t shard, std::int64_t rows,
                          bool attention) const {
  if (!gathers_) return own.view.first_rows(rows);
  const Columns& columns = attention ? attended_columns_ : activated_columns_;
  const std::size_t stride = columns.stride(rows, plan_.dtype);
  return {input_slices_.as<std::byte>() + shard * stride, rows, own.view.cols, plan_.dtype};
}

ColumnSlices Forward::all_slices(const void* hosted, std::size_t stride, const Columns& columns,
                                 std::int64_t width) {
  const void* all = hosted;
  if (tensor_group_.size() > 1) {
    tensor_group_.all_gather(hosted, gathered_.data(),
                             stride * static_cast<std::size_t>(place_.shards.size()));
    all = gathered_.data();
  }
  return {all, stride, plan_.shards, columns.offsets.as<std::int64_t>(), width};
}

// Inputs of all shards -> [rows, K]; each shard multiplies its rows of the output over all of K -> [rows,
// hidden]. Bytes move, nothing is added across shards; every product has the same shape wherever its shard
// lives.
Matrix Forward::gathered_product(std::size_t layer, bool attention, std::int64_t rows) {
  const Columns& inputs = attention ? attended_columns_ : activated_columns_;
  const Matrix x{joined_.data(), rows, inputs.count, plan_.dtype};
  // Slices of an input are written without pads: width 0.
  backend_.join_columns(all_slices(input_slices_.data(), inputs.stride(rows, plan_.dtype), inputs, 0), x);
  Matrix out{partials_.data(), rows, hidden_columns_.width, plan_.dtype};
  for (const auto& shard : weights_.layers[layer].shards) {
    backend_.linear(x, attention ? shard.output.view : shard.down.view, out);
    out.data = static_cast<std::byte*>(out.data) + stride_of(out);
  }
  const Matrix sum = reduced_.view.first_rows(rows);
  backend_.join_columns(all_slices(partials_.data(), stride_of(out), hidden_columns_, out.cols), sum);
  return sum;
}

// A rank's equal part of the sum is a multiple of 16 bytes: the message is padded with (negative) zeros,
// which nobody reads.
void Forward::sum_by_scatter(const Matrix& message) {
  const std::int64_t ranks = tensor_group_.size();
  const std::int64_t padded = padded_count(message.count(), message.dtype, tensor_group_.size());
  if (padded > message.count())
    backend_.fill_negative_zero({static_cast<std::byte*>(message.data) + message.bytes(), 1,
                                 padded - message.count(), message.dtype});
  const std::int64_t part = padded / ranks;
  tensor_group_.reduce_scatter(message.data, scattered_.data(), part, message.dtype);
  tensor_group_.all_gather(scattered_.data(), message.data,
                           static_cast<std::size_t>(part) * size_of(message.dtype));
}

// The partials of all S shards -> one tensor. The only place where values of different shards are added.
Matrix Forward::reduced(std::int64_t rows) {
  const Matrix first = partial(0, rows);
  if (plan_.shards == 1 && first.dtype == plan_.dtype) return first;
  if (plan_.reduction.order == ReductionOrder::native) {
    // The library's own order: it depends on rank, position in the message and message size
    // (docs/architecture.md).
    if (plan_.row_linear == RowLinear::scatter) {
      sum_by_scatter(first);
    } else {
      tensor_group_.all_reduce(first.data, first.count(), plan_.dtype);
    }
    return first;
  }
  const void* partials = partials_.data();
  const std::size_t stride = stride_of(first);
  if (tensor_group_.size() > 1) {
    tensor_group_.all_gather(partials, gathered_.data(),
                             stride * static_cast<std::size_t>(place_.shards.size()));
    partials = gathered_.data();
  }
  const Matrix sum = reduced_.view.first_rows(rows);
  // Every rank folds the same bytes in the same order: the same bits as one device hosting all S shards.
  backend_.fold(partials, stride, partial_dtype_, order_map(rows), plan_.reduction.accumulator, sum);
  return sum;
}

// The order depends on an element's place in the message and, in ring and profile, on the message's size.
const DeviceOrderMap& Forward::order_map(std::int64_t rows) {
  if (const auto known = order_maps_.find(rows); known != order_maps_.end()) return known->second;
  const std::int64_t count = rows * config_.hidden;
  OrderMap map = plan_.shards == 1 ? uniform_map(linear_tree(1), count)  // one rounding, no add
                 : plan_.reduction.needs_profile() ? orders_(count)
                                                   : local_order_map(plan_.reduction, plan_.shards, count);
  if (map.count != count || map.shards() != plan_.shards)
    throw failure("an order map of {} elements and {} shards for a message of {} and {}: this is a bug",
                  map.count, map.shards(), count, plan_.shards);
  return order_maps_.try_emplace(rows, backend_, std::move(map)).first->second;
}

// One shard's tree: a fold by it is one rounding.
const DeviceOrderMap& Forward::rounding_map(std::int64_t rows) {
  if (const auto known = rounding_maps_.find(rows); known != rounding_maps_.end()) return known->second;
  return rounding_maps_.try_emplace(rows, backend_, uniform_map(linear_tree(1), rows * config_.hidden))
      .first->second;
}

void Forward::head(const Pass& pass) {
  const std::int64_t rows = pass.rows();
  const std::int64_t wanted = pass.all_logits ? rows : 1;
  const auto row_bytes = static_cast<std::size_t>(config_.vocabulary) * size_of(plan_.logits_dtype);
  if (place_.writes()) host_logits_.resize(static_cast<std::size_t>(wanted) * row_bytes);
  for (std::int64_t done = 0; done < wanted; done += kHeadRows) {
    const std::int64_t block = std::min(kHeadRows, wanted - done);
    std::byte* host =
        place_.writes() ? host_logits_.data() + static_cast<std::size_t>(done) * row_bytes : nullptr;
    head_product(rows - wanted + done, done, block, host);
  }
}

// Rows [first_row, first_row + rows) of the pass, of whose logits `done` rows are computed.
void Forward::head_product(std::int64_t first_row, std::int64_t done, std::int64_t rows, std::byte* host) {
  const Matrix x = head_input_.view.first_rows(rows);
  const auto offset = static_cast<std::size_t>(first_row * config_.hidden) * size_of(plan_.dtype);
  const Matrix tail{static_cast<std::byte*>(residual_.view.data) + offset, rows, config_.hidden, plan_.dtype};
  backend_.rms_norm(tail, weights_.final_norm.view, config_.rms_norm_eps, x);
  if (trace_ != nullptr) {
    trace_->narrow(done, rows);
    trace_->whole(Operation::final_norm, 0, x);
  }

  const auto& slices = config_.tied_head ? weights_.embedding : weights_.head;
  const std::int64_t width = slices.front().share.width;
  const Matrix logits = logits_.view.first_rows(rows);
  if (plan_.shards == 1) {
    backend_.linear(x, slices.front().rows.view, logits);
    if (trace_ != nullptr) trace_->logits(0, logits);
  } else {
    Matrix slice{head_slices_.data(), rows, width, plan_.logits_dtype};
    const std::size_t stride = stride_of(slice);
    for (std::size_t s = 0; s < slices.size(); ++s) {
      slice.data = head_slices_.as<std::byte>() + s * stride;
      backend_.linear(x, slices[s].rows.view, slice);
      if (trace_ != nullptr) trace_->logits(s, slice);
    }
    const ColumnSlices all = all_slices(head_slices_.data(), stride, vocabulary_, width);
    if (place_.writes()) backend_.join_columns(all, logits);
  }
  if (place_.writes()) backend_.download(host, logits.data, logits.bytes());
}

Matrix Forward::partial(std::int64_t hosted, std::int64_t rows) const {
  Matrix matrix{partials_.data(), rows, config_.hidden, partial_dtype_};
  matrix.data = partials_.as<std::byte>() + static_cast<std::size_t>(hosted) * stride_of(matrix);
  return matrix;
}

CacheView Forward::cache(std::size_t layer, std::size_t shard) const {
  return {keys_[layer][shard].data(), values_[layer][shard].data(),
          weights_.layers[layer].shards[shard].kv_heads, capacity_.length, config_.head_dim};
}

}  // namespace shardrift
