// The rule: what is rounding, what is more, and where it begins.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "analysis/diagnose/drift.hpp"

namespace shardrift::analysis {
namespace {

using record::Operation;
using ::testing::ElementsAre;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kRows = 40;
const Station kQkv{{Operation::qkv, 0}, kWholeRow};
const Station kSum{{Operation::attention_sum, 0}, kWholeRow};

// Rows of norm 1 whose distances are draws around `size`.
RunDistances drawn(unsigned seed, double size, const std::vector<Station>& stations = {kQkv, kSum}) {
  std::mt19937 random(seed);
  RunDistances run;
  run.seen = Seen::operations;
  run.rows = kRows;
  for (const auto& station : stations) {
    StationDistances found{station, {}, std::vector<double>(kRows, 1)};
    for (std::size_t i = 0; i < kRows; ++i)
      found.distance.push_back(size * std::lognormal_distribution<double>(0, 0.4)(random));
    run.stations.push_back(found);
  }
  return run;
}

std::vector<StationDrift> judged(const RunDistances& run, const std::vector<RunDistances>& band) {
  std::vector<const RunDistances*> pointers;
  for (const auto& one : band) pointers.push_back(&one);
  return drifts(run, pointers, unit_roundoff(DType::bfloat16) / 100);
}

TEST(Drift, OfTheSameKindIsWithin) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    const auto found = judged(drawn(seed, 1e-3), {drawn(1000 + seed, 1e-3), drawn(2000 + seed, 1e-3)});
    for (const auto& drift : found) EXPECT_EQ(drift.size, Size::within) << seed << " " << drift.worst;
    EXPECT_FALSE(first_departure(found, Size::unclear)) << seed;
  }
}

TEST(Drift, OfOneRowIsFound) {
  auto run = drawn(1, 1e-3);
  run.stations[1].distance[7] = 0.5;
  const auto found = judged(run, {drawn(2, 1e-3), drawn(3, 1e-3)});
  const auto departure = first_departure(found, Size::beyond);
  ASSERT_TRUE(departure);
  EXPECT_EQ(departure->point.operation, Operation::attention_sum);
  EXPECT_EQ(departure->worst.worst_row, 7U);
  EXPECT_EQ(departure->worst.rows_beyond, 1);
  EXPECT_EQ(found[0].size, Size::within);
}

// A drift of all rows shows before one row alone would be believed.
TEST(Drift, OfAllRowsAddsUp) {
  const std::vector<RunDistances> band{drawn(2, 1e-3), drawn(3, 1e-3), drawn(4, 1e-3)};
  EXPECT_EQ(judged(drawn(1, 1.2e-2), band)[0].size, Size::beyond);
  EXPECT_EQ(judged(drawn(1, 6e-3), band)[0].size, Size::unclear);
}

// Logits before which no operation was seen: all rows farther than other orders ever were are no noise.
TEST(Drift, OfLogitsWithoutSketchesTheMeanIsHeldCloser) {
  const Station logits{{Operation::logits, 0}, kWholeRow};
  const auto of_logits = [&](unsigned seed, double size, Seen seen) {
    auto run = drawn(seed, size, {logits});
    run.seen = seen;
    return run;
  };
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::vector<RunDistances> band;
    for (unsigned i = 1; i <= 4; ++i) band.push_back(of_logits(1000 * i + seed, 1e-3, Seen::operations));
    EXPECT_EQ(judged(of_logits(seed, 1e-3, Seen::logits), band)[0].size, Size::within) << seed;
    const auto farther = judged(of_logits(seed, 2.5e-3, Seen::logits), band)[0];
    EXPECT_EQ(farther.size, Size::unclear) << seed << " " << farther.mean;
    EXPECT_EQ(judged(of_logits(seed, 2.5e-3, Seen::streams), band)[0].size, Size::unclear) << seed;
    EXPECT_EQ(judged(of_logits(seed, 2.5e-3, Seen::operations), band)[0].size, Size::within) << seed;
  }
}

TEST(Drift, BelowOneRoundingIsNone) {
  auto run = drawn(1, 0);
  run.stations[0].distance[3] = unit_roundoff(DType::bfloat16) / 101;
  EXPECT_EQ(judged(run, {drawn(2, 0)})[0].size, Size::within);
  run.stations[0].distance[3] *= 17.5;
  EXPECT_EQ(judged(run, {drawn(2, 0)})[0].size, Size::beyond);
}

// What a narrower dtype of the stored logits rounds is in their level, and in that of nothing else.
TEST(Drift, OfLogitsThatAreStoredNarrower) {
  const std::vector<Station> stations{kQkv, {{Operation::logits, 0}, kWholeRow}};
  auto run = drawn(1, unit_roundoff(DType::bfloat16) / 2, stations);
  const auto band = drawn(2, 1e-7, stations);
  EXPECT_EQ(drifts(run, {&band}, unit_roundoff(DType::float32))[1].size, Size::beyond);
  run.logits_dtype = DType::bfloat16;
  const auto found = drifts(run, {&band}, unit_roundoff(DType::float32));
  EXPECT_EQ(found[0].size, Size::beyond);
  EXPECT_EQ(found[1].size, Size::within);
  for (auto& distance : run.stations[1].distance) distance *= 64;
  EXPECT_EQ(drifts(run, {&band}, unit_roundoff(DType::float32))[1].size, Size::beyond);
}

// A row on which the band agrees by luck has the level of the others.
TEST(Drift, OfALuckyRowIsHeldAgainstTheOthers) {
  auto band = drawn(2, 1e-3);
  band.stations[0].distance[5] = 0;
  auto run = drawn(1, 1e-3);
  EXPECT_EQ(judged(run, {band})[0].size, Size::within);
}

TEST(Drift, RowsThatARunDoesNotHaveCountForNothing) {
  auto run = drawn(1, 1e-3);
  run.stations[0].distance[5] = run.stations[0].norm[5] = kNone;
  auto band = drawn(2, 1e-3);
  band.stations[0].distance[6] = kNone;
  const auto found = judged(run, {band});
  EXPECT_EQ(found[0].rows, static_cast<std::int64_t>(kRows) - 1);
  EXPECT_EQ(found[0].size, Size::within);
}

TEST(Drift, FromWhatIsNotFiniteOrWasNothingIsInfinite) {
  auto run = drawn(1, 1e-3);
  run.stations[0].distance[5] = std::numeric_limits<double>::infinity();
  EXPECT_EQ(judged(run, {drawn(2, 1e-3)})[0].size, Size::beyond);
  run = drawn(1, 0);
  run.stations[0].norm[4] = 0;
  run.stations[0].distance[4] = 1e-9;
  EXPECT_TRUE(std::isinf(judged(run, {drawn(2, 0)})[0].worst));
}

// Which shards, of those that were compared; without a band of as many shards, rounding alone is their level.
TEST(Departure, NamesTheShards) {
  const std::vector<Station> stations{kQkv, {kQkv.point, 0}, {kQkv.point, 1}, {kQkv.point, 2}, kSum};
  auto run = drawn(1, 1e-3, stations);
  for (const std::size_t i : {0U, 2U, 4U})
    for (auto& distance : run.stations[i].distance) distance *= 100;
  const auto departure =
      first_departure(judged(run, {drawn(2, 1e-3, stations), drawn(3, 1e-3)}), Size::beyond);
  ASSERT_TRUE(departure);
  EXPECT_TRUE(departure->point == kQkv.point);
  EXPECT_THAT(departure->shards, ElementsAre(1));
  EXPECT_EQ(departure->shards_seen, 3);
}

TEST(UnitRoundoff, IsHalfAUnitInTheLastPlaceOfOne) {
  EXPECT_EQ(unit_roundoff(DType::float32), std::numeric_limits<float>::epsilon() / 2);
  EXPECT_EQ(unit_roundoff(DType::float64), std::numeric_limits<double>::epsilon() / 2);
  EXPECT_EQ(unit_roundoff(DType::bfloat16), 0x1p-8);
  EXPECT_EQ(unit_roundoff(DType::float16), 0x1p-11);
}

}  // namespace
}  // namespace shardrift::analysis
