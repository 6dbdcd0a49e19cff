// What a run will cost, from config.json, its prompts and its plan. Memory and disk are counted; time needs a
// rate, and says whose.
#pragma once
#include <cstdint>
#include <vector>

#include "experiments/study/machine.hpp"
#include "options/run_options.hpp"
#include "weights/model_config.hpp"

namespace shardrift::study {

// Tokens through the model. Follow runs have the rows of what they follow.
struct Work {
  std::int64_t prompts = 0;
  std::int64_t prompt_tokens = 0;     // of all prompts
  std::int64_t longest = 0;           // tokens of the longest prompt
  std::vector<std::int64_t> lengths;  // of prompts, in tokens, in the order of the run
  std::int64_t new_tokens = 0;  // rows decoded after them, of all prompts: an upper bound (end of sequence)
};

// Stated, not measured: what one device did in docs/results, so good to a factor of three elsewhere.
struct Rates {
  double weight_bytes_per_second = 0;  // in decoding, which reads all weights once a pass
  double flops_per_second = 0;         // in prefill
  double seconds_per_shard_layer = 0;  // launching the kernels of one layer of one shard
  double seconds_per_row = 0;          // of recording one row: hash and top list, per word of vocabulary
  double start_seconds = 0;            // of a process: libraries, device, communicator
  double load_bytes_per_second = 0;    // weights
};
Rates stated_rates(const Machine& machine, DType dtype);

struct Estimate {
  double seconds = 0;
  std::int64_t disk_bytes = 0;    // of the finished record
  std::int64_t memory_bytes = 0;  // of the fullest device: weights, keys and values, activations
};

Estimate estimate(const RunOptions& options, const ModelConfig& config, const Work& work,
                  const Machine& machine);

}  // namespace shardrift::study
