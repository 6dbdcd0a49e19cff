// The weights one rank needs: for each hosted layer and shard, contiguous aligned copies of its slices.
// Weights are [out, in], row-major, in the run's dtype.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "model/backend.hpp"
#include "weights/model_config.hpp"
#include "weights/safetensors.hpp"

namespace shardrift {

// One shard's weights of one block. Column-parallel `in` [2 or 3 matrices' rows, hidden], row-parallel `out`
// [hidden, inner]; under --row-linear gather [ceil(hidden / S), all of K]: the shard's rows of the output,
// zero-padded.
struct ShardBlock {
  std::int64_t inner = 0;  // the shard's part of out's K: query_heads · head_dim, or MLP columns
  OwnedWeight in;          // queries, keys, values; or gates, ups
  OwnedMatrix in_bias;     // [1, rows of in]; empty where the block has none
  OwnedWeight out;
};

// One shard's part of one expert: its columns, or all of them where experts are dealt whole.
struct ShardExpert {
  std::int64_t id = 0;
  ShardBlock block;
};

struct ShardLayer {
  std::int64_t query_heads = 0;
  std::int64_t kv_heads = 0;
  Buffer local_kv;                                // int32 [query_heads]
  std::int64_t queries_a_kv = 0;                  // query heads of one KV head, at most
  OwnedMatrix sinks;                              // [1, query_heads]; empty where the layer has none
  std::array<ShardBlock, kBlocks.size()> blocks;  // the MLP's is empty where the layer is a mixture
  std::vector<ShardExpert> experts;               // by id
  // Of a mixture's down biases those that this shard adds to its experts' outputs: [experts, hidden] on the
  // shard that has them to add (the first; every one where experts are dealt whole), its own rows of the
  // output under --row-linear gather; else empty.
  OwnedMatrix expert_out_bias;
  const ShardBlock& operator[](Block block) const { return blocks[static_cast<std::size_t>(block)]; }
};

// What every rank has of a block, whole. Empty where the layer's description has none.
struct BlockVectors {
  OwnedMatrix norm_before;  // [1, hidden]
  OwnedMatrix norm_after;
  OwnedMatrix out_bias;
};

struct LayerWeights {
  std::array<BlockVectors, kBlocks.size()> blocks;
  OwnedWeight router;                // [experts, hidden]; empty where the layer is no mixture
  OwnedMatrix router_bias;           // [1, experts]
  OwnedMatrix query_norm, key_norm;  // [1, head_dim], or [1, heads · head_dim] of a norm over whole rows
  std::vector<ShardLayer> shards;
  const BlockVectors& operator[](Block block) const { return blocks[static_cast<std::size_t>(block)]; }
};

struct ShardVocabulary {
  VocabShare share;
  OwnedWeight rows;  // [width, hidden], zero-padded
};

struct ModelWeights {
  std::vector<LayerWeights> layers;        // of this stage
  std::vector<ShardVocabulary> embedding;  // first stage; also the last stage's where the head is tied
  std::vector<ShardVocabulary> head;       // last stage, untied
  OwnedMatrix final_norm;                  // last stage
  std::size_t bytes = 0;                   // of all of the above, on the device
  // Read by one decode step: everything but the embedding rows, and of a mixture the experts that one row
  // goes to (more of them in a batch).
  std::size_t bytes_per_token = 0;
};

// Checks names and shapes of everything it reads. `progress` is told the share done, 0 to 1. The number of
// threads changes no bits.
ModelWeights load_weights(const Checkpoint& checkpoint, const ModelConfig& config, const Plan& plan,
                          const Place& place, Backend& backend, const std::function<void(double)>& progress,
                          int threads = 1);

}  // namespace shardrift
