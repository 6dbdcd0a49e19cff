// The flip law: how likely it is that another token is chosen, given the reference's margin.
//
// The reference chose token 1 by a margin m over the best other. The candidate's logits differ, and with
// them that difference, by some Δ. The choice flips when Δ < -m. Sharding and reordering sums is many small
// roundings, so Δ has a bell-shaped law around 0 whose scale follows the size ε of the logits' change:
//
//   P(flip | m, ε) = F(-m / (c ε))
//
// F: the normal law (probit), the logistic, or Student's t with 4 degrees of freedom (both are scale mixtures
// of normals: rows whose ε is not known exactly). ε of a row: rms^a * mean^(1-a), rms its own RMS
// |Δlogit|, mean that of all rows, a in {0, 1/2, 1}: how much a row's own size says about its top two.
//
// Fit. Flips are rare, but Δ is seen in every row: the candidate's margin minus the reference's where the
// choice stayed, minus their sum where it flipped. So every row's Δ/ε is tried at every row's m/ε, and c
// maximizes the binary likelihood of these n^2 cases, equality counted half (logits of 16 bits lie on a
// lattice; at equality the lowest id wins). This needs no flip to have happened, and no density, which would
// break on the many Δ that are exactly 0. Only rows within 8 scales of a flip count, far-off margins come
// with larger logits and larger rounding; where fewer than 200 rows are that near, the 200 nearest tell Δ,
// and evenly spread margins are tried. F and a are chosen by the likelihood of the flips that did happen, or
// of the cases where fewer than 10 did. Derived here; docs/verdict.md has the reasoning and calibration.
//
// Exact ties of the reference have m = 0 and no law: their share of changes is counted by itself.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "analysis/statistics/bootstrap.hpp"
#include "common/named_enum.hpp"

namespace shardrift::statistics {

// What one measured row says about flips.
struct MarginRow {
  std::uint32_t prompt = 0;  // index into the measurement's prompts
  std::int64_t token = 0;    // its number in the text, from 1
  double margin = 0;         // of the reference, >= 0
  double moved = 0;          // Δ
  double rms = 0;            // RMS |Δlogit| of the row
  bool tied = false;         // the reference's top is an exact tie
  bool flipped = false;
};
// Rows with logits on both sides and finite margins, in order.
std::vector<MarginRow> margin_rows(const analysis::Measurement& measurement);

enum class LawShape { normal, logistic, student_t4 };
constexpr auto names_of(LawShape) {
  return std::to_array<Named<LawShape>>(
      {{LawShape::normal, "normal"}, {LawShape::logistic, "logistic"}, {LawShape::student_t4, "t4"}});
}
// P(X < -x) of the standard law, x >= 0.
double tail(LawShape shape, double x);

struct FlipLaw {
  LawShape shape = LawShape::logistic;
  double own = 0;         // a
  double epsilon = 0;     // RMS of the rows' rms, in logits
  double scale = 0;       // c; 0 where no row moved: nothing flips
  double tie_flips = 0;   // P(flip) at an exact tie of the reference; (flips + 1/2) / (ties + 1)
  std::int64_t rows = 0;  // without ties
  std::int64_t flips = 0;
  std::int64_t ties = 0;
  std::int64_t flips_at_ties = 0;

  double probability(double margin, double rms) const;  // margin > 0
  double probability(const MarginRow& row) const;       // ties too
  std::string formula() const;                          // with the fitted numbers
};

// Fits laws to resamples of one set of rows: what does not depend on the resample is done once.
class FlipLawFitter {
 public:
  explicit FlipLawFitter(std::vector<MarginRow> rows);
  // Rows count as often as their prompt was drawn. nullopt where no row is left.
  std::optional<FlipLaw> fit(const Drawn& drawn) const;
  // The same form (shape and own), its numbers from this resample.
  std::optional<FlipLaw> refit(const FlipLaw& form, const Drawn& drawn) const;

 private:
  // The rows without ties in units of rms^own: order is that of rows in units of their ε.
  struct Scaled {
    double margin = 0;
    double moved = 0;
    std::uint32_t prompt = 0;
  };
  struct Form {
    double own = 0;
    std::vector<Scaled> by_margin;  // ascending
    std::vector<Scaled> by_moved;
  };
  struct Cases;
  std::optional<FlipLaw> counted(const Drawn& drawn) const;
  static Cases cases_of(const Form& form, double unit, double weight, const Drawn& drawn);
  double loss_of_flips(const FlipLaw& law, const Drawn& drawn) const;

  std::vector<MarginRow> rows_;
  std::vector<Form> forms_;
};

// How often rows of a margin flipped, counted; ties of the reference left out.
struct MarginBin {
  double low = 0;  // margins in (low, high]
  double high = 0;
  double mean_margin = 0;
  std::int64_t rows = 0;
  std::int64_t flips = 0;
  Interval interval;  // of flips / rows, exact, as if rows were independent
};
// Bins of about equally many rows where flips happen, up to the largest margin that flipped and twice that.
std::vector<MarginBin> flips_by_margin(const std::vector<MarginRow>& rows, double confidence);

}  // namespace shardrift::statistics
