#include "model/unsharded_columns.hpp"

#include <algorithm>

namespace shardrift {
using record::Operation;

bool whole_everywhere(Operation operation) {
  switch (operation) {
    case Operation::qkv:
    case Operation::query_key_norm:
    case Operation::rope:
    case Operation::attention:
    case Operation::gate_up:
    case Operation::activation:
    case Operation::attention_partials:
    case Operation::mlp_partials:
    case Operation::logits:
      return false;
    default:
      return true;
  }
}

UnshardedColumns::UnshardedColumns(const ModelConfig& config, const Plan& plan, const Place& place)
    : config_(config), shard_count_(plan.shards) {
  std::int64_t kv_seen = 0;
  for (std::int64_t s = 0; s < plan.shards; ++s) {
    Shard shard;
    shard.shard = s;
    shard.heads = deal_heads(config.query_heads, config.kv_heads, plan.shards, static_cast<int>(s));
    shard.columns = deal_columns(config.intermediate, plan.shards, static_cast<int>(s));
    shard.vocabulary = deal_vocabulary(config.vocabulary, plan.shards, static_cast<int>(s)).rows;
    shard.first_kv = {std::max(kv_seen, shard.heads.kv.begin), std::max(kv_seen, shard.heads.kv.end)};
    kv_seen = shard.first_kv.end;
    if (place.shards.contains(s)) shards_.push_back(std::move(shard));
  }
}

std::vector<ColumnPiece> UnshardedColumns::of(Operation operation, std::size_t s, std::int64_t cols) const {
  const Shard& shard = shards_[s];
  switch (operation) {
    case Operation::qkv:
      return of_heads(shard, true);
    case Operation::query_key_norm:
    case Operation::rope:
      return of_heads(shard, false);
    case Operation::attention:
      return {{{0, cols}, shard.heads.query.begin * config_.head_dim}};
    case Operation::gate_up:
      return {{{0, shard.columns.size()}, shard.columns.begin},
              {{shard.columns.size(), 2 * shard.columns.size()}, config_.intermediate + shard.columns.begin}};
    case Operation::activation:
      return {{{0, cols}, shard.columns.begin}};
    case Operation::attention_partials:
    case Operation::mlp_partials:
      return {{{0, cols}, shard.shard * config_.hidden}};
    case Operation::logits:
      return {{{0, shard.vocabulary.size()}, shard.vocabulary.begin}};
    default:
      return {{{0, cols}, 0}};
  }
}

std::int64_t UnshardedColumns::width(Operation operation, std::int64_t cols) const {
  switch (operation) {
    case Operation::qkv:
      return (config_.query_heads + 2 * config_.kv_heads) * config_.head_dim;
    case Operation::query_key_norm:
    case Operation::rope:
      return (config_.query_heads + config_.kv_heads) * config_.head_dim;
    case Operation::attention:
      return config_.query_heads * config_.head_dim;
    case Operation::gate_up:
      return 2 * config_.intermediate;
    case Operation::activation:
      return config_.intermediate;
    case Operation::attention_partials:
    case Operation::mlp_partials:
      return shard_count_ * config_.hidden;
    case Operation::logits:
      return config_.vocabulary;
    default:
      return cols;
  }
}

std::vector<ColumnPiece> UnshardedColumns::of_heads(const Shard& shard, bool values) const {
  const std::int64_t dim = config_.head_dim;
  const auto& [query, kv, local] = shard.heads;
  std::vector<ColumnPiece> pieces{{{0, query.size() * dim}, query.begin * dim}};
  std::int64_t in_shard = query.size();  // where keys, then values, begin
  std::int64_t in_model = config_.query_heads;
  for (int part = 0; part < (values ? 2 : 1); ++part) {
    const auto piece = [&](Range heads, bool first_holder) {
      const std::int64_t begin = in_shard + heads.begin - kv.begin;
      if (!heads.empty())
        pieces.push_back(
            {{begin * dim, (begin + heads.size()) * dim}, (in_model + heads.begin) * dim, first_holder});
    };
    if (!kv.empty()) {
      piece({kv.begin, std::min(shard.first_kv.begin, kv.end)}, false);
      piece(shard.first_kv, true);
    }
    in_shard += kv.size();
    in_model += config_.kv_heads;
  }
  return pieces;
}

}  // namespace shardrift
