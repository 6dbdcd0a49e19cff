#include "analysis/statistics/reweighting.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/statistics/random.hpp"

namespace shardrift::statistics {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMostCopies = 1e4;
constexpr int kSearchDraws = 1000;

// What is known of the largest values of sum / rows.
struct Tail {
  double largest = 0;
  double positive = 0;  // how many are above 0
  double hill = 0;      // mean log of the largest over the first that is not among them
  double smallest = 0;
  double hill_below = 0;  // the same of the reciprocals: of the smallest
};

double values_in_tail(double prompts, double positive) {
  return std::min(std::max(kFewestInTail, std::round(2 * std::sqrt(prompts))), positive - 1);
}

class Prompts {
 public:
  // places: which prompts; all that have rows unless given.
  Prompts(const Clustered& values, const Worst& worst, const std::vector<std::size_t>* places = nullptr)
      : worst_(worst) {
    for (std::size_t j = 0; j < values.rows.size(); ++j) {
      const bool counted =
          places == nullptr ? values.rows[j] > 0 : std::binary_search(places->begin(), places->end(), j);
      if (!counted) continue;
      places_.push_back(j);
      sum_.push_back(values.sum[j]);
      rows_.push_back(values.rows[j]);
      mean_rows_ += values.rows[j];
      most_rows_ = std::max(most_rows_, values.rows[j]);
    }
    if (!rows_.empty()) mean_rows_ /= static_cast<double>(rows_.size());
    find_tail();
  }
  // As if there were so many of each.
  Prompts times(double copies) const {
    Prompts more = *this;
    more.copies_ = copies;
    more.find_tail();
    return more;
  }

  double copies() const { return copies_; }
  std::size_t count() const { return rows_.size(); }
  const std::vector<std::size_t>& places() const { return places_; }
  const Tail& tail() const { return tail_; }
  bool unbounded_zero() const { return tail_.positive == 0 && std::isinf(worst_.sum); }
  double mean() const {
    return weighted([](std::size_t) { return 1.0; }, {0, 0}, 0);
  }

  // The prompt that was not seen, in one draw.
  Worst unseen(Random& random) const {
    const double values = in_tail();
    if (tail_.positive < 2 || values + 1 < kFewestInTail) return worst_;
    const double heaviness = std::min(kHeaviest, tail_.hill * values / random.gamma(values - 2));
    const double sum = tail_.largest / (1 - heaviness) * mean_rows_;
    return sum < worst_.sum ? Worst{sum, mean_rows_} : worst_;
  }
  // … and the one that would lower the mean most.
  Worst least(Random& random) const {
    const double values = in_tail();
    if (worst_.counts || tail_.positive < static_cast<double>(count()) || values + 1 < kFewestInTail)
      return {0, most_rows_};
    const double heaviness = tail_.hill_below * values / random.gamma(values - 2);
    return {tail_.smallest / (1 + heaviness) * most_rows_, most_rows_};
  }

  // weight_of(j): of the j-th counted prompt.
  template <typename Weight>
  double weighted(const Weight& weight_of, const Worst& more, double more_weight) const {
    double above = more_weight > 0 ? more_weight * more.sum : 0;
    double below = more_weight > 0 ? more_weight * more.rows : 0;
    for (std::size_t j = 0; j < rows_.size(); ++j) {
      above += weight_of(j) * sum_[j];
      below += weight_of(j) * rows_[j];
    }
    return above / below;
  }

 private:
  double in_tail() const {
    return values_in_tail(copies_ * static_cast<double>(count()), copies_ * tail_.positive);
  }

  void find_tail() {
    tail_ = {};
    std::vector<double> values;
    for (std::size_t j = 0; j < rows_.size(); ++j)
      if (sum_[j] > 0 && rows_[j] > 0) values.push_back(sum_[j] / rows_[j]);
    tail_.positive = static_cast<double>(values.size());
    if (values.empty()) return;
    std::sort(values.begin(), values.end(), std::greater<>());
    tail_.largest = values.front();
    if (values.size() < 2) return;
    const std::size_t last = values.size() - 1;
    const auto among =
        static_cast<std::size_t>(std::clamp(std::round(in_tail() / copies_), 1.0, static_cast<double>(last)));
    tail_.smallest = values[last];
    for (std::size_t i = 0; i < among; ++i) {
      tail_.hill += std::log(values[i] / values[among]);
      tail_.hill_below += std::log(values[last - among] / values[last - i]);
    }
    tail_.hill /= static_cast<double>(among);
    tail_.hill_below /= static_cast<double>(among);
  }

  Worst worst_;
  double copies_ = 1;
  std::vector<std::size_t> places_;
  std::vector<double> sum_;
  std::vector<double> rows_;
  double mean_rows_ = 0;
  double most_rows_ = 0;
  Tail tail_;
};

double at_level(std::vector<double>& values, double level) {
  const auto last = static_cast<double>(values.size() - 1);
  const auto place = static_cast<std::ptrdiff_t>(std::clamp(level * last, 0.0, last));
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return values[static_cast<std::size_t>(place)];
}

Interval ends_of(std::vector<double>& lower, std::vector<double>& upper, double confidence) {
  const double level = (1 - confidence) / 2;
  Interval ends;
  ends.low = at_level(lower, level);
  // Rounded away from the middle: a limit is not passed by rounding.
  for (double& value : upper) value = -value;
  ends.high = -at_level(upper, level);
  return ends;
}

// high_of, low_of: what the end is drawn from, of the weights of a draw and of its prompt that was not seen.
template <typename High, typename Low>
Interval drawn(std::size_t prompts, double copies, int draws, const BootstrapOptions& options,
               const High& high_of, const Low& low_of) {
  Random random(options.seed);
  std::vector<double> weights(prompts);
  std::vector<double> lower;
  std::vector<double> upper;
  const auto weight_of = [&](std::size_t j) { return weights[j]; };
  for (int i = 0; i < draws; ++i) {
    for (double& weight : weights) weight = copies == 1 ? random.exponential() : random.gamma(copies);
    const double more = random.exponential();
    const double high = high_of(random, weight_of, more);
    const double low = low_of(random, weight_of, more);
    if (!std::isnan(high)) upper.push_back(high);
    if (!std::isnan(low)) lower.push_back(low);
  }
  if (upper.empty() || lower.empty()) return {};
  return ends_of(lower, upper, options.confidence);
}

Interval interval_of(const Prompts& prompts, int draws, const BootstrapOptions& options) {
  return drawn(
      prompts.count(), prompts.copies(), draws, options,
      [&](Random& random, const auto& weight_of, double more) {
        return prompts.weighted(weight_of, prompts.unseen(random), more);
      },
      [&](Random& random, const auto& weight_of, double more) {
        return prompts.weighted(weight_of, prompts.least(random), more);
      });
}

}  // namespace

Worst worst_of_rows(const std::vector<double>& rows, double highest, bool counts) {
  const double longest = rows.empty() ? 1 : *std::max_element(rows.begin(), rows.end());
  return {highest * longest, longest, counts};
}

Estimate reweighted_mean(const Clustered& values, const Worst& worst, const BootstrapOptions& options) {
  const Prompts prompts(values, worst);
  Estimate result;
  result.prompts = static_cast<std::int64_t>(prompts.count());
  if (prompts.count() == 0) return result;
  result.value = prompts.mean();
  if (prompts.count() < 2 || !std::isfinite(result.value) || prompts.unbounded_zero()) return result;
  result.method = IntervalMethod::reweighted;
  result.interval = interval_of(prompts, options.resamples, options);
  return result;
}

Estimate reweighted_pair(const Clustered& values, const Worst& worst, const Clustered& others,
                         const std::function<double(double, double)>& combine,
                         const BootstrapOptions& options) {
  const Prompts prompts(values, worst);
  const Prompts beside(others, {}, &prompts.places());
  Estimate result;
  result.prompts = static_cast<std::int64_t>(prompts.count());
  if (prompts.count() == 0) return result;
  result.value = combine(prompts.mean(), beside.mean());
  if (prompts.count() < 2 || !std::isfinite(result.value) || prompts.unbounded_zero()) return result;
  // Against each other: a large mean beside a small one, and a small one beside a large.
  result.interval = drawn(
      prompts.count(), 1, options.resamples, options,
      [&](Random& random, const auto& weight_of, double more) {
        return combine(prompts.weighted(weight_of, prompts.unseen(random), more),
                       beside.weighted(weight_of, {0, 0}, 0));
      },
      [&](Random& random, const auto& weight_of, double more) {
        const Worst far = beside.tail().positive == 0 ? Worst{0, 0} : beside.unseen(random);
        return combine(prompts.weighted(weight_of, prompts.least(random), more),
                       beside.weighted(weight_of, far, more));
      });
  if (!std::isnan(result.interval.low)) result.method = IntervalMethod::reweighted;
  return result;
}

std::optional<std::int64_t> prompts_to_decide(const Clustered& values, const Worst& worst, double limit,
                                              const BootstrapOptions& options) {
  const Prompts prompts(values, worst);
  if (prompts.count() < 2) return std::nullopt;
  const bool below = prompts.mean() <= limit;
  const auto decided = [&](double copies) {
    const auto ends = interval_of(prompts.times(copies), kSearchDraws, options);
    return below ? ends.high <= limit : ends.low > limit;
  };
  double enough = 2;
  while (!decided(enough)) {
    enough *= 2;
    if (enough > kMostCopies) return std::nullopt;
  }
  double few = enough / 2;
  while (enough / few > 1.05) {
    const double between = std::sqrt(few * enough);
    (decided(between) ? enough : few) = between;
  }
  return static_cast<std::int64_t>(std::ceil(enough * static_cast<double>(prompts.count())));
}

}  // namespace shardrift::statistics
