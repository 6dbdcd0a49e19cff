// What a candidate may differ by: limits, how sure one must be, and presets. docs/verdict.md explains the
// defaults.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/statistics/bootstrap.hpp"

namespace shardrift::verdict {

enum class Unit { none, share, nats, times };

// One thing that is limited. Its key in a threshold file, and in JSON, is `name`.
struct LimitKind {
  const char* name;
  Unit unit;
  double highest;     // that makes sense
  const char* text;   // "{}" stands for the limit: "mean KL at most {}"
  const char* words;  // what is limited, in a sentence: "mean KL"
};

// bit_equal, changed_prompts, flips, clear_flips, flip_regret, clear_flip_regret, kl_mean, kl_p99, tv_mean,
// delta_p_mean, delta_p_p99, excess_error, yardstick.
const std::vector<LimitKind>& limit_kinds();
const LimitKind& limit_kind(std::string_view name);

struct Limit {
  const LimitKind* kind = nullptr;
  double value = 0;  // at most; of bit_equal: unused
};

struct Thresholds {
  std::string source;                      // "preset serving", or the file
  std::vector<Limit> limits;               // in the order of limit_kinds()
  std::int64_t prompts = 30;               // with fewer nothing passes
  std::int64_t tokens = 256;               // changed_prompts: within so many tokens
  statistics::BootstrapOptions bootstrap;  // confidence, resamples, seed
  // A candidate may cost this many times the cheapest one that passes, if it diverges less.
  double cost_slack = 1.25;
};

// bitwise | strict | serving. Throws usage_error for another name.
Thresholds preset(std::string_view name);
// Throws bad_data "FILE:LINE: …" naming the key.
Thresholds read_thresholds(const std::filesystem::path& file);
Thresholds parse_thresholds(std::string_view text, const std::string& file);

// "mean KL at most 0.01 nats", for people.
std::string limit_text(const Limit& limit, const Thresholds& thresholds);

}  // namespace shardrift::verdict
