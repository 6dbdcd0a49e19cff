// --products fixed: a token's logits are the same bits in whatever pass it is computed.
#include <gtest/gtest.h>

#include "program.hpp"
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

}  // namespace
}  // namespace shardrift::testing
