// Which of a directory's files texts are encoded with, and what tells them from others.
#include "weights/model_files.hpp"

#include <gtest/gtest.h>

#include "weight_files.hpp"

namespace shardrift {
namespace {

class TokenizerFiles : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const { directory_.write(name, text); }
  std::string hash() const { return small_model_files(folder, true).tokenizer; }

  TemporaryDirectory directory_;
  const std::filesystem::path& folder = directory_.path();
};

TEST_F(TokenizerFiles, TokenizerJsonCountsWhereThereAreBoth) {
  EXPECT_EQ(tokenizer_file(folder), "");
  EXPECT_EQ(hash(), "");
  write("tokenizer.model", "m");
  EXPECT_EQ(tokenizer_file(folder), folder / "tokenizer.model");
  const auto of_model = hash();
  write("tokenizer.json", "j");
  EXPECT_EQ(tokenizer_file(folder), folder / "tokenizer.json");
  const auto of_json = hash();
  EXPECT_NE(of_json, of_model);
  write("tokenizer.model", "other");
  write("tokenizer_config.json", "{}");
  EXPECT_EQ(hash(), of_json);
  EXPECT_EQ(small_model_files(folder, false).tokenizer, "");
}

TEST_F(TokenizerFiles, WhatLiesBesideTokenizerModelCounts) {
  write("tokenizer.model", "m");
  auto last = hash();
  for (const auto* name : {"tokenizer_config.json", "added_tokens.json", "tokenizer.model"}) {
    write(name, "{\"x\": 1}");
    EXPECT_NE(hash(), last) << name;
    last = hash();
  }
}

}  // namespace
}  // namespace shardrift
