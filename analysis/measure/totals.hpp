// A prompt's or a whole run's numbers: functions over what was measured, row by row.
#pragma once
#include <cstdint>
#include <optional>

#include "analysis/measure/measurement.hpp"
#include "common/named_enum.hpp"

namespace shardrift::analysis {

struct Totals {
  std::int64_t steps = 0;           // rows compared
  std::int64_t steps_measured = 0;  // of these, with logits in both files; what follows is about them
  std::int64_t steps_differ = 0;    // other words, or between dtypes other numbers
  std::int64_t elements = 0;        // logits
  std::int64_t elements_differ = 0;
  std::int64_t not_finite = 0;       // pairs without a finite difference
  std::int64_t rows_not_finite = 0;  // rows that have such pairs
  std::int64_t rows_without_value =
      0;  // rows of which no distribution can be made on a side (NaN, +infinity)
  // NaN as soon as one row has no value: it is not hidden by the others.
  double max_abs = 0;
  double sum_abs = 0;
  double sum_square = 0;
  double max_ulp = 0;  // NaN between dtypes, too
  double max_kl = 0;   // nats
  double sum_kl = 0;
  double sum_kl_reverse = 0;
  double sum_js = 0;
  double sum_tv = 0;
  double max_abs_delta_p = 0;
  double max_regret = 0;
  std::int64_t sum_top_overlap = 0;
  std::int64_t worst_rank = 0;      // of the reference's choice in the candidate
  std::int64_t top1_equal = 0;      // steps with the same chosen token; of all compared
  std::int64_t flips_at_ties = 0;   // steps with other chosen tokens and an exact tie at the top on a side
  std::int64_t ties_reference = 0;  // steps with an exact tie at the top
  std::int64_t ties_candidate = 0;

  double mean_abs() const;           // over elements; 0 where there are none
  double rms() const;                // likewise
  double mean_kl() const;            // over measured steps
  double mean_of(double sum) const;  // sum over measured steps; 0 where there are none
  double top1_agreement() const;     // share of steps; 1 where there are none
  void add(const Step& step, std::int64_t vocabulary);
};

Totals totals_of(const PromptMeasurement& prompt, std::int64_t vocabulary);
Totals totals_of(const Measurement& measurement);

// The step at which a prompt's chosen tokens first differ; null where they do not.
const Step* flip_of(const PromptMeasurement& prompt);
// Why a prompt's compared rows end where they do. both: neither file has another row. flip: a text parts
// there. fewer: one file has no more rows. other_tokens: both have, but were fed other tokens, though the
// most likely one had been the same: the texts part without a flip (sampled, or the file does not say how).
// Of a scored text beside a generated one (scored_beside_generated) other ends are their nature.
enum class RowsEnd { both, flip, fewer, other_tokens };
RowsEnd end_of(const PromptMeasurement& prompt);
bool scored_beside_generated(const Measurement& measurement);

// The prompt whose flip comes at the earliest step (row of the reference).
std::optional<std::size_t> first_flip(const Measurement& measurement);

std::int64_t prompts_bit_equal(const Measurement& measurement);

// Both records have logits, in two dtypes: numbers are compared, and there are no bits to be equal.
bool in_other_dtypes(const Measurement& measurement);
// Every row of a prompt was compared, in two dtypes, and no number differs.
bool same_numbers(const Measurement& measurement, const PromptMeasurement& prompt);

// same_numbers: what bit_equal is where the logits are of two dtypes. inconclusive: no difference was found,
// but prompts or rows are missing on one side, or a record holds probabilities in place of logits.
enum class Equality { bit_equal, same_numbers, differs, inconclusive };
constexpr auto names_of(Equality) {
  return std::to_array<Named<Equality>>({{Equality::bit_equal, "bit-equal"},
                                         {Equality::same_numbers, "same-numbers"},
                                         {Equality::differs, "differs"},
                                         {Equality::inconclusive, "inconclusive"}});
}
Equality equality_of(const Measurement& measurement);

// beyond: a logit differs by more than `tolerance`, by no finite number, or another token was chosen.
// inconclusive: none was found, but prompts, rows or logits are missing on one side, or are probabilities.
enum class Closeness { within, beyond, inconclusive };
Closeness closeness_of(const Measurement& measurement, double tolerance);

}  // namespace shardrift::analysis
