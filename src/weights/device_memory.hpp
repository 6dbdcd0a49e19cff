// What one rank's device holds: its slices of the weights, keys and values, and the buffers of a pass. From
// sizes alone, so that a plan can be judged before any weight is read; the loader and the forward pass
// allocate just that (test DeviceMemory).
#pragma once
#include <cstdint>
#include <vector>

#include "parallel/plan/plan.hpp"
#include "weights/model_config.hpp"

namespace shardrift {

// How much a forward pass is built for.
struct Capacity {
  std::int64_t rows = 0;        // of the largest pass
  std::int64_t logit_rows = 0;  // whose logits one pass is asked for, at most
  std::int64_t length = 0;      // positions of the KV cache
  std::int64_t slots = 1;       // sequences of the KV cache
};
// Of a run over prompts of these lengths, in its order. longest: tokens of the longest sequence, answers
// included; at most the model's context counts. decodes: false in score mode, which has logits of all rows.
// in_flight: groups of prompts that are decoded in turns, each with sequences of its own.
Capacity capacity_of(const Plan& plan, const ModelConfig& config, bool decodes,
                     const std::vector<std::int64_t>& prompt_lengths, std::int64_t longest,
                     int in_flight = 1);

inline constexpr std::int64_t kHeadRows = 256;  // rows of one head product: a constant of the numerics

// Whether decode attention spreads a row's keys over the device (attention_scratch.hpp).
bool spreads_attention(const Plan& plan, std::int64_t head_dim);

struct DeviceMemory {  // bytes
  std::int64_t weights = 0;
  std::int64_t cache = 0;    // keys and values
  std::int64_t buffers = 0;  // of the largest pass
  std::int64_t total() const { return weights + cache + buffers; }
  bool operator==(const DeviceMemory&) const = default;
};
// plan must be validated.
DeviceMemory device_memory(const ModelConfig& config, const Plan& plan, const Place& place,
                           const Capacity& capacity);
// Of the rank that needs most.
DeviceMemory fullest_device(const ModelConfig& config, const Plan& plan, const Capacity& capacity);

}  // namespace shardrift
