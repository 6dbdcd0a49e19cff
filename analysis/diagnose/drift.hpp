// The rule by which a drift is held to be rounding, or larger than rounding can make. Pure functions of
// distances.
//
// Of a row at a station, the level of rounding is the largest of
//   - the distances of the band's runs: the same tokens on one device, under other orders of summation and
//     other products, so that what rounding does to this row, at this operation, in this model is measured;
//   - the median over the station's rows of that level relative to the row's norm, times this row's norm: a
//     row on which the few runs of the band agree by luck is no more exact than others;
//   - u · norm, u the unit roundoff of the dtype (Higham: Accuracy and Stability of Numerical Algorithms,
//     2002, chapter 2): what storing the row once may move. Of logits that are stored narrower than they were
//     computed it is the narrower dtype's.
// The excess of a row is its distance over its level. Among runs that differ by rounding alone it is about 1:
// the band's runs and the candidate are draws of one kind. A station is beyond where the excess of some row
// is above kRowDefect, or the root mean square over rows above kMeanDefect; within where all are below
// kRowNoise and kMeanNoise; unclear else.
//
// At the logits of a record without sketches kMeanNoiseOfLogits takes kMeanNoise's place: layers whose
// operations nobody saw lie before them, and their mean over many rows is steady, so that what may be called
// noise is bounded by the largest mean that runs of another order had.
//
// The four numbers were set before any case was made, well above what eight projections of a row may be off
// by, and not changed since; docs/diagnose.md says what planted defects and other orders then gave. The fifth
// came after defects planted into another engine had been called noise (docs/results/diagnose-engines.md).
#pragma once
#include <optional>
#include <vector>

#include "analysis/diagnose/stations.hpp"
#include "common/dtype.hpp"

namespace shardrift::analysis {

inline constexpr double kRowNoise = 8;
inline constexpr double kRowDefect = 16;
inline constexpr double kMeanNoise = 3;
inline constexpr double kMeanNoiseOfLogits = 1.3;
inline constexpr double kMeanDefect = 6;

// kMeanNoise or kMeanNoiseOfLogits.
double mean_noise(Seen seen, record::Operation operation);

// 2^-p of a dtype with p bits of significand.
double unit_roundoff(DType dtype);

enum class Size { within, unclear, beyond };
constexpr auto names_of(Size) {
  return std::to_array<Named<Size>>(
      {{Size::within, "within"}, {Size::unclear, "unclear"}, {Size::beyond, "beyond"}});
}

struct StationDrift {
  Station station;
  std::int64_t rows = 0;
  double drift = 0;              // sqrt(Σ distance² / Σ norm²) over rows: relative
  double level = 0;              // sqrt(Σ level² / Σ norm²)
  double worst = 0;              // largest excess of a row; infinite where something was to be 0
  std::size_t worst_row = 0;     // of the target's
  double mean = 0;               // root mean square of the rows' excess
  std::int64_t rows_beyond = 0;  // excess above kRowDefect
  std::int64_t rows_differ = 0;  // distance above 0
  Size size = Size::within;
};

// The stations of `run`, in its order. Of each, the runs of the band that have the same one count.
std::vector<StationDrift> drifts(const RunDistances& run, const std::vector<const RunDistances*>& band,
                                 double roundoff);

// Where a run departs by more than rounding: the first operation with a station of this size.
struct Departure {
  record::Point point;
  Size size = Size::beyond;
  std::vector<int>
      shards;           // whose own columns are that far apart, ascending; empty: not known, or no shard's
  int shards_seen = 0;  // that have columns here and were compared one by one; 0: none
  StationDrift worst;   // of the stations of this operation the one of the largest excess
};
std::optional<Departure> first_departure(const std::vector<StationDrift>& drifts, Size least);

}  // namespace shardrift::analysis
