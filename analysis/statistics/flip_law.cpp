#include "analysis/statistics/flip_law.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "analysis/statistics/proportion.hpp"

namespace shardrift::statistics {
namespace {

constexpr double kNear = 8;                // scales of a flip; beyond, P is below 1e-9 for bell-shaped F
constexpr std::size_t kFewest = 200;       // rows to learn from
constexpr std::size_t kBins = 64;          // margins are binned: the likelihood is smooth in them
constexpr int kSteps = 40;                 // of the golden section: the bracket shrinks to 1e-8 of itself
constexpr std::int64_t kEnoughFlips = 10;  // to choose a form by those that happened
constexpr double kTiny = 1e-300;

double epsilon_of(double own, double mean, double rms) {
  return own == 0 ? mean : own == 1 ? rms : std::sqrt(rms * mean);  // a is 0, 1/2 or 1
}

// Rows in units of their ε. A row that did not move at all has ε = 0 for a > 0: it flips at no margin.
struct Scaled {
  double margin = 0;
  double moved = 0;
  double weight = 0;
};

struct Sample {
  std::vector<Scaled> rows;  // without ties
  double weight = 0;
  double scale = 0;  // RMS of `moved`
};

Sample scaled_rows(const std::vector<MarginRow>& rows, const Drawn& drawn, double own, double mean) {
  Sample sample;
  double squares = 0;
  for (const auto& row : rows) {
    const double weight = drawn[row.prompt];
    if (row.tied || weight == 0) continue;
    const double epsilon = epsilon_of(own, mean, row.rms);
    sample.weight += weight;
    if (epsilon == 0) continue;
    sample.rows.push_back({row.margin / epsilon, row.moved / epsilon, weight});
    squares += weight * sample.rows.back().moved * sample.rows.back().moved;
  }
  if (sample.weight > 0) sample.scale = std::sqrt(squares / sample.weight);
  return sample;
}

// Margins in bins, with the share of rows whose movement would flip them.
struct Case {
  double margin = 0;
  double flips = 0;
  double weight = 0;
};

// How the rows nearest to a flip move: those within kNear scales of it, or, where flips are that rare, the
// kFewest with the smallest margins.
std::vector<Scaled> near_rows(const Sample& sample) {
  std::vector<Scaled> rows = sample.rows;
  std::stable_sort(rows.begin(), rows.end(), [](const Scaled& a, const Scaled& b) { return a.margin < b.margin; });
  const auto end = std::partition_point(
      rows.begin(), rows.end(), [&](const Scaled& row) { return row.margin <= kNear * sample.scale; });
  const auto within = static_cast<std::size_t>(end - rows.begin());
  rows.resize(std::min(rows.size(), std::max(within, kFewest)));
  return rows;
}

// The margins to try: the rows' own within kNear scales, or, with too few of them, evenly spread ones (close
// to 0 the density of margins is flat).
std::vector<Scaled> tried_margins(const std::vector<Scaled>& near, double scale) {
  std::vector<Scaled> tried;
  for (const auto& row : near)
    if (row.margin <= kNear * scale) tried.push_back(row);
  if (tried.size() >= kFewest) return tried;
  tried.assign(kBins, {});
  for (std::size_t k = 0; k < kBins; ++k) {
    tried[k].margin = kNear * scale * (static_cast<double>(k) + 0.5) / static_cast<double>(kBins);
    tried[k].weight = 1;
  }
  return tried;
}

std::vector<Case> cases_of(const Sample& sample) {
  if (sample.scale == 0) return {};
  std::vector<Scaled> moved = near_rows(sample);
  std::vector<Scaled> tried = tried_margins(moved, sample.scale);
  std::sort(moved.begin(), moved.end(), [](const Scaled& a, const Scaled& b) { return a.moved < b.moved; });
  std::sort(tried.begin(), tried.end(), [](const Scaled& a, const Scaled& b) { return a.margin > b.margin; });
  double total = 0;
  for (const auto& row : moved) total += row.weight;
  double all_tried = 0;
  for (const auto& row : tried) all_tried += row.weight;
  // Both lists ascend in the threshold -margin.
  std::vector<Case> cases;
  double below = 0;
  std::size_t i = 0;
  double in_bin = 0;
  double share = 0;
  for (std::size_t r = 0; r < tried.size(); ++r) {
    const auto& row = tried[r];
    if (r == 0 || row.margin != tried[r - 1].margin) {
      while (i < moved.size() && moved[i].moved < -row.margin) below += moved[i++].weight;
      double equal = 0;
      for (std::size_t k = i; k < moved.size() && moved[k].moved == -row.margin; ++k)
        equal += moved[k].weight;
      share = (below + equal / 2) / total;
    }
    if (cases.empty() || in_bin >= all_tried / static_cast<double>(kBins)) {
      cases.emplace_back();
      in_bin = 0;
    }
    auto& bin = cases.back();
    bin.margin += row.weight * row.margin;
    bin.flips += row.weight * share;
    bin.weight += row.weight;
    in_bin += row.weight;
  }
  for (auto& bin : cases) {
    bin.margin /= bin.weight;
    bin.flips /= bin.weight;
  }
  return cases;
}

double loss(double share, double p) {
  return -(share * std::log(std::max(p, kTiny)) + (1 - share) * std::log1p(-p));
}

double loss_of(const std::vector<Case>& cases, LawShape shape, double scale) {
  double sum = 0;
  for (const auto& c : cases) sum += c.weight * loss(c.flips, tail(shape, c.margin / scale));
  return sum;
}

// The scale that minimizes the loss, by golden section over its logarithm.
double best_scale(const std::vector<Case>& cases, LawShape shape, double around) {
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  double low = std::log(around) - 4;
  double high = std::log(around) + 2;
  const auto at = [&](double x) { return loss_of(cases, shape, std::exp(x)); };
  double left = high - ratio * (high - low);
  double right = low + ratio * (high - low);
  double at_left = at(left);
  double at_right = at(right);
  for (int step = 0; step < kSteps; ++step) {
    if (at_left <= at_right) {
      high = right;
      right = left;
      at_right = at_left;
      at_left = at(left = high - ratio * (high - low));
    } else {
      low = left;
      left = right;
      at_left = at_right;
      at_right = at(right = low + ratio * (high - low));
    }
  }
  return std::exp((low + high) / 2);
}

// What does not depend on the form.
std::optional<FlipLaw> counted_law(const std::vector<MarginRow>& rows, const Drawn& drawn) {
  FlipLaw law;
  double squares = 0;
  double weight = 0;
  for (const auto& row : rows) {
    const std::int64_t times = drawn[row.prompt];
    squares += static_cast<double>(times) * row.rms * row.rms;
    weight += static_cast<double>(times);
    (row.tied ? law.ties : law.rows) += times;
    if (row.flipped) (row.tied ? law.flips_at_ties : law.flips) += times;
  }
  if (weight == 0) return std::nullopt;
  law.epsilon = std::sqrt(squares / weight);
  law.tie_flips = law.epsilon == 0
                      ? 0
                      : (static_cast<double>(law.flips_at_ties) + 0.5) / (static_cast<double>(law.ties) + 1);
  return law;
}

// Sets the scale; returns the loss of the cases, per row.
double fit_scale(FlipLaw& law, const Sample& sample) {
  law.scale = 0;
  const auto cases = cases_of(sample);
  if (cases.empty()) return 0;
  law.scale = best_scale(cases, law.shape, sample.scale);
  double weight = 0;
  for (const auto& c : cases) weight += c.weight;
  return loss_of(cases, law.shape, law.scale) / weight;
}

double loss_of_flips(const FlipLaw& law, const std::vector<MarginRow>& rows, const Drawn& drawn) {
  double sum = 0;
  for (const auto& row : rows)
    if (!row.tied) sum += drawn[row.prompt] * loss(row.flipped ? 1 : 0, law.probability(row));
  return sum / static_cast<double>(law.rows);
}

}  // namespace

const char* name_of(LawShape shape) {
  switch (shape) {
    case LawShape::normal:
      return "normal";
    case LawShape::logistic:
      return "logistic";
    case LawShape::student_t4:
      return "t4";
  }
  return "";
}

double tail(LawShape shape, double x) {
  switch (shape) {
    case LawShape::normal:
      return std::erfc(x / std::sqrt(2.0)) / 2;
    case LawShape::logistic:
      return 1 / (1 + std::exp(std::min(x, 700.0)));
    case LawShape::student_t4: {
      // 1/2 - 3/4 s + 1/4 s^3 with s = x / sqrt(4 + x^2), factored so that nothing cancels.
      const double root = std::hypot(2.0, x);
      const double rest = 4 / (root * (root + x));  // 1 - s
      return rest * rest * (3 - rest) / 4;
    }
  }
  return 0;
}

std::vector<MarginRow> margin_rows(const analysis::Measurement& measurement) {
  std::vector<MarginRow> rows;
  for (std::size_t j = 0; j < measurement.prompts.size(); ++j) {
    const auto& steps = measurement.prompts[j].steps;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const auto& step = steps[i];
      if (!step.measured || !std::isfinite(step.margin_reference) || !std::isfinite(step.margin_candidate) ||
          !std::isfinite(step.rms))
        continue;
      MarginRow row;
      row.prompt = static_cast<std::uint32_t>(j);
      row.token = static_cast<std::int64_t>(i) + 1;
      row.margin = step.margin_reference;
      row.moved = (step.flipped() ? -step.margin_candidate : step.margin_candidate) - step.margin_reference;
      row.rms = step.rms;
      row.tied = step.ties_reference > 1;
      row.flipped = step.flipped();
      rows.push_back(row);
    }
  }
  return rows;
}

double FlipLaw::probability(double margin, double rms) const {
  const double size = scale * epsilon_of(own, epsilon, rms);
  if (size == 0) return 0;
  return tail(shape, margin / size);
}

double FlipLaw::probability(const MarginRow& row) const {
  if (row.tied) return row.rms == 0 ? 0 : tie_flips;
  return probability(row.margin, row.rms);
}

std::string FlipLaw::formula() const {
  if (scale == 0) return "P(flip | margin) = 0: no row moved";
  const std::string size = own == 0   ? fmt::format("{:.3g}", scale * epsilon)
                           : own == 1 ? fmt::format("({:.3g} rms)", scale)
                                      : fmt::format("({:.3g} sqrt(rms))", scale * std::sqrt(epsilon));
  return fmt::format("P(flip | margin) = {}(-margin / {})", name_of(shape), size);
}

std::optional<FlipLaw> refit_flip_law(const FlipLaw& form, const std::vector<MarginRow>& rows,
                                      const Drawn& drawn) {
  auto law = counted_law(rows, drawn);
  if (!law) return std::nullopt;
  law->shape = form.shape;
  law->own = form.own;
  if (law->epsilon > 0) fit_scale(*law, scaled_rows(rows, drawn, law->own, law->epsilon));
  return law;
}

std::optional<FlipLaw> fit_flip_law(const std::vector<MarginRow>& rows, const Drawn& drawn) {
  const auto counted = counted_law(rows, drawn);
  if (!counted || counted->epsilon == 0 || counted->rows == 0) return counted;
  std::optional<FlipLaw> best;
  double lowest = 0;
  for (const double own : {0.0, 0.5, 1.0}) {
    const Sample sample = scaled_rows(rows, drawn, own, counted->epsilon);
    for (const auto shape : {LawShape::logistic, LawShape::normal, LawShape::student_t4}) {
      FlipLaw law = *counted;
      law.shape = shape;
      law.own = own;
      double result = fit_scale(law, sample);
      if (law.flips >= kEnoughFlips) result = loss_of_flips(law, rows, drawn);
      if (!best || result < lowest) {
        best = law;
        lowest = result;
      }
    }
  }
  return best;
}

std::vector<MarginBin> flips_by_margin(const std::vector<MarginRow>& rows, double confidence) {
  constexpr std::size_t kMarginBins = 12;
  std::vector<const MarginRow*> sorted;
  double largest = 0;
  for (const auto& row : rows)
    if (row.flipped && !row.tied) largest = std::max(largest, row.margin);
  for (const auto& row : rows)
    if (!row.tied && row.margin <= 2 * largest) sorted.push_back(&row);
  std::sort(sorted.begin(), sorted.end(),
            [](const MarginRow* a, const MarginRow* b) { return a->margin < b->margin; });
  std::vector<MarginBin> bins;
  for (const auto* row : sorted) {
    // Equal margins stay together: 16-bit logits have few.
    const bool full =
        bins.empty() || (bins.back().rows >= static_cast<std::int64_t>(sorted.size() / kMarginBins) &&
                         row->margin > bins.back().high);
    if (full) bins.push_back({bins.empty() ? 0 : bins.back().high, 0, 0, 0, 0, {}});
    auto& bin = bins.back();
    bin.high = row->margin;
    bin.mean_margin += row->margin;
    ++bin.rows;
    bin.flips += row->flipped ? 1 : 0;
  }
  for (auto& bin : bins) {
    bin.mean_margin /= static_cast<double>(bin.rows);
    bin.interval = proportion(bin.flips, bin.rows, confidence).interval;
  }
  return bins;
}

}  // namespace shardrift::statistics
