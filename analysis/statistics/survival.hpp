// The survival curve: the share of prompts whose text is still identical after n tokens.
//
// Prompts end at different lengths (end of sequence, another limit, a partial file), so a share of those
// that got that far would compare different prompts at every n. Kaplan and Meier's estimator (JASA 53, 1958)
// multiplies, over the tokens up to n, the share of prompts still compared and identical that stayed so; a
// prompt that ends identical leaves the count there (it is censored), and says nothing about later tokens.
//
// Interval: the beta product confidence procedure with the method of moments (M. Fay, E. Brittain, M.
// Proschan, Biostatistics 14, 2013). It is Clopper and Pearson's exact interval where nothing is censored,
// and is not empty where nothing differed yet, as Greenwood's would be.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "analysis/statistics/bootstrap.hpp"

namespace shardrift::statistics {

// One prompt: the text was compared over `tokens` tokens; if `changed`, the last of them is the first that
// differs.
struct Lifetime {
  std::int64_t tokens = 0;
  bool changed = false;
};

struct SurvivalPoint {
  std::int64_t tokens = 0;    // n
  std::int64_t at_risk = 0;   // prompts identical and compared before token n
  std::int64_t changed = 0;   // of these, at token n
  std::int64_t censored = 0;  // ended identical after n tokens
  double share = 1;           // identical after n tokens
  Interval interval;
};

struct Survival {
  double confidence = 0.95;
  std::int64_t prompts = 0;
  std::int64_t changed = 0;
  std::int64_t longest = 0;  // tokens of the longest comparison: nothing is known beyond
  // n = 0, every n at which a prompt changed or ended, and the n after one ended (the interval widens there).
  std::vector<SurvivalPoint> points;

  // The step function at n; nullopt beyond `longest`.
  std::optional<SurvivalPoint> after(std::int64_t tokens) const;
  // The first n at which at most half are identical.
  std::optional<std::int64_t> median() const;
};

// The token number of each prompt's first differing token (1: the first generated), or how many were
// compared. Prompts without compared rows are left out.
std::vector<Lifetime> lifetimes(const analysis::Measurement& measurement);
Survival survival(const std::vector<Lifetime>& lifetimes, double confidence);

// "greedy" and "follow" runs generate; a "score" run has no text of its own, and no survival curve.
bool generates(const analysis::Measurement& measurement);

}  // namespace shardrift::statistics
