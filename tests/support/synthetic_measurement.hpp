// Made-up measurements that look like real ones: greedy runs whose logits move by `noise`, with margins such
// that near-ties flip. The same on every machine; nothing here was ever run.
#pragma once
#include <fmt/core.h>
#include <cmath>
#include <cstdint>

#include <random>
#include <string>

#include "analysis/measure/measurement.hpp"
#include "parallel/reduction/sum_tree.hpp"

namespace shardrift::testing {

struct SyntheticRun {
  std::string name = "tp2";
  int shards = 2;
  double noise = 0.1;  // typical |Δlogit|; 0: bit-equal
  int prompts = 8;
  int steps = 64;
  std::uint64_t seed = 1;
};

class Draws {
 public:
  explicit Draws(std::uint64_t seed) : engine_(seed) {}
  double uniform() { return (static_cast<double>(engine_() >> 11U) + 0.5) * 0x1p-53; }
  double exponential(double mean) { return -mean * std::log(uniform()); }
  // Box and Muller's
  double normal() { return std::sqrt(exponential(2)) * std::cos(2 * 3.141592653589793 * uniform()); }
  int below(int count) { return static_cast<int>(uniform() * count); }

 private:
  std::mt19937_64 engine_;
};

inline analysis::RunSummary synthetic_summary(const std::string& name, int shards, int prompts) {
  analysis::RunSummary summary;
  summary.path = "out/" + name + ".h5";
  summary.name = name;
  summary.plan =
      shards == 1 ? "one device, bfloat16, cuda" : fmt::format("TP={}, native, bfloat16, cuda", shards);
  summary.shards = shards;
  summary.prompts = prompts;
  summary.run.created = "2026-11-26T12:00:00Z";
  summary.run.command = "shardrift-run run --model models/example --prompts prompts.jsonl --output " + name;
  summary.run.version = "0.1.0";
  summary.run.mode = "greedy";
  summary.run.resume_key = name;
  summary.run.logits_dtype = DType::bfloat16;
  summary.run.model = {"LlamaForCausalLM", "bfloat16", "none", "{}", std::string(64, 'a'), 32000, {}};
  for (int rank = 0; rank < shards; ++rank)
    summary.run.environment.devices.push_back({rank, "host", "NVIDIA H200", "", "9.0", "580"});
  summary.prefill_seconds = 1;
  summary.decode_seconds = 20.0 / shards + 5;
  summary.prefill_tokens = 400;
  summary.decode_tokens = 4000;
  const double pace = summary.decode_seconds / 4000;
  summary.pace = {4000, true, pace, 0.98 * pace, 1.03 * pace};
  return summary;
}

// A ring over `ranks` of one message: a tree for each chunk.
inline record::CollectiveInfo synthetic_ring(int ranks, std::int64_t count) {
  record::CollectiveInfo one;
  one.operation = "all-reduce";
  one.count = count;
  one.dtype = "bfloat16";
  one.ranks = ranks;
  one.library = "nccl";
  one.version = "2.28.3";
  one.algorithm = "ring";
  one.protocol = "ll";
  one.channels = "24";
  one.source = "probed";
  for (int chunk = 0; chunk < ranks; ++chunk) {
    one.trees.push_back(to_string(ring_tree(ranks, chunk)));
    one.segments.push_back({count * chunk / ranks, count * (chunk + 1) / ranks, chunk});
  }
  return one;
}

inline analysis::Step synthetic_step(Draws& draws, Draws& own, const SyntheticRun& run, int row, int prompt) {
  analysis::Step step;
  step.step = step.candidate_step = row;
  step.position = 8 + prompt % 5 + row;
  step.input_id = 100 + draws.below(900);
  step.phase = row == 0 ? record::Phase::prefill : record::Phase::decode;
  step.measured = true;
  step.margin_reference = std::round(draws.exponential(3.0) * 16) / 16;  // bfloat16 logits have steps
  step.ties_reference = step.margin_reference == 0 ? 2 : 1;
  step.ties_candidate = 1;
  step.chosen_reference = step.chosen_candidate = 100 + draws.below(900);
  step.p_reference = step.p_candidate = step.p_own = 1 / (1 + std::exp(-step.margin_reference));
  step.bit_equal = run.noise == 0;
  step.rank_of_choice = 1;
  step.top_overlap = 10;
  step.margin_candidate = step.margin_reference;
  const double size = run.noise * (0.5 + own.exponential(0.5)) * (1 + row / 100.0);
  step.max_abs = size;
  step.rms = size / 4;
  step.mean_abs = size / 5;
  step.max_ulp = std::round(size * 16);
  step.mean_ulp = size * 4;
  step.kl = size * size / 200;
  step.kl_reverse = step.kl * 1.01;
  step.js = step.kl / 4;
  step.tv = size / 10;
  step.log_ratio = size / 50;
  step.regret = 0;
  if (run.noise == 0) return step;
  step.elements_differ = 28000;
  step.p_candidate = step.p_own = step.p_reference * (1 - size / 20);
  // How the difference of the top two logits moves: a bell of the size of the row's own difference.
  const double moved = size * 0.35 * own.normal();
  step.margin_candidate = std::abs(step.margin_reference + moved);
  if (moved < -step.margin_reference) {
    step.chosen_candidate = step.chosen_reference + 1;
    step.p_own = step.p_candidate * 1.01;
    step.regret = step.margin_reference;
    step.rank_of_choice = 2;
  }
  return step;
}

inline analysis::Measurement synthetic_measurement(const SyntheticRun& run) {
  analysis::Measurement measurement;
  measurement.reference = synthetic_summary("one", 1, run.prompts);
  measurement.candidate = synthetic_summary(run.name, run.shards, run.prompts);
  if (run.shards > 1)
    for (const std::int64_t tokens : {1, 17, 256, 1400})
      measurement.candidate.run.environment.collectives.push_back(synthetic_ring(run.shards, tokens * 4096));
  if (run.shards > 1) {
    measurement.differences.push_back({"plan shards", "1", std::to_string(run.shards)});
    measurement.differences.push_back({"devices", "1", std::to_string(run.shards)});
    measurement.differences.push_back({"library nccl", "", "2.28.3"});
  }
  for (int p = 0; p < run.prompts; ++p) {
    Draws draws(1000 + static_cast<std::uint64_t>(p));  // the reference's: the same for every candidate
    Draws own(run.seed * 7919 + static_cast<std::uint64_t>(p));
    analysis::PromptMeasurement prompt;
    prompt.id = fmt::format("p{:02}", p);
    prompt.index = p;
    prompt.prompt_tokens = 9 + p % 5;
    prompt.reference_steps = prompt.candidate_steps = run.steps;
    prompt.has_logits = true;
    prompt.bit_equal = run.noise == 0;
    prompt.differs = run.noise != 0;
    for (int row = 0; row < run.steps && !prompt.first_flip; ++row) {
      prompt.steps.push_back(synthetic_step(draws, own, run, row, p));
      if (prompt.steps.back().flipped()) prompt.first_flip = prompt.steps.size() - 1;
    }
    measurement.prompts.push_back(std::move(prompt));
  }
  return measurement;
}

}  // namespace shardrift::testing
