#include "analysis/diagnose/drift.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/statistics/percentiles.hpp"

namespace shardrift::analysis {
namespace {

// Of every row the largest distance of the band's runs; NaN where none has the row.
std::vector<double> band_levels(const Station& station, std::size_t rows,
                                const std::vector<const RunDistances*>& band) {
  std::vector<double> levels(rows, std::numeric_limits<double>::quiet_NaN());
  for (const auto* run : band) {
    const auto* same = run->find(station);
    if (same == nullptr) continue;
    for (std::size_t i = 0; i < std::min(rows, same->distance.size()); ++i)
      levels[i] = std::fmax(levels[i], same->distance[i]);  // fmax: of NaN and a number the number
  }
  return levels;
}

double median_relative(const std::vector<double>& levels, const std::vector<double>& norms) {
  std::vector<double> relative;
  for (std::size_t i = 0; i < levels.size(); ++i)
    if (std::isfinite(levels[i]) && norms[i] > 0) relative.push_back(levels[i] / norms[i]);
  return relative.empty() ? 0 : statistics::percentile(relative, 0.5);
}

double excess_of(double distance, double level) {
  if (distance == 0) return 0;
  if (!std::isfinite(distance) || level == 0) return std::numeric_limits<double>::infinity();
  return distance / level;
}

Size size_of_drift(double worst, double mean, double most_mean) {
  if (worst > kRowDefect || mean > kMeanDefect) return Size::beyond;
  return worst > kRowNoise || mean > most_mean ? Size::unclear : Size::within;
}

StationDrift drift_of(const StationDistances& found, const std::vector<const RunDistances*>& band,
                      double roundoff, Seen seen) {
  StationDrift drift;
  drift.station = found.station;
  const auto levels = band_levels(found.station, found.distance.size(), band);
  const double typical = median_relative(levels, found.norm);
  double distances = 0;
  double norms = 0;
  double all_levels = 0;
  double excesses = 0;
  for (std::size_t i = 0; i < found.distance.size(); ++i) {
    const double distance = found.distance[i];
    const double norm = found.norm[i];
    if (std::isnan(norm)) continue;  // no such row
    const double level = std::fmax(std::fmax(levels[i], typical * norm), roundoff * norm);
    const double excess = excess_of(distance, level);
    ++drift.rows;
    drift.rows_differ += distance > 0 ? 1 : 0;
    drift.rows_beyond += excess > kRowDefect ? 1 : 0;
    distances += distance * distance;
    norms += norm * norm;
    all_levels += level * level;
    excesses += excess * excess;
    if (excess > drift.worst || drift.rows == 1) {
      drift.worst = excess;
      drift.worst_row = i;
    }
  }
  if (norms > 0) {
    drift.drift = std::sqrt(distances / norms);
    drift.level = std::sqrt(all_levels / norms);
  }
  if (drift.rows > 0) drift.mean = std::sqrt(excesses / static_cast<double>(drift.rows));
  drift.size = size_of_drift(drift.worst, drift.mean, mean_noise(seen, found.station.point.operation));
  return drift;
}

}  // namespace

double mean_noise(Seen seen, record::Operation operation) {
  const bool unseen = seen != Seen::operations && operation == record::Operation::logits;
  return unseen ? kMeanNoiseOfLogits : kMeanNoise;
}

double unit_roundoff(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return std::ldexp(1.0, -53);
    case DType::float16:
    case DType::tf32:
      return std::ldexp(1.0, -11);
    case DType::bfloat16:
      return std::ldexp(1.0, -8);
    default:
      return std::ldexp(1.0, -24);
  }
}

std::vector<StationDrift> drifts(const RunDistances& run, const std::vector<const RunDistances*>& band,
                                 double roundoff) {
  std::vector<StationDrift> all;
  for (const auto& found : run.stations) {
    const auto& [point, shard] = found.station;
    const bool logits = point.operation == record::Operation::logits && shard == kWholeRow;
    const double stored = logits ? std::max(roundoff, unit_roundoff(run.logits_dtype)) : roundoff;
    all.push_back(drift_of(found, band, stored, run.seen));
  }
  return all;
}

std::optional<Departure> first_departure(const std::vector<StationDrift>& drifts, Size least) {
  const auto first =
      std::find_if(drifts.begin(), drifts.end(), [&](const auto& drift) { return drift.size >= least; });
  if (first == drifts.end()) return std::nullopt;
  Departure departure;
  departure.point = first->station.point;
  departure.worst = *first;
  departure.size = first->size;
  for (const auto& drift : drifts) {
    if (drift.station.point != departure.point) continue;
    if (drift.worst > departure.worst.worst) departure.worst = drift;
    departure.size = std::max(departure.size, drift.size);
    if (drift.station.shard == kWholeRow) continue;
    if (drift.drift > 0 || drift.level > 0) ++departure.shards_seen;
    if (drift.size >= least) departure.shards.push_back(drift.station.shard);
  }
  return departure;
}

}  // namespace shardrift::analysis
