// The envelope of several runs of the same tokens: how far each logit moves among them, and whether any of
// them chooses another token. Made for the runs of one model under every order of summation
// (scripts/envelope).
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "record/reader.hpp"

namespace shardrift::analysis {

// One position, over all runs.
struct EnvelopeRow {
  std::int32_t input_id = 0;
  std::int32_t position = 0;
  double max_spread = 0;             // largest (highest - lowest) of one logit
  std::int64_t max_at = 0;           // that token
  double mean_spread = 0;            // over the vocabulary
  double margin = 0;                 // top-1 minus top-2 in the first run
  std::vector<std::int32_t> chosen;  // distinct tokens chosen, the first run's first
};

struct PromptEnvelope {
  std::string id;
  std::vector<EnvelopeRow> rows;  // until the first position at which the runs were fed different tokens
  std::int64_t recorded = 0;      // rows in the first run
};

// The lowest and highest value of every logit of one row, in the first run's prompt and row.
using SpreadSink = std::function<void(const std::string& id, const EnvelopeRow& row,
                                      const std::vector<double>& lowest, const std::vector<double>& highest)>;

// runs: two or more, of the same prompts, model and vocabulary; other dtypes are compared as numbers. Throws
// bad_data naming the file that does not belong, or holds no logits. Reads one row of every run at a time.
std::vector<PromptEnvelope> envelope(const std::vector<record::Reader>& runs, const SpreadSink& sink = {});

// Positions at which some run chooses another token.
std::int64_t flips_of(const std::vector<PromptEnvelope>& prompts);

}  // namespace shardrift::analysis
