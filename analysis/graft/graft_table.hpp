// What an operation's output contributes to the difference of two plans: the reference's tensor is put in its
// place in the candidate, layer by layer, and what then still differs is measured. Both are fed the same
// tokens.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/measure/metrics.hpp"
#include "record/operations.hpp"

namespace shardrift::analysis {

// "attention_sum:12", "mlp_sum:all", "logits" (of operations outside the layers).
struct GraftWanted {
  record::Operation operation = record::Operation::embedding;
  std::optional<std::int64_t> layer;  // nullopt: all, or the one place that it has
};
// Throws usage_error naming `flag`, the text and the operations there are.
GraftWanted graft_wanted(const std::string& flag, const std::string& text);

// Rows of a run against the reference's.
struct GraftDistance {
  std::int64_t rows = 0;
  std::int64_t rows_differ = 0;  // in any bit
  std::int64_t elements_differ = 0;
  std::int64_t rows_moved = 0;  // whose bits the graft changed: against the candidate without one
  std::int64_t flips = 0;       // rows with another chosen token
  double kl_mean = kNoValue;    // KL(reference || run), nats
  double rms = kNoValue;        // sqrt(mean (y - x)²)
};

// Adds up rows.
class GraftSum {
 public:
  void add(const Step& step, bool moved);
  GraftDistance distance() const;

 private:
  GraftDistance counts_;
  double divergence_ = 0;
  double squares_ = 0;
};

struct GraftTable {
  std::string operation;
  std::string reference, candidate;  // plans, described
  std::string model;                 // where it lies
  std::string mode;                  // follow | score
  std::int64_t prompts = 0;
  std::int64_t vocabulary = 0;
  GraftDistance plain;  // the candidate as it is
  struct Layer {
    std::int64_t layer = 0;  // -1: the operation stands outside the layers
    GraftDistance left;
  };
  std::vector<Layer> layers;  // ascending

  // Of the candidate's mean KL, the share that a graft takes away: 1 all of it, below 0 it adds some. NaN
  // where there is none.
  double taken(const GraftDistance& left) const;
  const Layer* best() const;  // that leaves the least KL; null without layers, or where there is none to take
};

}  // namespace shardrift::analysis
