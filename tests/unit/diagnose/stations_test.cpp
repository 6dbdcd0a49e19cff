// Distances of two records, place by place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "analysis/diagnose/stations.hpp"
#include "tests/unit/diagnose/sketched_runs.hpp"

namespace shardrift::analysis {
namespace {

using record::Operation;
using record::Reader;
using record::testing::error_of;
using record::testing::Scratch;
using record::testing::write_record;
using ::testing::HasSubstr;
using testing::Rows;
using testing::set_output;
using testing::sketched_prompt;
using testing::sketched_run;

const Rows kThree{{1, 0, 0, 0, 0}, {0, 1, 0, 0, 0}, {0, 0, 1, 0, 0}};

class Stations : public ::testing::Test {
 protected:
  Reader written(const std::string& name, int shards, const std::vector<record::PromptRecord>& prompts) {
    write_record(scratch_ / name, sketched_run(shards), prompts);
    return Reader::open(scratch_ / name);
  }
  Scratch scratch_;
};

TEST_F(Stations, ShardsAddUpToOneDevicesRows) {
  const auto one = written("one.h5", 1, {sketched_prompt("p0", 0, kThree, 1)});
  const auto two = written("two.h5", 2, {sketched_prompt("p0", 0, kThree, 2)});
  const auto found = distances(one, two);
  EXPECT_EQ(found.seen, Seen::operations);
  EXPECT_EQ(found.rows, 3);
  EXPECT_EQ(found.rows_differ, 0);
  for (const auto& station : found.stations) {
    EXPECT_EQ(station.station.shard, kWholeRow);
    EXPECT_FALSE(record::per_shard(station.station.point.operation));
    ASSERT_EQ(station.distance.size(), 3U);
    for (const double distance : station.distance) EXPECT_NEAR(distance, 0, 1e-12);
    for (const double norm : station.norm) EXPECT_GT(norm, 0);
  }
}

TEST_F(Stations, OfEqualShardsAreComparedOneByOne) {
  const auto one =
      written("one.h5", 2, {sketched_prompt("p0", 0, kThree, 2), sketched_prompt("p1", 1, kThree, 2)});
  auto changed = sketched_prompt("p1", 1, kThree, 2);
  set_output(changed, {Operation::mlp_partials, 1}, 1, 2, {3, 7}, 2);
  const auto two = written("two.h5", 2, {sketched_prompt("p0", 0, kThree, 2), changed});
  const auto found = distances(one, two);
  for (const auto& station : found.stations)
    for (std::size_t row = 0; row < 6; ++row) {
      const bool here = station.station == Station{{Operation::mlp_partials, 1}, 1} && row == 5;
      EXPECT_NEAR(station.distance[row], here ? 3 : 0, 1e-12);
    }
  EXPECT_NE(found.find({{Operation::qkv, 0}, 1}), nullptr);
  EXPECT_EQ(found.find({{Operation::mlp_partials, 1}, kWholeRow}), nullptr);
  const auto rows = rows_of(one);
  EXPECT_EQ(rows[5].prompt, "p1");
  EXPECT_EQ(rows[5].position, 2);
}

TEST_F(Stations, WithoutSketchesAreStreamsOrLogits) {
  auto bare = sketched_prompt("p0", 0, kThree, 1);
  bare.sketches = {};
  auto moved = bare;
  testing::set_hidden(moved, 1, 2, 0, 5.0F);  // 2, 4, 6 in layer 0's stream
  const auto one = written("one.h5", 1, {bare});
  write_record(scratch_ / "moved.h5", sketched_run(1), {moved});
  const auto found = distances(one, Reader::open(scratch_ / "moved.h5"));
  EXPECT_EQ(found.seen, Seen::streams);
  EXPECT_EQ(found.stations.size(), 4U);  // three streams, and the logits
  const auto* layer = found.find({{Operation::mlp_residual, 0}, kWholeRow});
  ASSERT_NE(layer, nullptr);
  EXPECT_EQ(layer->distance[2], 3);
  EXPECT_EQ(layer->distance[1], 0);
  EXPECT_NEAR(layer->norm[2], std::sqrt(4 + 16 + 36), 1e-12);

  bare.hidden = {};
  const auto plain = written("plain.h5", 1, {bare});
  const auto of_logits = distances(one, plain);
  EXPECT_EQ(of_logits.seen, Seen::logits);
  EXPECT_EQ(of_logits.stations.size(), 1U);
  bare.logits.clear();
  EXPECT_EQ(distances(one, written("none.h5", 1, {bare})).seen, Seen::nothing);
}

// An engine's log-probabilities are logits less a number of each row.
TEST_F(Stations, LogProbabilitiesAreHeldAgainstLogits) {
  auto bare = sketched_prompt("p0", 0, {{1, 0, 0, 0, 0}}, 1);
  bare.sketches = {};
  bare.hidden = {};
  const auto one = written("one.h5", 1, {bare});
  const double sum = std::log(std::exp(1.0) + 4);
  auto shifted = sketched_prompt("p0", 0, {{1 - sum, -sum, -sum, -sum, -sum}}, 1);
  shifted.sketches = {};
  shifted.hidden = {};
  auto run = sketched_run(1);
  write_record(scratch_ / "logits.h5", run, {shifted});
  EXPECT_GT(distances(one, Reader::open(scratch_ / "logits.h5")).stations.back().distance[0], 3);
  run.environment.settings["logits"] = "log-probabilities, rounded";
  write_record(scratch_ / "log.h5", run, {shifted});
  EXPECT_NEAR(distances(one, Reader::open(scratch_ / "log.h5")).stations.back().distance[0], 0, 1e-6);
}

TEST_F(Stations, PromptsOfOneFileAloneAndOtherTokens) {
  const auto one =
      written("one.h5", 1, {sketched_prompt("p0", 0, kThree, 1), sketched_prompt("p1", 1, kThree, 1)});
  const auto found = distances(one, written("two.h5", 1, {sketched_prompt("p1", 1, kThree, 1)}));
  EXPECT_EQ(found.rows, 3);
  ASSERT_EQ(found.stations.front().distance.size(), 6U);
  EXPECT_TRUE(std::isnan(found.stations.front().distance[0]));
  EXPECT_EQ(found.stations.front().distance[3], 0);
  auto other = sketched_prompt("p0", 0, kThree, 1);
  other.prompt.tokens[0] = 2;
  EXPECT_THAT(error_of([&] { distances(one, written("other.h5", 1, {other})); }).what(),
              HasSubstr("other tokens"));
}

}  // namespace
}  // namespace shardrift::analysis
