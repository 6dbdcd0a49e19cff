// Norms of queries and keys, before they are rotated.
#include "model/forward.hpp"

namespace shardrift {
using record::Operation;

void Forward::norm_heads(std::size_t layer, std::size_t s, const Matrix& qkv) {
  const LayerWeights& weights = weights_.layers[layer];
  const ShardLayer& shard = weights.shards[s];
  backend_.head_norm(qkv, {0, shard.query_heads}, norm_by(weights.query_norm));
  backend_.head_norm(qkv, {shard.query_heads, shard.query_heads + shard.kv_heads}, norm_by(weights.key_norm));
  output(Operation::query_key_norm, layer, s, qkv);
}

void Forward::norm_whole_rows(std::size_t layer, std::int64_t rows) {
  norm_whole_rows(layer, rows, false);
  norm_whole_rows(layer, rows, true);
  const auto& shards = weights_.layers[layer].shards;
  for (std::size_t s = 0; s < shards.size(); ++s)
    if (shards[s].query_heads > 0) output(Operation::query_key_norm, layer, s, projected(s, rows));
}

// All queries (or keys) of a row are one norm's elements: the shards' columns are brought together as bytes,
// each KV head once; every rank norms the whole row, in one order whatever the sharding; and takes its own
// back.
void Forward::norm_whole_rows(std::size_t layer, std::int64_t rows, bool keys) {
  const LayerWeights& weights = weights_.layers[layer];
  const WholeRows& whole_rows = whole_rows_[keys ? 1 : 0];
  const std::int64_t dim = config_.head_dim;
  const std::size_t stride = whole_rows.columns.stride(rows, plan_.dtype);
  // Where a hosted shard's queries or keys begin in its own columns.
  const auto first = [&](std::size_t s) { return keys ? weights.shards[s].query_heads * dim : 0; };
  for (std::size_t s = 0; s < weights.shards.size(); ++s) {
    const Range own = whole_rows.own[s];
    if (own.empty()) continue;
    const Matrix slice{norm_slices_.as<std::byte>() + s * stride, rows, own.size(), plan_.dtype};
    const std::int64_t begin = first(s) + own.begin - whole_rows.held[s].begin;
    backend_.copy_columns(projected(s, rows), {begin, begin + own.size()}, slice, 0);
  }
  const Matrix whole = whole_rows.rows.view.first_rows(rows);
  backend_.join_columns(all_slices(norm_slices_.data(), stride, whole_rows.columns, 0), whole);
  backend_.rms_norm(whole, norm_by(keys ? weights.key_norm : weights.query_norm), whole);
  for (std::size_t s = 0; s < weights.shards.size(); ++s) {
    const Range held = whole_rows.held[s];
    if (!held.empty()) backend_.copy_columns(whole, held, projected(s, rows), first(s));
  }
}

}  // namespace shardrift
