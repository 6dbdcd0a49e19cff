// --products fixed: a token's logits are the same bits in whatever pass it is computed.
#include <gtest/gtest.h>

#include <algorithm>

#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using Flags = std::vector<std::string>;

Case fixed(const std::string& dtype, const Flags& more = {}, int ranks = 1) {
  Case what{ranks, {"--products", "fixed", "--dtype", dtype}};
  what.flags.insert(what.flags.end(), more.begin(), more.end());
  return what;
}

class FixedProducts : public ::testing::TestWithParam<const char*> {};

TEST_P(FixedProducts, BatchesAndPrefillBatchesChangeNoBit) {
  const std::string dtype = GetParam();
  std::vector<std::string> models{"tiny-llama"};
  if (dtype == "bfloat16") models.push_back("tiny-gemma3");  // windows, norms of heads, caps
  for (const auto& model : models) {
    const fs::path folder = scratch("fixed-batches-" + dtype + model);
    const auto alone = record_of(model, fixed(dtype), folder, "alone");
    int run = 0;
    for (const Flags& flags :
         {Flags{"--threads", "1"}, Flags{"--batch", "3"}, Flags{"--batch", "4", "--prefill-batch", "4"}})
      EXPECT_EQ(first_difference(alone, record_of(model, fixed(dtype, flags), folder, std::to_string(run++))),
                "")
          << model << ' ' << flags.back();
  }
}

TEST_P(FixedProducts, PrefillHasTheBitsOfDecodingTheSameTokens) {
  const std::string dtype = GetParam();
  const fs::path folder = scratch("fixed-modes-" + dtype);
  const auto greedy = record_of("tiny-llama", fixed(dtype), folder, "greedy");
  const auto score = record_of("tiny-llama", fixed(dtype, {"--mode", "score", "--follow", greedy.string()}),
                               folder, "score");
  EXPECT_EQ(first_difference_by_position(greedy, score), "");
}

// Shards that cut columns alone (gather) have one device's bits; those that cut K and add have not.
TEST_P(FixedProducts, GatheredShardsHaveOneDevicesBits) {
  const std::string dtype = GetParam();
  const fs::path folder = scratch("fixed-gather-" + dtype);
  const auto one = record_of("tiny-llama", fixed(dtype), folder, "one");
  const auto gathered = record_of(
      "tiny-llama", fixed(dtype, {"--tensor-parallel", "2", "--row-linear", "gather"}, 2), folder, "gather");
  EXPECT_EQ(first_difference(one, gathered), "");
  const auto summed = record_of("tiny-llama", fixed(dtype, {"--tensor-parallel", "2"}, 2), folder, "reduce");
  EXPECT_NE(first_difference(one, summed), "");
}

INSTANTIATE_TEST_SUITE_P(DTypes, FixedProducts,
                         ::testing::Values("float32", "bfloat16", "float16", "float64"),
                         [](const auto& one) { return std::string(one.param); });

// The router of a mixture, and products with as many rows as an expert got.
TEST(FixedProductsOfExperts, BatchesChangeNoBit) {
  const fs::path folder = scratch("fixed-experts");
  const auto alone = record_of("tiny-mixtral", fixed("bfloat16"), folder, "alone");
  EXPECT_EQ(first_difference(
                alone, record_of("tiny-mixtral", fixed("bfloat16", {"--batch", "4", "--prefill-batch", "4"}),
                                 folder, "together")),
            "");
}

// Passes of few rows take all experts at once, unless they are traced; and each row's logits and routes are
// the same.
class GroupedExperts : public ::testing::TestWithParam<const char*> {};

TEST_P(GroupedExperts, HaveTheBitsOfEachExpertsRowsByThemselves) {
  const std::string model = GetParam();
  const fs::path folder = scratch("fixed-grouped-" + model);
  const auto routes_of = [](const fs::path& path) {
    const auto reader = record::Reader::open(path);
    std::vector<record::Routes> routes;
    for (const auto& id : reader.prompt_ids()) routes.push_back(reader.prompt(id).routes);
    return routes;
  };
  int run = 0;
  for (const std::string dtype : {"bfloat16", "float32"})
    for (const Flags& flags : {Flags{},
                               {"--shards", "4", "--reduction", "linear"},
                               {"--shards", "4", "--reduction", "linear", "--expert-parallel"},
                               {"--shards", "3", "--row-linear", "gather"},
                               {"--shards", "2", "--reduction", "linear", "--partial", "rounded"},
                               {"--quantize", "int4", "--expert-sum", "float32"}}) {
      if (dtype == "float32" && !flags.empty()) continue;
      const auto named = [&](const char* name) { return std::to_string(run) + name; };
      auto traced = flags;
      traced.push_back("--checksums");
      const auto sorted = record_of(model, fixed(dtype, traced), folder, named("sorted"));
      auto together = flags;
      for (const char* word : {"--batch", "4", "--prefill-batch", "2"}) together.emplace_back(word);
      for (const auto& [name, what] : {std::pair("grouped", flags), std::pair("batch", together)}) {
        const auto grouped = record_of(model, fixed(dtype, what), folder, named(name));
        EXPECT_EQ(first_difference(sorted, grouped), "") << name << ' ' << dtype << ' ' << flags.size();
        EXPECT_EQ(routes_of(sorted), routes_of(grouped)) << name << ' ' << dtype << ' ' << flags.size();
      }
      // Columns are cut, K is not.
      if (run == 3) {
        EXPECT_EQ(flags.back(), "gather");
        EXPECT_EQ(first_difference(folder / "0grouped.h5", folder / "3grouped.h5"), "");
      }
      ++run;
    }
}

INSTANTIATE_TEST_SUITE_P(Models, GroupedExperts,
                         ::testing::Values("tiny-mixtral", "tiny-qwen3-moe-step", "tiny-gpt-oss"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace shardrift::testing
