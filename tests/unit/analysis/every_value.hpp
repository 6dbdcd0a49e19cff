// A Measurement as text that differs where any of its values does.
#pragma once
#include <fmt/core.h>

#include <bit>
#include <string>

#include "analysis/measure/measurement.hpp"
#include "analysis/measure/metrics_columns.hpp"

namespace shardrift::analysis::testing {

// Every value as text, doubles by their bits: NaN and -0 must come back too.
inline std::string everything(const Measurement& m) {
  std::string all;
  for (const auto* run : {&m.reference, &m.candidate}) {
    all += fmt::format("{}|{}|{}|{}|{}|", run->pace.passes, run->pace.decode, run->pace.seconds,
                       run->pace.fastest, run->pace.slowest);
    all += fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}\n", run->path, run->name, run->plan, run->shards,
                       run->complete, run->prompts, run->prefill_seconds, run->decode_seconds,
                       run->prefill_tokens, run->decode_tokens, run->run.command);
    all += run->run.model.identity + run->run.plan + run->run.environment.topology;
    for (const auto& device : run->run.environment.devices) all += device.name + device.host;
    for (const auto& collective : run->run.environment.collectives)
      all += collective.version + collective.trees[0];
  }
  for (const auto& one : m.differences) all += one.what + "=" + one.reference + ">" + one.candidate + "\n";
  for (const auto& id : m.missing_in_reference) all += "not in the reference " + id + "\n";
  for (const auto& id : m.missing_in_candidate) all += "not in the candidate " + id + "\n";
  for (const auto* list : {&m.left_out, &m.contradictory})
    for (const auto& one : *list) all += "left out " + one.id + ": " + one.why + "\n";
  for (const auto& prompt : m.prompts) {
    all += fmt::format("{} {} {} {} {} {} {} {} {} {}\n", prompt.id, prompt.index, prompt.prompt_tokens,
                       prompt.reference_steps, prompt.candidate_steps, prompt.reference_stop,
                       prompt.has_logits, prompt.bit_equal, prompt.differs,
                       prompt.first_flip ? std::to_string(*prompt.first_flip) : "none");
    all +=
        fmt::format("routes {} {} {}\n", prompt.routes.k, prompt.routes.tokens, prompt.routes.tokens_flipped);
    for (const auto& layer : prompt.routes.layers)
      all += fmt::format("{} {} {} {} {}\n", layer.layer, layer.flips, layer.first_flip, layer.sum_drift,
                         layer.max_drift);
    for (const auto& step : prompt.steps)
      each_step_column([&]<typename Field>(const char* name, Field Step::*field, const char*) {
        if constexpr (std::is_same_v<Field, double>)
          all += fmt::format("{}={:x} ", name, std::bit_cast<std::uint64_t>(step.*field));
        else
          all += fmt::format("{}={} ", name, static_cast<std::int64_t>(step.*field));
      });
  }
  return all;
}

}  // namespace shardrift::analysis::testing
