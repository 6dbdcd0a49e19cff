// The pass in three parts: what may happen in which, so that the middle one can be captured and replayed.
#include "model/forward.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <tuple>

#include "common/argmax.hpp"
#include "model/shard_weights.hpp"
#include "parallel/transport/transport.hpp"
#include "tests/unit/model/counting_backend.hpp"

namespace shardrift {
namespace {

std::size_t mixtures_of(const ModelConfig& config) {
  return static_cast<std::size_t>(std::count_if(config.specs.begin(), config.specs.end(),
                                                [](const LayerSpec& l) { return l.experts.count > 0; }));
}

class ForwardParts : public ::testing::TestWithParam<const char*> {};

TEST_P(ForwardParts, ComputeMovesNothingBetweenHostAndDevice) {
  const std::filesystem::path model =
      std::filesystem::path(SHARDRIFT_BINARY_DIR) / "fixtures/tiny-llama-biases";
  const auto checkpoint = Checkpoint::open(model);
  const ModelConfig config = read_model_config(model);
  Plan wanted;
  wanted.shards = 4;
  wanted.reduction = reduction_from_text(GetParam());
  if (wanted.reduction.order == ReductionOrder::native) wanted.row_linear = RowLinear::gather;
  const Plan plan = validated(wanted, static_cast<int>(config.layers), 1);
  const Place place = place_of(plan, 0);
  CountingBackend backend;
  const auto weights = load_weights(checkpoint, config, plan, place, backend, [](double) {});
  const auto alone = make_local_transport();
  Forward forward(config, plan, place, weights, backend, *alone, *alone, {17, 17, 40, 1});
  const Pass prefill{{5, 9, 130, 2, 77}, {0, 1, 2, 3, 4}, {0, 0, 0, 0, 0}, {0, 1, 2, 3, 4}};
  const Pass decode{{11}, {5}, {0}, {0}};
  Landing landing(backend);
  for (const Pass& pass : {prefill, decode}) {
    forward.stage(pass, landing);
    const int allocations = backend.allocations;
    const int transfers = backend.transfers;
    const int waits = backend.waits;
    forward.compute();
    EXPECT_EQ(backend.allocations, allocations);
    EXPECT_EQ(backend.transfers, transfers);
    EXPECT_EQ(backend.waits, waits);
    forward.fetch(landing);
    const auto first = forward.end(landing).logits;
    const std::vector<std::byte> logits(first.begin(), first.end());
    EXPECT_EQ(logits.size(),
              pass.tokens.size() * static_cast<std::size_t>(config.vocabulary) * sizeof(float));
    EXPECT_EQ(backend.transfers, transfers + 2);  // logits, tokens
    EXPECT_EQ(backend.allocations, allocations);

    forward.compute();  // replayed: the same positions of the cache, the same bits
    forward.fetch(landing);
    const auto again = forward.end(landing).logits;
    ASSERT_EQ(again.size(), logits.size());
    EXPECT_EQ(std::memcmp(again.data(), logits.data(), logits.size()), 0);
  }
  const auto other = forward.run({{12}, {6}, {0}, {0}}).logits;  // control: another token has other logits
  const auto same = std::vector<std::byte>(other.begin(), other.end());
  const auto back = forward.run(decode).logits;
  EXPECT_NE(std::memcmp(back.data(), same.data(), same.size()), 0);
}

// Of mixtures, where products give a row's bits whatever its neighbours; those that are the host's to sort
// are the control. A trace looks at each expert, one after the other, and sees the same bits.
TEST(ForwardOfAMixture, ComputeMovesNothingBetweenHostAndDeviceWithFixedProducts) {
  struct Variant {
    std::string model, name;
    std::function<void(Plan&)> change;
  };
  const auto gathers = [](Plan& plan) { plan.row_linear = RowLinear::gather; };
  const auto deals = [](Plan& plan) { plan.expert_parallel = true; };
  const auto rounds = [](Plan& plan) { plan.reduction.partial = PartialDType::rounded; };
  const auto widens = [](Plan& plan) { plan.reduction.partial = PartialDType::float32; };
  const auto sums = [](Plan& plan) { plan.expert_sum = ExpertSum::float32; };
  const auto one = [](Plan& plan) { plan.shards = 1; };
  std::vector<Variant> variants;
  for (const std::string model : {"tiny-mixtral", "tiny-gpt-oss", "tiny-qwen3-moe-step"})
    for (const auto& [name, change] :
         std::vector<std::pair<std::string, std::function<void(Plan&)>>>{{"columns", [](Plan&) {}},
                                                                         {"gather", gathers},
                                                                         {"experts", deals},
                                                                         {"rounded", rounds},
                                                                         {"float32", widens},
                                                                         {"sums", sums},
                                                                         {"one", one}})
      variants.push_back({model, name, change});
  const auto alone = make_local_transport();
  for (const Variant& variant : variants)
    for (const Products products : {Products::library, Products::fixed}) {
      const auto where = variant.model + ", " + variant.name + ", " + std::string(name_of(products));
      const auto model = std::filesystem::path(SHARDRIFT_BINARY_DIR) / "fixtures" / variant.model;
      const auto checkpoint = Checkpoint::open(model);
      const ModelConfig config = read_model_config(model);
      Plan wanted;
      wanted.shards = 4;
      wanted.reduction = reduction_from_text("linear");
      wanted.products = products;
      wanted.dtype = DType::bfloat16;
      variant.change(wanted);
      if (wanted.row_linear == RowLinear::gather || wanted.shards == 1) wanted.reduction = Reduction();
      const Plan plan = validated(wanted, static_cast<int>(config.layers), 1);
      const Place place = place_of(plan, 0);
      CountingBackend backend(products);
      const auto weights = load_weights(checkpoint, config, plan, place, backend, [](double) {});
      Forward forward(config, plan, place, weights, backend, *alone, *alone, {17, 17, 40, 2});
      Trace trace(config, plan, place, backend, {.checksums = true}, 17);
      Landing landing(backend);
      const bool fixed = products == Products::fixed;
      const Pass prefill{{5, 9, 13, 2, 77}, {0, 1, 2, 0, 1}, {0, 0, 0, 1, 1}, {2, 4}};
      const Pass decode{{11, 12}, {3, 2}, {0, 1}, {0, 1}, {}, true};
      for (const Pass& pass : {prefill, decode}) {
        EXPECT_EQ(forward.is_the_devices_alone(pass), fixed) << where;
        forward.trace_to(nullptr);
        forward.stage(pass, landing);
        const int allocations = backend.allocations;
        const int transfers = backend.transfers;
        forward.compute();
        if (fixed) {
          EXPECT_EQ(backend.allocations, allocations) << where;
        }
        EXPECT_EQ(backend.transfers == transfers, fixed) << where;
        const int computed = backend.transfers;
        forward.fetch(landing);
        EXPECT_EQ(backend.transfers, computed + 4);  // logits, tokens, experts, their weights
        const auto kept = [](const Forward::Outcome& outcome) {
          return std::tuple(std::vector(outcome.logits.begin(), outcome.logits.end()),
                            std::vector(outcome.routes.experts.begin(), outcome.routes.experts.end()),
                            std::vector(outcome.routes.weights.begin(), outcome.routes.weights.end()));
        };
        const auto found = kept(forward.end(landing));
        EXPECT_FALSE(std::get<1>(found).empty()) << where;
        forward.trace_to(&trace);
        EXPECT_EQ(kept(forward.run(pass)), found) << where;
        // Their routes, given, are taken.
        Pass replayed = pass;
        replayed.routes = std::get<1>(found);
        EXPECT_EQ(kept(forward.run(replayed)), found) << where;
        forward.trace_to(nullptr);
        EXPECT_EQ(kept(forward.run(replayed)), found) << where;
        const std::size_t active = replayed.routes.size() / mixtures_of(config) / pass.tokens.size();
        for (std::size_t i = 0; i < replayed.routes.size(); ++i)  // control: other experts
          replayed.routes[i] = static_cast<std::int32_t>(i % active);
        EXPECT_NE(std::get<0>(kept(forward.run(replayed))), std::get<0>(found)) << where;
      }
    }
}

// A decode pass whose token is the one that the device chose gives what the pass gives that the host gave the
// token; captured and replayed as well.
TEST(ForwardDecodes, WithTheTokenThatTheDeviceChose) {
  const std::filesystem::path model = std::filesystem::path(SHARDRIFT_BINARY_DIR) / "fixtures/tiny-llama";
  const auto checkpoint = Checkpoint::open(model);
  const ModelConfig config = read_model_config(model);
  Plan wanted;
  wanted.shards = 3;
  wanted.reduction = reduction_from_text("linear");
  Plan plan = validated(wanted, static_cast<int>(config.layers), 1);
  const Place place = place_of(plan, 0);
  const auto alone = make_local_transport();
  struct Seen {
    std::vector<std::vector<std::byte>> logits;
    std::vector<std::int32_t> chosen;
    int captures = 0, replays = 0;
  };
  constexpr int kSteps = 6;
  const auto decode = [&](Launch launch, bool ahead) {
    plan.launch = launch;
    CountingBackend backend;
    const auto weights = load_weights(checkpoint, config, plan, place, backend, [](double) {});
    Forward forward(config, plan, place, weights, backend, *alone, *alone, {17, 17, 40, 2});
    std::array<Landing, 2> landings{Landing(backend), Landing(backend)};
    Seen seen;
    const auto end = [&](Landing& landing) {
      const auto outcome = forward.end(landing);
      seen.logits.emplace_back(outcome.logits.begin(), outcome.logits.end());
      seen.chosen.insert(seen.chosen.end(), outcome.chosen.begin(), outcome.chosen.end());
    };
    forward.begin({{5, 9, 130, 2, 77}, {0, 1, 2, 0, 1}, {0, 0, 0, 1, 1}, {2, 4}}, landings[0]);
    for (int step = 0; step < kSteps; ++step) {
      Landing& last = landings[static_cast<std::size_t>(step % 2)];
      Landing& next = landings[static_cast<std::size_t>((step + 1) % 2)];
      if (!ahead) end(last);
      std::vector<std::int32_t> tokens{-1, -2};
      if (!ahead) tokens.assign(seen.chosen.end() - 2, seen.chosen.end());
      forward.begin({tokens, {3 + step, 2 + step}, {0, 1}, {0, 1}, {}, true}, next);
      if (ahead) end(last);
    }
    end(landings[kSteps % 2]);
    seen.captures = backend.captures;
    seen.replays = backend.replays;
    return seen;
  };
  const Seen plain = decode(Launch::eager, false);
  EXPECT_EQ(plain.captures, 0);
  EXPECT_EQ(plain.logits.size(), kSteps + 1U);
  for (std::size_t i = 0; i < plain.chosen.size(); ++i) {
    const auto row = plain.logits[i / 2].size() / 2;
    EXPECT_EQ(plain.chosen[i],
              argmax(std::span(plain.logits[i / 2]).subspan(i % 2 * row, row), DType::float32));
  }
  EXPECT_NE(plain.chosen[0], plain.chosen[1]);  // the rows can be told apart
  for (const Launch launch : {Launch::eager, Launch::captured}) {
    const Seen ahead = decode(launch, true);
    EXPECT_EQ(ahead.chosen, plain.chosen);
    EXPECT_EQ(ahead.logits, plain.logits);
    // Every decode pass is a replay, also the first, which ran eagerly before; prefill never is.
    EXPECT_EQ(ahead.captures, launch == Launch::captured ? 1 : 0);
    EXPECT_EQ(ahead.replays, launch == Launch::captured ? kSteps : 0);
  }
}

// Two sequences in one pass: logits, checksums and streams are those of the rows asked for, wherever they
// lie.
TEST(ForwardRows, AreThoseAskedFor) {
  const std::filesystem::path model = std::filesystem::path(SHARDRIFT_BINARY_DIR) / "fixtures/tiny-llama";
  const auto checkpoint = Checkpoint::open(model);
  const ModelConfig config = read_model_config(model);
  Plan wanted;
  wanted.shards = 3;
  wanted.reduction = reduction_from_text("linear");
  const Plan plan = validated(wanted, static_cast<int>(config.layers), 1);
  const Place place = place_of(plan, 0);
  const auto backend = make_cpu_backend(1);
  const auto weights = load_weights(checkpoint, config, plan, place, *backend, [](double) {});
  const auto alone = make_local_transport();
  constexpr std::int64_t kRows = 5;
  Forward forward(config, plan, place, weights, *backend, *alone, *alone, {kRows, kRows, 40, 2});
  Trace trace(config, plan, place, *backend, {.hidden = true, .checksums = true}, kRows);
  forward.trace_to(&trace);
  struct Seen {
    std::vector<std::byte> logits, words;
    std::vector<std::uint64_t> sums;
  };
  const auto run = [&](const std::vector<std::int32_t>& rows) {
    const auto logits = forward.run({{5, 9, 130, 2, 77}, {0, 1, 2, 0, 1}, {1, 1, 1, 0, 0}, rows}).logits;
    return Seen{{logits.begin(), logits.end()},
                {trace.words().begin(), trace.words().end()},
                {trace.sums().begin(), trace.sums().end()}};
  };
  const auto all = run({0, 1, 2, 3, 4});
  const auto ends = run({2, 4});
  const auto row = [](const auto& values, std::size_t rows, std::size_t groups, std::size_t group,
                      std::size_t i) {
    const auto width = values.size() / rows / groups;
    const auto* from = values.data() + (group * rows + i) * width;
    return std::vector(from, from + width);
  };
  const auto streams = static_cast<std::size_t>(config.layers + 1);
  for (std::size_t stream = 0; stream < streams; ++stream) {
    EXPECT_EQ(row(ends.words, 2, streams, stream, 0), row(all.words, 5, streams, stream, 2));
    EXPECT_EQ(row(ends.words, 2, streams, stream, 1), row(all.words, 5, streams, stream, 4));
  }
  // All but the logits, whose product has another shape.
  const auto points = static_cast<std::size_t>(record::point_count(config.layers));
  const auto head = static_cast<std::size_t>(record::index_of({record::Operation::logits, 0}, config.layers));
  for (std::size_t point = 0; point < points; ++point) {
    if (point == head) continue;
    EXPECT_EQ(row(ends.sums, 2, points, point, 0), row(all.sums, 5, points, point, 2)) << point;
    EXPECT_EQ(row(ends.sums, 2, points, point, 1), row(all.sums, 5, points, point, 4)) << point;
  }
  const auto others = run({2, 3});  // control: the second row is another one, the first is not
  EXPECT_EQ(row(others.logits, 2, 1, 0, 0), row(ends.logits, 2, 1, 0, 0));
  EXPECT_NE(row(others.logits, 2, 1, 0, 1), row(ends.logits, 2, 1, 0, 1));
  EXPECT_NE(row(others.sums, 2, points, head, 1), row(ends.sums, 2, points, head, 1));
}

INSTANTIATE_TEST_SUITE_P(Reductions, ForwardParts, ::testing::Values("linear", "ring", "native"));

}  // namespace
}  // namespace shardrift
