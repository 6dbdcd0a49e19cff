// The order map's data: bands cover the message, and stay few.
#include <gtest/gtest.h>

#include "analysis/report/payload.hpp"
#include "tests/support/synthetic_measurement.hpp"

namespace shardrift::report {
namespace {

using testing::synthetic_measurement;
using testing::synthetic_ring;

Report with_collectives(std::vector<record::CollectiveInfo> collectives) {
  Report report;
  Run run;
  run.measurement = synthetic_measurement({});
  run.measurement.candidate.run.environment.collectives = std::move(collectives);
  report.runs.push_back(std::move(run));
  return report;
}

void expect_covers(const Json& message) {
  std::int64_t next = 0;
  for (const auto& band : message["bands"]) {
    EXPECT_EQ(band[0], next);
    EXPECT_GT(band[1], next);
    next = band[1];
  }
  EXPECT_EQ(next, message["count"]);
}

TEST(Orders, SegmentsAreDrawnAsTheyAre) {
  const auto json = orders_json(with_collectives({synthetic_ring(4, 4096), synthetic_ring(4, 1024)}));
  ASSERT_EQ(json["maps"].size(), 1U);
  const auto& messages = json["maps"][0]["messages"];
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[0]["count"], 1024);  // small to large
  EXPECT_EQ(messages[0]["bands"], Json::parse("[[0,256,0],[256,512,1],[512,768,2],[768,1024,3]]"));
  EXPECT_EQ(messages[0]["bytes"], 2);
  EXPECT_EQ(json["trees"], Json::parse(R"(["((1+2)+3)+0","((2+3)+0)+1","((0+3)+1)+2","((0+1)+2)+3"])"));
}

TEST(Orders, FineMapsBecomeCoarseAndSayWhereTheyMix) {
  auto one = synthetic_ring(2, 100'003);
  one.trees = {"0+1", "not binary"};
  one.segments.clear();
  // The first half alternates element by element, the second is of one tree.
  for (std::int64_t i = 0; i < 50'000; ++i) one.segments.push_back({i, i + 1, i % 2});
  one.segments.push_back({50'000, 100'003, 0});
  const auto json = orders_json(with_collectives({one}));
  const auto& message = json["maps"][0]["messages"][0];
  EXPECT_LE(message["bands"].size(), kBands);
  EXPECT_EQ(message["segments"], 50'001);
  expect_covers(message);
  EXPECT_EQ(message["bands"].front()[2], -1);
  EXPECT_EQ(message["bands"].back()[2], 0);
}

TEST(Orders, RunsWithOneMapShareIt) {
  auto report = with_collectives({synthetic_ring(4, 4096)});
  report.runs.push_back(report.runs.front());
  EXPECT_EQ(orders_json(report)["maps"].size(), 1U);
  EXPECT_EQ(orders_json(report)["maps"][0]["runs"], Json::parse("[0,1]"));
  report.runs.back().measurement.candidate.run.environment.collectives[0].count = 1;
  EXPECT_EQ(orders_json(report)["maps"].size(), 2U);
}

TEST(Orders, ADtypeOfANewerVersionHasNoBytes) {
  auto one = synthetic_ring(3, 300);
  one.dtype = "float4";
  EXPECT_EQ(orders_json(with_collectives({one}))["maps"][0]["messages"][0]["bytes"], 0);
}

}  // namespace
}  // namespace shardrift::report
