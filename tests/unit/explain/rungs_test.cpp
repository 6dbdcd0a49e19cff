// Which rungs a plan needs, and which a plan is.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "analysis/explain/ladder.hpp"
#include "common/error.hpp"
#include "tests/unit/record/example_record.hpp"

namespace shardrift::analysis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Plan real(int shards, DType dtype, RowLinear row_linear = RowLinear::reduce) {
  Plan plan;
  plan.shards = shards;
  plan.tensor_parallel = shards;
  plan.dtype = dtype;
  plan.logits_dtype = storage_of(dtype);
  plan.row_linear = row_linear;
  return plan;
}

std::vector<std::string> texts(const std::vector<PlannedRung>& rungs) {
  std::vector<std::string> all;
  for (const auto& rung : rungs) all.push_back(std::string(name_of(rung.kind)) + ": " + describe(rung.plan));
  return all;
}

TEST(Rungs, OfA16BitModel) {
  EXPECT_THAT(texts(planned_rungs(real(4, DType::bfloat16), true)),
              ElementsAre("reference: one device, bfloat16, cpu",
                          "product: one device, rounded partials, bfloat16, cpu",
                          "shards: one device, 4 shards, exact, float32 partials, bfloat16, cpu",
                          "partials: one device, 4 shards, exact, rounded partials, bfloat16, cpu",
                          "hops: one device, 4 shards, linear, rounded partials, bfloat16, cpu",
                          "order: one device, 4 shards, profile, rounded partials, bfloat16, cpu",
                          "prediction: one device, 4 shards, profile, bfloat16, cpu"));
}

TEST(Rungs, ThatWouldRepeatAreLeftOut) {
  // Nothing narrower than the accumulators to round.
  EXPECT_THAT(
      texts(planned_rungs(real(4, DType::float32), true)),
      ElementsAre("reference: one device, float32, cpu", "shards: one device, 4 shards, exact, float32, cpu",
                  "hops: one device, 4 shards, linear, float32, cpu",
                  "prediction: one device, 4 shards, profile, float32, cpu"));
  // Two shards have one order, and need no profile for it.
  EXPECT_THAT(texts(planned_rungs(real(2, DType::float16), false)),
              ElementsAre("reference: one device, float16, cpu",
                          "product: one device, rounded partials, float16, cpu",
                          "shards: one device, 2 shards, exact, float32 partials, float16, cpu",
                          "partials: one device, 2 shards, exact, rounded partials, float16, cpu",
                          "hops: one device, 2 shards, linear, rounded partials, float16, cpu",
                          "prediction: one device, 2 shards, linear, float16, cpu"));
  EXPECT_THAT(
      texts(planned_rungs(real(2, DType::float32), false)),
      ElementsAre("reference: one device, float32, cpu", "shards: one device, 2 shards, exact, float32, cpu",
                  "hops: one device, 2 shards, linear, float32, cpu"));
  // gather adds nothing.
  EXPECT_THAT(texts(planned_rungs(real(4, DType::bfloat16, RowLinear::gather), false)),
              ElementsAre("reference: one device, bfloat16, cpu",
                          "shards: one device, 4 shards, row-linear gather, bfloat16, cpu"));
  // Without a profile nobody knows the order of more than two.
  EXPECT_EQ(planned_rungs(real(3, DType::bfloat16), false).back().kind, RungKind::hops);
  EXPECT_EQ(planned_rungs(real(3, DType::float64), true).back().kind, RungKind::prediction);
  EXPECT_EQ(planned_rungs(real(3, DType::float64), true).size(), 3U);
}

// Of a mixture all rungs after the reference have its routes, and one more has its own.
TEST(Rungs, OfAMixtureEndWithItsOwnRoutes) {
  for (const auto dtype : {DType::float32, DType::bfloat16})
    for (const auto row_linear : {RowLinear::reduce, RowLinear::scatter, RowLinear::gather})
      for (const bool profile : {false, true}) {
        const auto dense = planned_rungs(real(4, dtype, row_linear), profile);
        const auto rungs = planned_rungs(real(4, dtype, row_linear), profile, true);
        ASSERT_EQ(rungs.size(), dense.size() + 1);
        EXPECT_FALSE(rungs.front().replays_routes);
        for (std::size_t i = 0; i < dense.size(); ++i) {
          EXPECT_EQ(rungs[i].kind, dense[i].kind);
          EXPECT_EQ(describe(rungs[i].plan), describe(dense[i].plan));
          EXPECT_EQ(rungs[i].replays_routes, i > 0);
          EXPECT_FALSE(dense[i].replays_routes);
        }
        EXPECT_EQ(rungs.back().kind, RungKind::routes);
        EXPECT_FALSE(rungs.back().replays_routes);
        EXPECT_EQ(describe(rungs.back().plan), describe(dense.back().plan));
      }
}

// Dealt whole, experts are dealt in every rung that has shards.
TEST(Rungs, OfDealtExpertsAreValid) {
  Plan live = real(4, DType::bfloat16);
  live.expert_parallel = true;
  for (const auto& rung : planned_rungs(live, true, true)) {
    EXPECT_EQ(rung.plan.expert_parallel, rung.plan.shards > 1) << name_of(rung.kind);
    const auto kind = rung.kind == RungKind::routes ? RungKind::prediction : rung.kind;
    EXPECT_EQ(rung_of(validated(rung.plan, 4, 1)), kind);
  }
}

// Two files of one plan: that which does not replay has its own routes.
TEST(Rungs, OfAMixtureAreRecognised) {
  const record::testing::Scratch scratch;
  const auto write = [&](const std::string& name, const std::string& more, bool replays) {
    auto run = record::testing::example_run();
    run.plan =
        R"({"accumulate":"message","batch":1,"device":"cpu","dtype":"float32","logits_dtype":"float32",)"
        R"("partial":"model","pipeline":1,"reduction":"native","replicas":1,"row_linear":"reduce","shards":1,)"
        R"("stage_layers":[2],"tensor_parallel":1)" +
        more + "}";
    auto plan = nlohmann::json::parse(run.plan);  // the later of two keys counts
    run.plan = plan.dump();
    if (replays) run.environment.settings["routes"] = "replayed: 0123456789abcdef";
    record::testing::write_record(scratch / (name + ".h5"), run,
                                  {record::testing::example_prompt(run, "a", 0)});
    return scratch / (name + ".h5");
  };
  const std::string hops = R"(,"shards":2,"reduction":"linear")";
  const std::string shards = R"(,"shards":2,"reduction":"exact","accumulate":"float64")";
  const auto one = write("one", "", false);
  const auto own = write("own", hops, false);
  const auto cut = write("cut", shards, true);
  const auto replayed = write("replayed", hops, true);
  const auto real_one = write("real", R"(,"shards":2,"tensor_parallel":2)", false);
  std::vector<std::string> names;
  for (const auto& file : recognised({real_one, own, replayed, one, cut}))
    names.push_back(file.name + " " + file.path.stem().string());
  EXPECT_THAT(names, ElementsAre("reference one", "shards cut", "hops replayed", "routes own", "real real"));
  EXPECT_THAT(record::testing::error_of([&] {
                recognised({one, own, own});
              }).what(),
              HasSubstr("second 'hops'"));
  EXPECT_THAT(record::testing::error_of([&] {
                recognised({one, own, own, replayed});
              }).what(),
              HasSubstr("second 'routes'"));
}

TEST(Rungs, ScatterHasItsOwnOrder) {
  const auto rungs = planned_rungs(real(4, DType::bfloat16, RowLinear::scatter), true);
  EXPECT_EQ(rungs.back().plan.row_linear, RowLinear::scatter);
  EXPECT_EQ(rungs[3].plan.row_linear, RowLinear::reduce);
}

TEST(Rungs, OneShardHasNothingToExplain) {
  EXPECT_THROW(planned_rungs(real(1, DType::float32), true), Error);
}

TEST(Rungs, EveryPlannedRungIsAValidPlanAndRecognised) {
  for (const auto dtype : {DType::float32, DType::float16, DType::bfloat16, DType::float64})
    for (const auto row_linear : {RowLinear::reduce, RowLinear::scatter, RowLinear::gather})
      for (const int shards : {2, 3, 4, 8}) {
        for (const auto& rung : planned_rungs(real(shards, dtype, row_linear), true)) {
          const Plan plan = validated(rung.plan, 4, 1);
          EXPECT_EQ(rung_of(plan), rung.kind) << describe(plan);
        }
        Plan live = real(shards, dtype, row_linear);
        EXPECT_EQ(rung_of(validated(live, 4, shards)), RungKind::real) << describe(live);
      }
}

// A collective of our own adds 16-bit partials in float32, and so do the rungs from its hops on.
TEST(Rungs, OfOurOwnCollectives) {
  Plan live = real(4, DType::bfloat16);
  live.collective = Collective::one_shot;
  EXPECT_EQ(rung_of(validated(live, 4, 4)), RungKind::real);
  for (const bool profile : {false, true})
    EXPECT_THAT(
        texts(planned_rungs(live, profile)),
        ElementsAre("reference: one device, bfloat16, cpu",
                    "product: one device, rounded partials, bfloat16, cpu",
                    "shards: one device, 4 shards, exact, float32 partials, bfloat16, cpu",
                    "partials: one device, 4 shards, exact, rounded partials, bfloat16, cpu",
                    "hops: one device, 4 shards, linear, rounded partials, float32 sums, bfloat16, cpu",
                    "prediction: one device, 4 shards, linear, float32 sums, bfloat16, cpu"));
  live.collective = Collective::two_shot;
  EXPECT_THAT(
      texts(planned_rungs(live, true)),
      ElementsAre(::testing::_, ::testing::_, ::testing::_, ::testing::_,
                  "hops: one device, 4 shards, linear, rounded partials, float32 sums, bfloat16, cpu",
                  "order: one device, 4 shards, profile, rounded partials, float32 sums, bfloat16, cpu",
                  "prediction: one device, 4 shards, profile, float32 sums, bfloat16, cpu"));
  for (const auto dtype : {DType::float32, DType::float16, DType::bfloat16, DType::float64})
    for (const auto collective : {Collective::one_shot, Collective::two_shot})
      for (const int shards : {2, 3, 4}) {
        live = real(shards, dtype);
        live.collective = collective;
        for (const auto& rung : planned_rungs(live, true)) {
          const Plan plan = validated(rung.plan, 4, 1);
          EXPECT_EQ(rung_of(plan), rung.kind) << describe(plan);
        }
      }
}

TEST(Rungs, OtherPlansAreNone) {
  Plan plan = real(4, DType::bfloat16);
  plan.tensor_parallel = 1;
  plan.reduction = reduction_from_text("tree");
  EXPECT_EQ(rung_of(plan), std::nullopt);
  plan.reduction = reduction_from_text("linear");
  EXPECT_EQ(rung_of(plan), std::nullopt);  // two things changed against the rung before
  plan.reduction = reduction_from_text("exact");
  EXPECT_EQ(rung_of(plan), std::nullopt);
  plan.reduction.partial = PartialDType::float32;
  EXPECT_EQ(rung_of(plan), RungKind::shards);
  plan.reduction.order = ReductionOrder::linear;
  EXPECT_EQ(rung_of(plan), std::nullopt);
}

TEST(Rungs, NamesReadBack) {
  for (int i = 0; i <= static_cast<int>(RungKind::real); ++i) {
    const auto kind = static_cast<RungKind>(i);
    EXPECT_EQ(from_name<RungKind>(name_of(kind)), kind);
    EXPECT_FALSE(changes(kind).empty());
  }
  EXPECT_EQ(from_name<RungKind>("top"), std::nullopt);
}

}  // namespace
}  // namespace shardrift::analysis
