// Measurements made by a law that is known: for statistics and verdicts.
#pragma once
#include <cmath>
#include <functional>
#include <string>

#include "analysis/measure/measurement.hpp"
#include "analysis/statistics/random.hpp"

namespace shardrift::statistics::testing {

inline double uniform(Random& random) {
  return (static_cast<double>(random.below(std::uint64_t{1} << 52U)) + 0.5) / 4503599627370496.0;
}
inline double normal(Random& random) {  // Box and Muller
  return std::sqrt(-2 * std::log(uniform(random))) * std::cos(6.283185307179586 * uniform(random));
}

// A row whose numbers are all known; equal bits.
inline analysis::Step equal_step(std::int64_t row) {
  analysis::Step step;
  step.step = step.candidate_step = row;
  step.position = static_cast<std::int32_t>(8 + row);
  step.measured = step.bit_equal = true;
  step.max_abs = step.mean_abs = step.rms = step.max_ulp = step.mean_ulp = 0;
  step.kl = step.kl_reverse = step.js = step.tv = 0;
  step.p_reference = step.p_candidate = step.p_own = 0.5;
  step.log_ratio = step.regret = 0;
  step.margin_reference = step.margin_candidate = 1;
  step.ties_reference = step.ties_candidate = 1;
  return step;
}

inline analysis::Step differing_step(std::int64_t row, double kl) {
  analysis::Step step = equal_step(row);
  step.bit_equal = false;
  step.elements_differ = 1;
  step.kl = step.kl_reverse = kl;
  step.js = kl / 4;
  step.rms = std::sqrt(kl);
  step.max_abs = 3 * step.rms;
  step.mean_abs = 0.8 * step.rms;
  step.tv = 0.4 * step.rms;
  step.p_candidate = step.p_own = 0.5 + 0.1 * step.rms;
  return step;
}

inline void flip(analysis::Step& step, double regret) {
  step.chosen_candidate = 1;
  step.regret = regret;
  step.margin_candidate = 0.1;
}

inline analysis::RunSummary summary(const std::string& name, int tensor_parallel, double decode_seconds) {
  analysis::RunSummary run;
  run.name = name;
  run.path = name + ".h5";
  run.plan = "TP=" + std::to_string(tensor_parallel);
  run.shards = tensor_parallel;
  run.run.mode = "greedy";
  const std::string count = std::to_string(tensor_parallel);
  run.run.plan =
      R"({"accumulate":"message","batch":1,"device":"cpu","dtype":"float32","logits_dtype":"float32",)"
      R"("partial":"model","pipeline":1,"reduction":"native","replicas":1,"row_linear":"reduce","shards":)" +
      count + R"(,"stage_layers":[2],"tensor_parallel":)" + count + "}";
  run.decode_seconds = decode_seconds;
  run.decode_tokens = 100;
  const double pace = decode_seconds / 100;
  run.pace = {100, true, pace, 0.99 * pace, 1.01 * pace};
  return run;
}

// `prompts` prompts of `rows` rows, greedy, cut at the token limit: rows end at the first flip.
inline analysis::Measurement measurement(const std::string& name, int prompts, int rows,
                                         const std::function<analysis::Step(int prompt, int row)>& make) {
  analysis::Measurement result;
  result.reference = summary("one", 1, 10);
  result.candidate = summary(name, 2, 8);
  for (int j = 0; j < prompts; ++j) {
    auto& prompt = result.prompts.emplace_back();
    prompt.id = "p" + std::to_string(j);
    prompt.index = j;
    prompt.prompt_tokens = 9;
    prompt.reference_steps = prompt.candidate_steps = rows;
    prompt.reference_stop = "length";
    prompt.has_logits = true;
    prompt.bit_equal = true;
    for (int i = 0; i < rows && !prompt.first_flip; ++i) {
      prompt.steps.push_back(make(j, i));
      prompt.bit_equal = prompt.bit_equal && prompt.steps.back().bit_equal;
      if (prompt.steps.back().flipped()) prompt.first_flip = static_cast<std::size_t>(i);
    }
    prompt.differs = !prompt.bit_equal;
  }
  result.reference.prompts = result.candidate.prompts = prompts;
  return result;
}

inline analysis::Measurement equal_measurement(const std::string& name, int prompts, int rows) {
  return measurement(name, prompts, rows, [](int, int row) { return equal_step(row); });
}

}  // namespace shardrift::statistics::testing
