// Which steps of a record can choose another token where its sums are added in another order: two collective
// profiles say which sums those are, the record how near each step was to a tie.
//
// The rule. A step can flip where a sum that it depends on is added otherwise, and its margin (highest logit
// minus second, of the reference) is at most kReach scales s of how far such a change moves that margin:
//
//   s² = 4 L (u σ)² + d² / 3
//
//   u  unit roundoff of the run's dtype; L layers; σ the standard deviation of the step's logits
//   d  distance of two neighbouring numbers of the logits' dtype at the highest logit
//
// The first term is rounding noise that has spread: once one sum differs, every rounding after it falls
// otherwise, so a change of order moves the logits as far as any other rounding does (docs/explain.md shows
// it by the ladder). A rounding to nearest has a relative variance of 0.18 u² (uniform error, mantissas
// uniform in their logarithm), independent of the others (N. Higham & T. Mary, SIAM J. Sci. Comput. 41,
// 2019); a layer rounds eleven tensors, near 2 u² a layer; the two runs double it. That is how far one logit
// moves. The difference of the highest two would move by √2 of it, did they not move together: what was
// measured is less than one logit's (docs/reductions.md). The second term is the rounding of two logits in
// two runs. Where the run's dtype is also that of the accumulators (float32, float64) every add inside the
// four products rounds as well, K / 2 · 0.18 u² each. The probability is the flip law's
// (analysis/statistics/flip_law.hpp) in its normal shape, P = Φ(-margin / s); at an exact tie Φ(-d / 2s),
// because the lowest id wins again where the tie stays. s is an estimate, no bound: docs/reductions.md says
// how it did. What a run measured replaces it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "parallel/profile/profile_diff.hpp"
#include "record/reader.hpp"
#include "weights/model_config.hpp"

namespace shardrift::analysis {

inline constexpr double kReach = 3;  // scales; beyond, Φ is below 1 in 700

// A message that the record's passes sum.
struct SentMessage {
  MessageDiff diff;
  std::int64_t rows = 0;  // recorded rows whose pass sends it
};

// A step that can flip.
struct NearTie {
  std::string prompt;
  std::int64_t step = 0;
  std::int32_t position = 0;
  std::int32_t chosen = 0;               // by the record
  std::int32_t second = -1;              // the token of the second highest logit; -1: there is none
  std::string chosen_text, second_text;  // empty where the record has no vocabulary
  double margin = 0;
  double scale = 0;
  double probability = 0;
};

struct NearTies {
  std::string record;
  std::vector<SentMessage> messages;  // by their elements, captured ones after eager ones
  std::int64_t rows = 0;
  std::int64_t reached = 0;  // rows that depend on a sum that is added otherwise, or may be, where a profile
  std::int64_t not_known = 0;  //   does not know it; of these: that depend on such sums alone
  std::int64_t seldom = 0;     // not among these: rows that depend on MessageDiff::seldom alone
  bool mixture = false;        // tokens may go to other experts: that moves logits further than rounding
  double expected = 0;         // sum of all reached rows' probabilities
  double scale = 0;            // RMS of s over all reached rows
  std::vector<NearTie> near;   // nearest first, in scales
};

// config: of the record's model. Throws bad_data where the record has no logits (its margins then say nothing
// of how far rounding moves them) or its plan is none of this version's, usage_error where the profiles are
// of another number of ranks than the record, or of other numbers than each other.
NearTies near_ties(const record::Reader& run, const ModelConfig& config, const CollectiveProfile& a,
                   const CollectiveProfile& b);

// A step that did flip, fed the record's tokens.
struct OrderFlip {
  std::string prompt;
  std::int64_t step = 0;
  std::int32_t chosen_a = 0, chosen_b = 0;
  double margin = kNoValue;  // of A's prediction
  bool named = false;        // among NearTies::near
};

// The two predictions side by side.
struct OrderRun {
  std::string a, b;  // their records
  std::int64_t rows = 0;
  std::int64_t rows_differ = 0;
  double rms = kNoValue;         // sqrt(mean (y - x)²) over all rows
  double kl_mean = kNoValue;     // KL(A || B), nats
  std::string law;               // the flip law fitted to them; empty where nothing moved
  double measured_scale = 0;     // RMS of the margins' movement: what NearTies::scale estimates
  std::vector<OrderFlip> flips;  // in order of prompts and steps
  // Rows in which A's prediction has the record's bits: all, where the record was made with A's order here.
  std::optional<std::int64_t> rows_of_record;
  std::int64_t named() const;
};

// of_a: A's prediction against B's. with_record: the record against A's prediction; null: not compared.
OrderRun order_run(const NearTies& ties, const Measurement& of_a, const Measurement* with_record);

}  // namespace shardrift::analysis
