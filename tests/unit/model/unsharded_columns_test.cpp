// Where shards' columns stand in the unsharded tensors: every column once by its first holder, whatever the
// dealing.
#include "model/unsharded_columns.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace shardrift {
namespace {

using record::Operation;

ModelConfig config_of(std::int64_t heads, std::int64_t kv_heads) {
  ModelConfig config;
  config.hidden = 12;
  config.intermediate = 200;
  config.layers = 1;
  config.query_heads = heads;
  config.kv_heads = kv_heads;
  config.head_dim = 4;
  config.vocabulary = 131;
  config.specs.resize(1);
  return config;
}

// Columns of shard s's matrix.
std::int64_t columns_of(const ModelConfig& config, Operation operation, int shards, int s) {
  const auto heads = deal_heads(config.query_heads, config.kv_heads, shards, s);
  switch (operation) {
    case Operation::qkv:
    case Operation::query_key_norm:
      return (heads.query.size() + 2 * heads.kv.size()) * config.head_dim;
    case Operation::attention:
      return heads.query.size() * config.head_dim;
    case Operation::gate_up:
      return 2 * deal_columns(config.intermediate, shards, s).size();
    case Operation::activation:
      return deal_columns(config.intermediate, shards, s).size();
    case Operation::logits:
      return deal_vocabulary(config.vocabulary, shards, s).width;
    default:
      return config.hidden;
  }
}

TEST(UnshardedColumns, EveryColumnHasOneFirstHolder) {
  for (const auto& [heads, kv] : {std::pair<std::int64_t, std::int64_t>{9, 3}, {8, 2}, {4, 4}}) {
    const ModelConfig config = config_of(heads, kv);
    for (const int shards : {1, 2, 3, 4, 16}) {
      Plan plan;
      plan.shards = shards;
      plan.stage_layers = {1};
      const UnshardedColumns columns(config, plan, place_of(plan, 0));
      for (const auto operation :
           {Operation::qkv, Operation::query_key_norm, Operation::attention, Operation::gate_up,
            Operation::activation, Operation::attention_partials, Operation::logits}) {
        std::vector<int> held(static_cast<std::size_t>(columns.width(operation, config.hidden)), 0);
        for (int s = 0; s < shards; ++s) {
          const auto cols = columns_of(config, operation, shards, s);
          std::vector<int> used(static_cast<std::size_t>(cols), 0);
          for (const auto& piece : columns.of(operation, static_cast<std::size_t>(s), cols))
            for (std::int64_t i = 0; i < piece.columns.size(); ++i) {
              ++used.at(static_cast<std::size_t>(piece.columns.begin + i));
              held.at(static_cast<std::size_t>(piece.index + i)) += piece.first_holder ? 1 : 0;
            }
          for (const int times : used) EXPECT_LE(times, 1) << name_of(operation);
        }
        for (const int times : held) EXPECT_EQ(times, 1) << name_of(operation) << " of " << shards;
      }
    }
  }
}

TEST(UnshardedColumns, WhatAllHaveIsWhole) {
  const ModelConfig config = config_of(4, 2);
  Plan plan;
  plan.shards = 2;
  plan.stage_layers = {1};
  const UnshardedColumns columns(config, plan, place_of(plan, 0));
  for (const auto operation : {Operation::embedding, Operation::attention_sum, Operation::mlp_residual,
                               Operation::final_norm, Operation::router}) {
    EXPECT_TRUE(whole_everywhere(operation));
    const auto pieces = columns.of(operation, 1, 7);
    ASSERT_EQ(pieces.size(), 1U);
    EXPECT_EQ(pieces[0].columns, (Range{0, 7}));
    EXPECT_EQ(pieces[0].index, 0);
    EXPECT_EQ(columns.width(operation, 7), 7);
  }
  EXPECT_FALSE(whole_everywhere(Operation::logits));
}

}  // namespace
}  // namespace shardrift
