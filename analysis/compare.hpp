// Comparing a candidate run with the reference, prompt by prompt. Bounded memory: rows are read in blocks,
// one pass over both files.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/differences.hpp"
#include "analysis/metrics.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {

// Sums over steps; of one prompt or of a whole run.
struct Totals {
  std::int64_t steps = 0;           // rows compared
  std::int64_t steps_measured = 0;  // of these, with logits in both files
  std::int64_t steps_differ = 0;    // not bit-equal (of the measured)
  std::int64_t elements = 0;        // logits measured
  std::int64_t elements_differ = 0;
  std::int64_t not_finite = 0;
  double max_abs = 0;
  double sum_abs = 0;
  double max_kl = 0;  // nats
  double sum_kl = 0;
  double max_abs_delta_p = 0;
  std::int64_t top1_equal = 0;      // steps with the same chosen token
  std::int64_t ties_reference = 0;  // steps with an exact tie at the top
  std::int64_t ties_candidate = 0;

  double mean_abs() const;        // over elements with a finite difference; 0 where there are none
  double mean_kl() const;         // over measured steps
  double top1_agreement() const;  // share of steps; 1 where there are none
  void add(const StepMetrics& step, std::int64_t vocabulary);
  void add(const Totals& other);
};

// The first step of a prompt at which the chosen token differs.
struct Flip {
  std::int64_t step = 0;       // row of the reference
  std::int32_t position = 0;   // of the fed token
  std::int32_t reference = 0;  // chosen tokens
  std::int32_t candidate = 0;
  std::optional<double> margin;  // the reference's top-1 minus top-2 logit there; nullopt without logits
};

struct PromptComparison {
  std::string id;
  std::int64_t reference_steps = 0;  // rows in the file
  std::int64_t candidate_steps = 0;
  bool has_logits = false;  // in both files
  // Every row of both files was compared and has the same words; without logits: the same dtype, rows and
  // hash.
  bool bit_equal = false;
  bool differs = false;  // a difference was found. Neither: equal as far as it goes
  Totals totals;
  std::optional<Flip> flip;
};

enum class Verdict { bit_equal, differs, inconclusive };

struct Comparison {
  std::string path;  // of the candidate
  std::string plan;  // described
  int shards = 0;
  bool complete = true;  // candidate's status
  std::vector<Difference> differences;
  std::vector<PromptComparison> prompts;
  std::vector<std::string> missing;  // prompts of one file only, where the other is partial
  Totals totals;
  std::int64_t prompts_bit_equal = 0;
  std::optional<std::size_t> first_flip;  // index into prompts: the flip at the earliest step
  Verdict verdict = Verdict::bit_equal;   // inconclusive: no difference found, but something is missing
};

// Throws bad_data where the files do not belong together: other model identity, vocabulary size, prompts or
// prompt tokens; and where a file turns out damaged.
Comparison compare_runs(const record::Reader& reference, const record::Reader& candidate);

}  // namespace shardrift::analysis
