// Ids of a text in many languages with real tokenizers (scripts/fetch-tokenizers): data/real.ids.json,
// made_by make_real.py.
#include <gtest/gtest.h>

#include "common/text.hpp"
#include "tokenizer_files.hpp"

namespace shardrift {
namespace {

namespace fs = std::filesystem;

std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

fs::path from(const char* variable, const fs::path& otherwise) {
  const char* other = std::getenv(variable);
  return other != nullptr ? fs::path(other) : otherwise;
}

TEST(RealTokenizers, IdsAreThoseOfTheirLibraries) {
  const fs::path models = SHARDRIFT_SOURCE_DIR "/models";
  if (!fs::exists(models / "tokenizers") && std::getenv("SHARDRIFT_REQUIRE_MODEL") == nullptr) {
    GTEST_SKIP() << (models / "tokenizers")
                 << " is not there: run scripts/fetch-tokenizers, then this test again";
  }
  const auto whole = read_bytes(from("SHARDRIFT_TOKENIZER_TEXT", fixture("multilingual.txt")));
  const auto all = read_json(from("SHARDRIFT_TOKENIZER_IDS", fixture("real.ids.json"))).at("ids");
  ASSERT_GE(all.size(), 11U);
  std::vector<std::string> texts = {whole};
  for (const auto& line : split(whole, '\n')) texts.emplace_back(line);
  for (const auto& [name, ids] : all.items()) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(fs::exists(models / name)) << "run scripts/fetch-tokenizers and scripts/fetch-model";
    const auto tokenizer = Tokenizer::open(models / name);
    ASSERT_EQ(ids.size(), texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(tokenizer.encode(texts[i]), ids[i].get<std::vector<std::int32_t>>())
          << nlohmann::json(texts[i]);
    }
  }
}

}  // namespace
}  // namespace shardrift
