// Mixtures of experts through the whole worker: what sharding, dealing experts whole, stages and replaying
// routes must not change, and prediction of real ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

using Flags = std::vector<std::string>;

Flags joined(Flags flags, const Flags& more) {
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

Case shards(int s, int ranks, const Flags& more = {}) {
  return {ranks, joined({"--shards", std::to_string(s), "--tensor-parallel", std::to_string(ranks),
                         "--reduction", "linear"},
                        more)};
}

std::vector<record::Routes> routes_of(const fs::path& path) {
  const auto reader = record::Reader::open(path);
  std::vector<record::Routes> routes;
  for (const auto& id : reader.prompt_ids()) routes.push_back(reader.prompt(id).routes);
  return routes;
}

// Of all tokens' sets of experts, how many differ.
std::int64_t flips(const fs::path& one, const fs::path& other) {
  const auto a = routes_of(one), b = routes_of(other);
  std::int64_t flipped = 0;
  for (std::size_t p = 0; p < a.size(); ++p)
    for (std::size_t i = 0; i < a[p].experts.size(); i += static_cast<std::size_t>(a[p].k))
      flipped += std::equal(a[p].experts.begin() + static_cast<std::ptrdiff_t>(i),
                            a[p].experts.begin() + static_cast<std::ptrdiff_t>(i) + a[p].k,
                            b[p].experts.begin() + static_cast<std::ptrdiff_t>(i))
                     ? 0
                     : 1;
  return flipped;
}

class Mixtures : public ::testing::TestWithParam<std::string> {};

// Logits, every operation's checksum (the experts' too), the streams and the routes.
TEST_P(Mixtures, ShardsGiveTheirBitsOnAnyNumberOfRanks) {
  const Flags traced{"--record", "hidden", "--checksums", "--dtype", "bfloat16"};
  for (const auto& [name, more] : std::vector<std::pair<std::string, Flags>>{
           {"columns", {}},
           {"experts", {"--expert-parallel"}},
           {"float32-sums", {"--expert-sum", "float32", "--partial", "float32", "--accumulate", "float32"}},
           {"rounded", {"--partial", "rounded", "--expert-parallel"}}}) {
    const fs::path folder = scratch("experts-" + GetParam() + "-" + name);
    const auto flags = joined(traced, more);
    const auto on_one = record_of(GetParam(), shards(4, 1, flags), folder, "one");
    for (const int ranks : {2, 4}) {
      const auto on_more = record_of(GetParam(), shards(4, ranks, flags), folder, std::to_string(ranks));
      EXPECT_EQ(first_difference(on_one, on_more), "") << name << ", " << ranks << " ranks";
      EXPECT_EQ(first_trace_difference(on_one, on_more), "") << name << ", " << ranks << " ranks";
      EXPECT_EQ(routes_of(on_one), routes_of(on_more)) << name << ", " << ranks << " ranks";
    }
  }
}

TEST_P(Mixtures, StagesReplicasAndGatheringChangeNothing) {
  const fs::path folder = scratch("experts-stages-" + GetParam());
  const Flags traced{"--record", "hidden", "--checksums"};
  const auto one = record_of(GetParam(), {1, traced}, folder, "one");
  const std::vector<std::pair<std::string, Case>> others{
      {"stages", {2, {"--pipeline", "2"}}},
      {"replicas", {2, {"--replicas", "2"}}},
      {"gather", {3, {"--tensor-parallel", "3", "--row-linear", "gather"}}}};
  for (const auto& [name, what] : others) {
    const auto other = record_of(GetParam(), {what.ranks, joined(traced, what.flags)}, folder, name);
    if (name != "gather") {  // gather's products have other shapes
      EXPECT_EQ(first_difference(one, other), "") << name;
      EXPECT_EQ(first_trace_difference(one, other, false), "") << name;
    }
    EXPECT_EQ(routes_of(one), routes_of(other)) << name;
  }
  const auto on_one = record_of(GetParam(), {1, joined(traced, {"--shards", "3", "--row-linear", "gather"})},
                                folder, "gather-on-one");
  EXPECT_EQ(first_difference(on_one, folder / "gather.h5"), "");
  EXPECT_EQ(first_trace_difference(on_one, folder / "gather.h5"), "");
}

TEST_P(Mixtures, PromptsTogetherKeepTheirBitsOnAnyNumberOfRanks) {
  const fs::path folder = scratch("experts-batch-" + GetParam());
  const Flags flags{"--batch", "4", "--prefill-batch", "3", "--dtype", "bfloat16"};
  const auto on_one = record_of(GetParam(), shards(4, 1, flags), folder, "one");
  const auto on_two = record_of(GetParam(), shards(4, 2, flags), folder, "two");
  EXPECT_EQ(first_difference(on_one, on_two), "");
  EXPECT_EQ(routes_of(on_one), routes_of(on_two));
  // Each token's routes, whoever was beside it.
  for (const auto& routes : routes_of(on_one)) EXPECT_GT(routes.positions, 8);
}

TEST_P(Mixtures, OneDeviceGivesTheBitsOfRealRanks) {
  std::ifstream file(fixture(GetParam()) / "config.json");
  const auto hidden = std::to_string(nlohmann::json::parse(file).at("hidden_size").get<int>());
  for (const int ranks : {2, 3, 4}) {
    if (ranks != 3 && GetParam() == "tiny-qwen3-moe-step") continue;
    const fs::path folder = scratch("experts-prediction-" + GetParam() + "-" + std::to_string(ranks));
    const std::string n = std::to_string(ranks), profile = (folder / "profile.json").string();
    const auto probed = run_program(
        worker_command(ranks, {"probe", "--device", "cpu", "--tokens", "1,5,17,40", "--hidden", hidden,
                               "--dtype", "bfloat16", "--save-profile", profile, "--quiet"}));
    ASSERT_EQ(probed.code, 0) << probed.output;
    for (const Flags& more : {Flags{}, Flags{"--expert-parallel"}, Flags{"--quantize", "int4"}}) {
      if (ranks != 3 && more == Flags{"--quantize", "int4"}) continue;
      const auto flags = joined({"--dtype", "bfloat16"}, more);
      const auto real =
          record_of(GetParam(), {ranks, joined(flags, {"--tensor-parallel", n})}, folder, "real");
      const auto predicted = record_of(
          GetParam(),
          {1, joined(flags, {"--shards", n, "--reduction", "profile", "--collective-profile", profile})},
          folder, "predicted");
      EXPECT_EQ(first_difference(real, predicted), "") << n << " ranks " << (more.empty() ? "" : more[0]);
      EXPECT_EQ(routes_of(real), routes_of(predicted)) << n << " ranks " << (more.empty() ? "" : more[0]);
    }
  }
}

// Replayed, a run's own routes give its bits; a reference's take the flips out of another run.
TEST_P(Mixtures, ReplayedRoutesAreTaken) {
  const fs::path folder = scratch("experts-replay-" + GetParam());
  const auto reference = record_of(GetParam(), {1, {"--dtype", "float32"}}, folder, "reference");
  const Flags follow{"--mode", "follow", "--follow", reference.string()};
  const Flags replay{"--replay-routes", reference.string()};
  const auto own =
      record_of(GetParam(), {1, joined(joined(follow, replay), {"--dtype", "float32"})}, folder, "own");
  EXPECT_EQ(first_difference(reference, own), "");
  EXPECT_EQ(routes_of(reference), routes_of(own));

  // In 4-bit weights routers choose otherwise.
  const auto flags = joined(follow, {"--quantize", "int4", "--dtype", "bfloat16"});
  const auto free = record_of(GetParam(), shards(4, 1, flags), folder, "free");
  const auto replayed = record_of(GetParam(), shards(4, 1, joined(flags, replay)), folder, "replayed");
  EXPECT_GT(flips(reference, free), 0);
  EXPECT_EQ(flips(reference, replayed), 0);
  EXPECT_NE(first_difference(free, replayed), "");
  const auto on_two = record_of(GetParam(), shards(4, 2, joined(flags, replay)), folder, "replayed-on-two");
  EXPECT_EQ(first_difference(replayed, on_two), "");
  // Weights are the run's own.
  EXPECT_NE(routes_of(reference).front().weights, routes_of(replayed).front().weights);

  // At once, over stages.
  const Flags score{"--mode", "score", "--follow", reference.string()};
  const auto scored = record_of(GetParam(), {1, joined(score, replay)}, folder, "scored");
  const auto staged =
      record_of(GetParam(), {2, joined(joined(score, replay), {"--pipeline", "2"})}, folder, "staged");
  EXPECT_EQ(first_difference(scored, staged), "");
  EXPECT_EQ(flips(scored, staged), 0);
}

INSTANTIATE_TEST_SUITE_P(Models, Mixtures,
                         ::testing::Values("tiny-mixtral", "tiny-qwen3-moe-step", "tiny-gpt-oss"),
                         [](const auto& test) {
                           auto name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

class ExpertRefusals : public ::testing::Test {
 protected:
  std::string refused(const std::string& model, int code, const Flags& flags, int ranks = 1) {
    const fs::path output = folder / "refused.h5";
    const auto done = run_program(worker_command(ranks, run_arguments(model, {ranks, flags}, output)));
    EXPECT_EQ(done.code, code) << done.output;
    EXPECT_FALSE(fs::exists(output));
    return done.output;
  }
  fs::path folder = scratch("expert-refusals");
};

TEST_F(ExpertRefusals, WhatAPlanCannotBe) {
  EXPECT_THAT(refused("tiny-llama", 64, {"--shards", "2", "--expert-parallel"}), HasSubstr("has no experts"));
  EXPECT_THAT(refused("tiny-llama", 64, {"--expert-sum", "float32"}), HasSubstr("has no experts"));
  EXPECT_THAT(refused("tiny-mixtral", 64, {"--expert-parallel"}), HasSubstr("with one shard"));
  EXPECT_THAT(refused("tiny-mixtral", 64, {"--shards", "2", "--row-linear", "gather", "--expert-parallel"}),
              HasSubstr("gather"));
  EXPECT_THAT(refused("tiny-mixtral", 64, {"--expert-sum", "exact"}), HasSubstr("exact"));
}

TEST_F(ExpertRefusals, RoutesThatDoNotFit) {
  const auto mixtral = record_of("tiny-mixtral", {1, {}}, folder, "mixtral");
  const auto llama = record_of("tiny-llama", {1, {}}, folder, "llama");
  const auto qwen = record_of("tiny-qwen3-moe", {1, {}}, folder, "qwen");
  const auto follow = [&](const fs::path& record, const fs::path& routes) {
    return Flags{"--mode", "follow", "--follow", record.string(), "--replay-routes", routes.string()};
  };
  EXPECT_THAT(refused("tiny-mixtral", 64, {"--replay-routes", mixtral.string()}), HasSubstr("greedy"));
  EXPECT_THAT(refused("tiny-llama", 64, follow(llama, mixtral)), HasSubstr("has no experts"));
  EXPECT_THAT(refused("tiny-mixtral", 65, follow(mixtral, folder / "missing.h5")), HasSubstr("missing.h5"));
  // A record of other tokens, of no routes, and on every rank alike.
  EXPECT_THAT(refused("tiny-mixtral", 65, follow(mixtral, llama)), HasSubstr("has no routes"));
  const auto other =
      refused("tiny-mixtral", 65, joined(follow(mixtral, qwen), {"--tensor-parallel", "2"}), 2);
  EXPECT_THAT(other, HasSubstr("--replay-routes"));
  EXPECT_THAT(other, HasSubstr("prompt 'p0'"));
  const auto short_one = record_of("tiny-mixtral", {1, {"--mode", "score"}}, folder, "short");
  EXPECT_THAT(refused("tiny-mixtral", 65, follow(mixtral, short_one)), HasSubstr("was fed other tokens"));
}

}  // namespace
}  // namespace shardrift::testing
