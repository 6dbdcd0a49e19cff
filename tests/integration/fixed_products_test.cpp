// --products fixed: a token's logits are the same bits in whatever pass it is computed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

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

// Of a prompt, each position's logits as they are stored.
std::map<std::int64_t, std::vector<std::byte>> logits_of(const record::Reader& reader,
                                                         const std::string& id) {
  std::map<std::int64_t, std::vector<std::byte>> rows;
  std::int64_t i = 0;
  for (const auto& row : reader.prompt(id).rows) {
    reader.read_logits(id, i, i + 1, rows[row.position]);
    ++i;
  }
  return rows;
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
  const auto decoded = record::Reader::open(greedy);
  const auto prefilled = record::Reader::open(score);
  std::size_t compared = 0;
  for (const auto& id : decoded.prompt_ids()) {
    const auto at_once = logits_of(prefilled, id);
    for (const auto& [position, logits] : logits_of(decoded, id)) {
      ASSERT_TRUE(at_once.contains(position)) << id << ' ' << position;
      EXPECT_TRUE(at_once.at(position) == logits) << id << " position " << position;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 4U * 9U);
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

TEST(FixedProductsOnGpus, AreRefusedOnGpusBeforeWeightsAreRead) {
  const fs::path folder = scratch("fixed-cuda");
  const auto finished = run_program(worker_command(
      1, run_arguments("tiny-llama", fixed("bfloat16", {"--device", "cuda"}), folder / "never.h5")));
  EXPECT_EQ(finished.code, 64);
  EXPECT_THAT(finished.output, ::testing::HasSubstr("--products fixed with --device cuda"));
}

}  // namespace
}  // namespace shardrift::testing
