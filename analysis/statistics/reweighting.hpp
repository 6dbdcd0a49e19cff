// Intervals of means over few prompts of skewed data, whose ends are passed no more often than they say.
//
// The bootstrap knows only what it saw: where few prompts make the mean it passes a limit far too easily.
// Here prompts get continuous weights (Dirichlet's: D. Rubin, "The Bayesian bootstrap", Annals of Statistics
// 9, 1981), and with them one more prompt that was not seen: the worst there could be. For values within
// known bounds that is N. Gaffke's bound of a mean ("Three test statistics for a nonparametric one-sided
// hypothesis on the mean of a nonnegative variable", Mathematical Methods of Statistics 14, 2005; see M.
// Phan, P. Thomas, E. Learned-Miller, "Towards practical mean bounds for small samples", ICML 2021); for
// shares of prompts it is Clopper and Pearson's. Prompts are taken whole: rows of one prompt are not
// independent.
//
// Where no bound is known (KL), or a far one, the prompt that was not seen has the mean of a Pareto tail
// beyond the largest value: max / (1 - ξ), with ξ from the largest values (B. Hill, Annals of Statistics 3,
// 1975), drawn from what their number leaves open, so that few prompts make it long. ξ above kHeaviest is not
// believed: such a mean says nothing, whatever the number of prompts. Number of values and draws were chosen
// by simulation; tests/statistics/coverage repeats it, docs/results/coverage.md has the table. No method
// holds for every tail: what is too rare to have been seen, and large enough to matter, stays unseen.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "analysis/statistics/bootstrap.hpp"

namespace shardrift::statistics {

// A mean over rows, by prompt: the sum of the rows' values and how many there are (or what else it is divided
// by). Prompts without rows are left out.
struct Clustered {
  std::vector<double> sum;  // >= 0
  std::vector<double> rows;
};

// The prompt that would raise the mean most: what its rows may add up to, and how many they are then.
struct Worst {
  double sum = std::numeric_limits<double>::infinity();
  double rows = 1;
  // Values are counts, or lie on few points: what was not seen may be 0. Else it lies in the lower tail of
  // those seen, as far as all are above 0.
  bool counts = false;
};
// Every row of the longest prompt has the highest value.
Worst worst_of_rows(const std::vector<double>& rows, double highest, bool counts);

// With fewer values above 0 than this nothing is known of the tail: the worst prompt stands for it.
inline constexpr double kFewestInTail = 10;
inline constexpr double kHeaviest = 0.9;

// sum / rows. The upper end is infinite where nothing bounds it. No interval with fewer than 2 prompts, for
// an infinite mean, and where all is 0 and nothing bounds it.
Estimate reweighted_mean(const Clustered& values, const Worst& worst, const BootstrapOptions& options);

// combine(mean of values, mean of others) of the same prompts, in their order, with combine rising in its
// first: what is left above a floor, or how many times the others' mean it is.
Estimate reweighted_pair(const Clustered& values, const Worst& worst, const Clustered& others,
                         const std::function<double(double, double)>& combine,
                         const BootstrapOptions& options);

// About how many prompts like these would bring the interval of the mean to one side of the limit. nullopt:
// no number within reach (10,000 times as many), or nothing is known of the tail.
std::optional<std::int64_t> prompts_to_decide(const Clustered& values, const Worst& worst, double limit,
                                              const BootstrapOptions& options);

}  // namespace shardrift::statistics
