// How fast a run was, of all ranks, for its last line.
#pragma once
#include "model/shard_weights.hpp"
#include "worker/generate.hpp"

namespace shardrift {

struct Totals {
  double prefill_rate = 0;      // tokens/s
  double decode_rate = 0;       // tokens/s
  double bytes_per_second = 0;  // of weights; 0: decoding was too short to tell
  double roofline = 0;          // share of the speed at which the weights could be read, 0 to 1
};

// Collective. Measures the device's bandwidth where decoding was long enough to be held against it.
Totals total(const World& world, const RunOptions& options, const Generator& generator,
             const ModelWeights& weights, Backend& backend, const Place& place);

}  // namespace shardrift
