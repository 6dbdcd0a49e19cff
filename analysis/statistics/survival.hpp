// The survival curve: the share of prompts whose text is still identical after n tokens.
//
// Prompts end at different lengths, so a share of those that got that far would compare different prompts
// at every n. Kaplan and Meier's estimator (JASA 53, 1958) multiplies, over the tokens up to n, the share of
// prompts still compared and identical that stayed so. A prompt that was cut off (token limit, a partial
// file) while identical leaves the count there, it is censored: what it would have done later is not known.
// A text that came to its own end (end of sequence) while identical is known: it cannot change any more, and
// stays in the count up to the length at which longer texts were cut. (So 1 - share is the cumulative
// incidence of a change, with the end of the text as the competing event.)
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

enum class End {
  changed,  // the last token compared is the first that differs
  cut,      // identical as far as compared
  whole,    // identical to the end of the text
};

// One prompt: the text was compared over `tokens` tokens.
struct Lifetime {
  std::int64_t tokens = 0;
  End end = End::cut;
};

struct SurvivalPoint {
  std::int64_t tokens = 0;   // n
  std::int64_t at_risk = 0;  // prompts identical and compared before token n
  std::int64_t changed = 0;  // of these, at token n
  std::int64_t cut = 0;      // compared to n tokens, identical, and no further
  double share = 1;          // identical after n tokens
  Interval interval;
};

struct Survival {
  double confidence = 0.95;
  std::int64_t prompts = 0;
  std::int64_t changed = 0;
  std::int64_t whole = 0;    // identical to their end
  std::int64_t longest = 0;  // the last n at which a prompt changed or was cut
  // Whether the curve goes on beyond `longest`, level: no text was cut, each changed or came to its end.
  bool known_beyond = false;
  // n = 0, every n at which a prompt changed or was cut, and the n after a cut (the interval widens there).
  std::vector<SurvivalPoint> points;

  // The step function at n; nullopt where nothing is known.
  std::optional<SurvivalPoint> after(std::int64_t tokens) const;
  // The first n at which at most half are identical.
  std::optional<std::int64_t> median() const;
};

// The number of each prompt's first differing token (1: the first generated), or how many were compared.
// Prompts without compared rows are left out.
std::vector<Lifetime> lifetimes(const analysis::Measurement& measurement);
Survival survival(const std::vector<Lifetime>& lifetimes, double confidence);

// "greedy" and "follow" runs generate; a "score" run has no text of its own, and no survival curve.
bool generates(const analysis::Measurement& measurement);

}  // namespace shardrift::statistics
