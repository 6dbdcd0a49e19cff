// The worker reads the shipped prompt sets into the token ids that Hugging Face's tokenizers gives, written
// by prompt_sets.py.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "weights/model_config.hpp"
#include "worker/prompts.hpp"

namespace shardrift {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kSource = SHARDRIFT_SOURCE_DIR, kBinary = SHARDRIFT_BINARY_DIR;

TEST(PromptSets, AreReadIntoTheTokensOfHuggingFace) {
  const fs::path model = kSource / "models/smollm2-135m";
  if (!fs::exists(model / "tokenizer.json") && std::getenv("SHARDRIFT_REQUIRE_MODEL") == nullptr)
    GTEST_SKIP() << model.string() << " is absent: run scripts/fetch-model smollm2-135m";
  std::ifstream file(kBinary / "golden/prompt-tokens.json");
  const json expected = json::parse(file);
  const auto config = read_model_config(model);
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(kSource / "experiments/prompts")) {
    if (entry.path().extension() != ".jsonl") continue;
    const auto jobs = read_prompts(entry.path(), model, config).jobs;
    for (const auto& job : jobs)
      EXPECT_EQ(job.prompt.tokens, expected.at(job.prompt.id).get<std::vector<std::int32_t>>())
          << job.prompt.id;
    count += jobs.size();
  }
  EXPECT_EQ(count, expected.size());
  EXPECT_GE(count, 100U);
}

}  // namespace
}  // namespace shardrift
