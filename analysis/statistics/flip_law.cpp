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

// A margin that was tried, and the share of rows whose movement would flip it.
struct Case {
  double margin = 0;
  double flips = 0;
  double weight = 0;
};

// Joins cases, in order of their margins, into about kBins.
std::vector<Case> binned(const std::vector<Case>& cases) {
  double total = 0;
  for (const auto& one : cases) total += one.weight;
  std::vector<Case> bins;
  for (const auto& one : cases) {
    if (bins.empty() || bins.back().weight >= total / static_cast<double>(kBins)) bins.emplace_back();
    auto& bin = bins.back();
    bin.margin += one.weight * one.margin;
    bin.flips += one.weight * one.flips;
    bin.weight += one.weight;
  }
  for (auto& bin : bins) {
    bin.margin /= bin.weight;
    bin.flips /= bin.weight;
  }
  return bins;
}

double loss(double share, double p) {
  return -(share * std::log(std::max(p, kTiny)) + (1 - share) * std::log1p(-p));
}

double loss_of(const std::vector<Case>& cases, LawShape shape, double scale) {
  double sum = 0;
  double weight = 0;
  for (const auto& c : cases) {
    sum += c.weight * loss(c.flips, tail(shape, c.margin / scale));
    weight += c.weight;
  }
  return sum / weight;
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

}  // namespace

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

FlipLawFitter::FlipLawFitter(std::vector<MarginRow> rows) : rows_(std::move(rows)) {
  for (const double own : {0.0, 0.5, 1.0}) {
    Form form;
    form.own = own;
    for (const auto& row : rows_) {
      const double unit = epsilon_of(own, 1, row.rms);
      // A row that did not move at all has ε = 0 for own > 0: it flips at no margin.
      if (!row.tied && unit > 0) form.by_margin.push_back({row.margin / unit, row.moved / unit, row.prompt});
    }
    form.by_moved = form.by_margin;
    std::sort(form.by_margin.begin(), form.by_margin.end(),
              [](const Scaled& a, const Scaled& b) { return a.margin < b.margin; });
    std::sort(form.by_moved.begin(), form.by_moved.end(),
              [](const Scaled& a, const Scaled& b) { return a.moved < b.moved; });
    forms_.push_back(std::move(form));
  }
}

// What does not depend on the form.
std::optional<FlipLaw> FlipLawFitter::counted(const Drawn& drawn) const {
  FlipLaw law;
  double squares = 0;
  double weight = 0;
  for (const auto& row : rows_) {
    const std::int64_t times = drawn[row.prompt];
    squares += static_cast<double>(times) * row.rms * row.rms;
    weight += static_cast<double>(times);
    (row.tied ? law.ties : law.rows) += times;
    if (row.flipped) (row.tied ? law.flips_at_ties : law.flips) += times;
  }
  if (weight == 0) return std::nullopt;
  law.epsilon = std::sqrt(squares / weight);
  if (law.epsilon > 0)
    law.tie_flips = (static_cast<double>(law.flips_at_ties) + 0.5) / (static_cast<double>(law.ties) + 1);
  return law;
}

struct FlipLawFitter::Cases {
  std::vector<Case> list;  // in units of ε
  double scale = 0;        // RMS of Δ / ε; 0: nothing moved
};

// unit: ε of a row in the form's units. weight: of all rows without ties.
FlipLawFitter::Cases FlipLawFitter::cases_of(const Form& form, double unit, double weight,
                                             const Drawn& drawn) {
  Cases cases;
  double squares = 0;
  for (const auto& row : form.by_moved) squares += drawn[row.prompt] * row.moved * row.moved;
  if (squares == 0) return cases;
  const double scale = std::sqrt(squares / weight);
  cases.scale = scale / unit;
  // The rows nearest to a flip: those within kNear scales, or, where flips are that rare, the kFewest with
  // the smallest margins.
  const double near = kNear * scale;
  double within = 0;
  double furthest = near;
  double counted = 0;
  for (const auto& row : form.by_margin) {
    if (row.margin <= near) within += drawn[row.prompt];
    if (row.margin > near && (counted >= kFewest && row.margin > furthest)) break;
    if (drawn[row.prompt] == 0) continue;
    counted += drawn[row.prompt];
    furthest = std::max(furthest, row.margin);
  }
  // How they move: the share below each threshold, equality counted half; thresholds ascend.
  std::size_t i = 0;
  double below = 0;
  const auto share_at = [&](double threshold) {
    const auto weight_of = [&](const Scaled& row) {
      return row.margin <= furthest ? static_cast<double>(drawn[row.prompt]) : 0.0;
    };
    for (; i < form.by_moved.size() && form.by_moved[i].moved < threshold; ++i)
      below += weight_of(form.by_moved[i]);
    double equal = 0;
    for (std::size_t k = i; k < form.by_moved.size() && form.by_moved[k].moved == threshold; ++k)
      equal += weight_of(form.by_moved[k]);
    return (below + equal / 2) / counted;
  };
  // The margins to try: their own, or, with too few of them, evenly spread ones (close to 0 the density of
  // margins is flat).
  if (within >= kFewest) {
    const auto end = std::partition_point(form.by_margin.begin(), form.by_margin.end(),
                                          [&](const Scaled& row) { return row.margin <= near; });
    double share = 0;
    for (auto row = std::make_reverse_iterator(end); row != form.by_margin.rend(); ++row) {
      if (drawn[row->prompt] == 0) continue;
      if (cases.list.empty() || row->margin / unit != cases.list.back().margin)
        share = share_at(-row->margin);
      cases.list.push_back({row->margin / unit, share, static_cast<double>(drawn[row->prompt])});
    }
  } else {
    for (std::size_t k = kBins; k-- > 0;) {
      const double margin = near * (static_cast<double>(k) + 0.5) / static_cast<double>(kBins);
      cases.list.push_back({margin / unit, share_at(-margin), 1});
    }
  }
  cases.list = binned(cases.list);
  return cases;
}

double FlipLawFitter::loss_of_flips(const FlipLaw& law, const Drawn& drawn) const {
  double sum = 0;
  for (const auto& row : rows_)
    if (!row.tied && drawn[row.prompt] > 0)
      sum += drawn[row.prompt] * loss(row.flipped ? 1 : 0, law.probability(row));
  return sum / static_cast<double>(law.rows);
}

std::optional<FlipLaw> FlipLawFitter::refit(const FlipLaw& form, const Drawn& drawn) const {
  auto law = counted(drawn);
  if (!law) return std::nullopt;
  law->shape = form.shape;
  law->own = form.own;
  if (law->epsilon == 0 || law->rows == 0) return law;
  const auto place =
      std::find_if(forms_.begin(), forms_.end(), [&](const Form& f) { return f.own == form.own; });
  const auto cases =
      cases_of(*place, epsilon_of(1 - form.own, 1, law->epsilon), static_cast<double>(law->rows), drawn);
  if (cases.scale > 0) law->scale = best_scale(cases.list, law->shape, cases.scale);
  return law;
}

std::optional<FlipLaw> FlipLawFitter::fit(const Drawn& drawn) const {
  const auto all = counted(drawn);
  if (!all || all->epsilon == 0 || all->rows == 0) return all;
  std::optional<FlipLaw> best;
  double lowest = 0;
  for (const auto& form : forms_) {
    const auto cases =
        cases_of(form, epsilon_of(1 - form.own, 1, all->epsilon), static_cast<double>(all->rows), drawn);
    for (const auto shape : {LawShape::logistic, LawShape::normal, LawShape::student_t4}) {
      FlipLaw law = *all;
      law.shape = shape;
      law.own = form.own;
      double result = 0;
      if (cases.scale > 0) {
        law.scale = best_scale(cases.list, shape, cases.scale);
        result =
            law.flips >= kEnoughFlips ? loss_of_flips(law, drawn) : loss_of(cases.list, shape, law.scale);
      }
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
