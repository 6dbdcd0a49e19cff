#include "model/trace.hpp"

#include <algorithm>

namespace shardrift {

using record::Operation;

Trace::Trace(const ModelConfig& config, const Plan& plan, const Place& place, Backend& backend,
             const TraceOptions& options, std::int64_t rows)
    : config_(config),
      backend_(backend),
      options_(options),
      first_of_group_(place.t == 0),
      streams_{place.first_stage ? 0 : place.layers.begin + 1, place.layers.end + 1} {
  std::int64_t kv_seen = 0;
  for (std::int64_t s = 0; s < place.shards.end; ++s) {
    ShardColumns shard;
    shard.shard = s;
    shard.heads = deal_heads(config.query_heads, config.kv_heads, plan.shards, static_cast<int>(s));
    shard.columns = deal_columns(config.intermediate, plan.shards, static_cast<int>(s));
    shard.vocabulary = deal_vocabulary(config.vocabulary, plan.shards, static_cast<int>(s)).rows;
    // A KV head that two shards hold is one head of the model: the lower shard's copy is counted.
    shard.counted_kv = {std::max(kv_seen, shard.heads.kv.begin), std::max(kv_seen, shard.heads.kv.end)};
    kv_seen = shard.counted_kv.end;
    if (place.shards.contains(s)) shards_.push_back(std::move(shard));
  }
  if (options.checksums)
    device_sums_ = Buffer(
        backend, static_cast<std::size_t>(record::point_count(config.layers) * rows) * sizeof(std::uint64_t));
}

void Trace::begin(std::int64_t first, std::int64_t count) {
  count_ = count;
  from_ = first;
  to_ = 0;
  window_ = count;
  words_.clear();
  if (!options_.checksums) return;
  sums_.assign(static_cast<std::size_t>(record::point_count(config_.layers) * count), 0);
  backend_.upload(device_sums_.data(), sums_.data(), sums_.size() * sizeof(std::uint64_t));
}

void Trace::narrow(std::int64_t done, std::int64_t count) {
  from_ = 0;
  to_ = done;
  window_ = count;
}

void Trace::end() {
  if (options_.checksums)
    backend_.download(sums_.data(), device_sums_.data(), sums_.size() * sizeof(std::uint64_t));
}

Matrix Trace::traced(const Matrix& m) const {
  const auto offset = static_cast<std::size_t>(from_ * m.cols) * size_of(m.dtype);
  return {static_cast<std::byte*>(m.data) + offset, window_, m.cols, m.dtype};
}

void Trace::add(Operation operation, std::int64_t layer, const Matrix& m, Range columns, std::int64_t index) {
  if (!options_.checksums || columns.empty()) return;
  auto* sums =
      device_sums_.as<std::uint64_t>() + record::index_of({operation, layer}, config_.layers) * count_;
  backend_.checksum(traced(m), columns, index, sums + to_);
}

void Trace::whole(Operation operation, std::int64_t layer, const Matrix& m) {
  if (first_of_group_) add(operation, layer, m, {0, m.cols}, 0);
}

void Trace::partial(Operation operation, std::int64_t layer, std::size_t s, const Matrix& m) {
  add(operation, layer, m, {0, m.cols}, shards_[s].shard * config_.hidden);
}

void Trace::add_heads(Operation operation, std::int64_t layer, std::size_t s, const Matrix& m, bool values) {
  const auto& [heads, counted, columns, vocabulary, shard] = shards_[s];
  const std::int64_t dim = config_.head_dim;
  add(operation, layer, m, {0, heads.query.size() * dim}, heads.query.begin * dim);
  std::int64_t in_shard = heads.query.size();  // where keys, then values, begin
  std::int64_t in_model = config_.query_heads;
  for (int part = 0; part < (values ? 2 : 1); ++part) {
    const std::int64_t begin = in_shard + counted.begin - heads.kv.begin;
    add(operation, layer, m, {begin * dim, (begin + counted.size()) * dim}, (in_model + counted.begin) * dim);
    in_shard += heads.kv.size();
    in_model += config_.kv_heads;
  }
}

void Trace::qkv(std::int64_t layer, std::size_t s, const Matrix& m) {
  add_heads(Operation::qkv, layer, s, m, true);
}

void Trace::rotated(std::int64_t layer, std::size_t s, const Matrix& m) {
  add_heads(Operation::rope, layer, s, m, false);
}

void Trace::attended(std::int64_t layer, std::size_t s, const Matrix& m) {
  add(Operation::attention, layer, m, {0, m.cols}, shards_[s].heads.query.begin * config_.head_dim);
}

void Trace::gate_up(std::int64_t layer, std::size_t s, const Matrix& m) {
  const Range columns = shards_[s].columns;
  add(Operation::gate_up, layer, m, {0, columns.size()}, columns.begin);
  add(Operation::gate_up, layer, m, {columns.size(), 2 * columns.size()},
      config_.intermediate + columns.begin);
}

void Trace::activated(std::int64_t layer, std::size_t s, const Matrix& m) {
  add(Operation::activation, layer, m, {0, m.cols}, shards_[s].columns.begin);
}

void Trace::logits(std::size_t s, const Matrix& m) {
  const Range rows = shards_[s].vocabulary;  // pads after them are left out
  add(Operation::logits, 0, m, {0, rows.size()}, rows.begin);
}

void Trace::stream(std::int64_t stream, const Matrix& residual) {
  if (!options_.hidden || !first_of_group_ || !streams_.contains(stream)) return;
  const Matrix rows = traced(residual);
  const std::size_t before = words_.size();
  words_.resize(before + rows.bytes());
  backend_.download(words_.data() + before, rows.data, rows.bytes());
}

}  // namespace shardrift
