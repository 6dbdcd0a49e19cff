// What comparing a candidate run with the reference measures, as plain values: one Step a row, one
// PromptMeasurement a prompt, one Measurement a pair of runs. Everything after the dumps (statistics,
// verdict, report) is drawn from these alone: they are small, and kept beside the dumps, so that dumps are
// read once. docs/metrics.md has every formula and its source.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "analysis/measure/differences.hpp"
#include "analysis/measure/run_summary.hpp"
#include "record/record.hpp"

namespace shardrift::analysis {

inline constexpr double kNoValue = std::numeric_limits<double>::quiet_NaN();

// One compared row: both runs were fed the same tokens at the same positions. x: the reference's logits, y:
// the candidate's, widened exactly to float64; p = softmax(x), q = softmax(y); natural logarithms. Where no
// logits were kept on both sides (`measured` is false) only step, position, input_id, the chosen tokens and
// what lists of the most likely tokens say (top_lists.hpp) are known. A number without a value (NaN in a row,
// an empty set) is NaN.
struct Step {
  std::int64_t step = 0;            // row of the reference
  std::int64_t candidate_step = 0;  // row of the candidate
  std::int32_t position = 0;        // of the fed token, 0-based
  std::int32_t input_id = 0;        // the fed token
  record::Phase phase = record::Phase::decode;
  bool measured = false;
  bool bit_equal = false;            // same dtype and the same stored words
  std::int64_t elements_differ = 0;  // words of one dtype that differ; between dtypes: values
  std::int64_t not_finite = 0;       // pairs without a finite difference; left out of the next five
  double max_abs = kNoValue;         // max |y_i - x_i|
  double mean_abs = kNoValue;
  double rms = kNoValue;         // sqrt(mean (y_i - x_i)^2)
  double max_ulp = kNoValue;     // units in the last place of the run's dtype between x_i and y_i; NaN where
  double mean_ulp = kNoValue;    //   the dtypes differ
  double kl = kNoValue;          // KL(p || q), nats
  double kl_reverse = kNoValue;  // KL(q || p)
  double js = kNoValue;          // Jensen-Shannon divergence, nats, in [0, log 2]
  double tv = kNoValue;          // total variation, in [0, 1]
  std::int32_t chosen_reference = 0;  // argmax, lowest id at ties
  std::int32_t chosen_candidate = 0;
  double p_reference = kNoValue;       // p[chosen_reference]
  double p_candidate = kNoValue;       // q[chosen_reference]; Δp = p_candidate - p_reference
  double p_own = kNoValue;             // q[chosen_candidate]: the candidate's top-1 probability
  double p_next = kNoValue;            // p[t] of the token t that was fed next in the reference (greedy: the
  double log_ratio = kNoValue;         //   chosen one; score, follow: the text's; NaN for the last), and
                                       //   log q[t] - log p[t]
  double regret = kNoValue;            // log p[chosen_reference] - log p[chosen_candidate] >= 0, nats
  double margin_reference = kNoValue;  // top-1 minus top-2 logit of x; 0 at an exact tie
  double margin_candidate = kNoValue;
  std::int64_t ties_reference = 0;  // elements of exactly the top value; more than 1 is a tie
  std::int64_t ties_candidate = 0;
  std::int32_t top_overlap = 0;     // |top-10 of x and top-10 of y| (fewer where the vocabulary is smaller)
  std::int64_t rank_of_choice = 0;  // of chosen_reference in y: 1 is the top; elements above it plus 1; 0:
                                    //   it is NaN there
  // Of mixtures of experts, where both records have routes:
  double route_flips = kNoValue;  // layers that sent the fed token to another set of experts
  double route_drift = kNoValue;  // max |difference of the experts' weights| in the layers that did not

  bool flipped() const { return chosen_reference != chosen_candidate; }
  // Of measured rows. Bit-equal ones do not; rows of two dtypes have no bits to compare, and differ where a
  // number does.
  bool differs() const { return elements_differ > 0; }
  // The choice fell between tokens of exactly one value, in either run: counted apart from flips.
  bool tied() const { return ties_reference > 1 || ties_candidate > 1; }
};

// Where one layer with experts sent a prompt's tokens, in both runs.
struct LayerRoutes {
  std::int64_t layer = 0;
  std::int64_t flips = 0;        // tokens sent to another set of experts
  std::int64_t first_flip = -1;  // position of the first; -1: none
  double sum_drift = 0;  // of |difference of an expert's weight|, over the tokens sent to the same set
  double max_drift = 0;
};

struct PromptRoutes {
  std::int64_t k = 0;               // experts that a token goes to
  std::int64_t tokens = 0;          // fed alike in both runs, up to and including the last compared row
  std::int64_t tokens_flipped = 0;  // in any layer
  std::vector<LayerRoutes> layers;  // empty: not both records have routes, or of other layers
};

// One prompt of both runs. `steps` are the comparable rows, in order: in greedy runs up to and including the
// first flip, in follow and score runs all.
struct PromptMeasurement {
  std::string id;
  std::int64_t index = 0;  // line of the prompts file
  std::int64_t prompt_tokens = 0;
  std::int64_t reference_steps = 0;  // rows in the file
  std::int64_t candidate_steps = 0;
  std::string reference_stop;  // eos | length | context | given: a text that ended cannot change any more
  bool has_logits = false;     // in both files
  bool bit_equal = false;      // every row of both files was compared and has the same words
  bool differs = false;        // a difference was found. Neither: equal as far as it goes, or of two dtypes
  std::vector<Step> steps;
  std::optional<std::size_t> first_flip;  // index into steps
  PromptRoutes routes;
};

// A prompt of both files that cannot be compared.
struct LeftOut {
  std::string id;
  std::string why;  // a clause: "5 and 6 tokens, at position 0 1 against 7"; "in b: row 3 chose …"
};

struct Measurement {
  RunSummary reference;
  RunSummary candidate;
  std::vector<Difference> differences;     // in model, plan and environment, in this order
  std::vector<PromptMeasurement> prompts;  // by index
  // Prompts of the other file only.
  std::vector<std::string> missing_in_reference, missing_in_candidate;
  std::vector<LeftOut> left_out;       // prompts that were fed other tokens
  std::vector<LeftOut> contradictory;  // prompts of which a file says what cannot both be so
  std::size_t missing() const { return missing_in_reference.size() + missing_in_candidate.size(); }
  // Prompts of either file.
  std::size_t all_prompts() const {
    return prompts.size() + missing() + left_out.size() + contradictory.size();
  }
  // A side's rows are no logits: nothing that is computed of them as such means what it says.
  bool of_probabilities() const { return reference.probabilities || candidate.probabilities; }
  // Every prompt was compared.
  bool whole() const { return all_prompts() == prompts.size(); }
};

}  // namespace shardrift::analysis
