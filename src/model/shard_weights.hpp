// The weights one rank needs: for each hosted layer and shard, contiguous aligned copies of its slices.
// Weights are [out, in], row-major, in the run's dtype.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "model/backend.hpp"
#include "weights/model_config.hpp"
#include "weights/safetensors.hpp"

namespace shardrift {

// Under --row-linear gather the row-parallel weights are [ceil(hidden / S), all of K]: the shard's rows of
// the output, zero-padded.
struct ShardLayer {
  std::int64_t query_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t columns = 0;  // of the MLP
  OwnedMatrix qkv;           // [(query_heads + 2 · kv_heads) · head_dim, hidden]; column-parallel
  OwnedMatrix output;        // [hidden, query_heads · head_dim]; row-parallel
  OwnedMatrix gate_up;       // [2 · columns, hidden]; column-parallel
  OwnedMatrix down;          // [hidden, columns]; row-parallel
  Buffer local_kv;           // int32 [query_heads]
};

struct LayerWeights {
  OwnedMatrix attention_norm;  // [1, hidden], the same on every rank
  OwnedMatrix mlp_norm;        // [1, hidden]
  std::vector<ShardLayer> shards;
};

struct ShardVocabulary {
  VocabShare share;
  OwnedMatrix rows;  // [width, hidden], zero-padded
};

struct ModelWeights {
  std::vector<LayerWeights> layers;        // of this stage
  std::vector<ShardVocabulary> embedding;  // first stage; also the last stage's where the head is tied
  std::vector<ShardVocabulary> head;       // last stage, untied
  OwnedMatrix final_norm;                  // last stage
  std::size_t bytes = 0;                   // of all of the above, on the device
  std::size_t bytes_per_token = 0;         // read by one decode step: everything but the embedding rows
};

// Checks names and shapes of everything it reads. `progress` is told the share done, 0 to 1.
ModelWeights load_weights(const Checkpoint& checkpoint, const ModelConfig& config, const Plan& plan,
                          const Place& place, Backend& backend, const std::function<void(double)>& progress);

}  // namespace shardrift
