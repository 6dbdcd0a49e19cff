#include "analysis/verdict/thresholds.hpp"

#include <gmock/gmock.h>

#include "common/error.hpp"

namespace shardrift::verdict {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const Limit* limit_of(const Thresholds& thresholds, std::string_view name) {
  for (const auto& limit : thresholds.limits)
    if (limit.kind->name == name) return &limit;
  return nullptr;
}

std::string error_of(const std::string& text) {
  try {
    parse_thresholds(text, "limits.toml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    return error.what();
  }
  return "no error";
}

TEST(Thresholds, Presets) {
  EXPECT_NE(limit_of(preset("bitwise"), "bit_equal"), nullptr);
  EXPECT_EQ(preset("bitwise").limits.size(), 1U);
  ASSERT_NE(limit_of(preset("strict"), "changed_prompts"), nullptr);
  EXPECT_EQ(limit_of(preset("strict"), "changed_prompts")->value, 0.05);
  EXPECT_EQ(limit_of(preset("serving"), "changed_prompts"), nullptr);
  EXPECT_EQ(preset("serving").source, "preset serving");
  EXPECT_THROW(preset("lax"), Error);
}

TEST(Thresholds, AFileChangesAPreset) {
  const auto t = parse_thresholds(R"(
preset = "strict"
[data]
prompts = 50
tokens = 64
confidence = 0.9
resamples = 500
seed = 7
[limits]
kl_mean = 0.5
changed_prompts = false
bit_equal = true
[recommend]
cost_slack = 2
)",
                                  "limits.toml");
  EXPECT_EQ(t.prompts, 50);
  EXPECT_EQ(t.tokens, 64);
  EXPECT_EQ(t.bootstrap.confidence, 0.9);
  EXPECT_EQ(t.bootstrap.resamples, 500);
  EXPECT_EQ(t.bootstrap.seed, 7U);
  EXPECT_EQ(t.cost_slack, 2);
  EXPECT_EQ(t.source, "limits.toml");
  EXPECT_EQ(limit_of(t, "kl_mean")->value, 0.5);
  EXPECT_EQ(limit_of(t, "changed_prompts"), nullptr);
  ASSERT_EQ(t.limits.size(), 3U);
  EXPECT_STREQ(t.limits.front().kind->name, "bit_equal");
  EXPECT_EQ(limit_text(*limit_of(t, "kl_mean"), t), "mean KL at most 0.5 nats");
  EXPECT_THAT(limit_text({&limit_kind("changed_prompts"), 0.05}, t),
              HasSubstr("5% of prompts within 64 tokens"));
}

TEST(Thresholds, EveryErrorNamesFileLineAndKey) {
  for (const auto& [text, line, word] : std::vector<std::tuple<std::string, int, std::string>>{
           {"preset = \"lax\"", 1, "lax"},
           {"\npreset = 3", 2, "preset"},
           {"[limits]\nkl_mean = \"small\"", 2, "kl_mean"},
           {"[limits]\nkl_mean = -1", 2, "kl_mean"},
           {"[limits]\nkl_mean = nan", 2, "kl_mean"},
           {"[limits]\nkl_mean = true", 2, "kl_mean"},
           {"[limits]\nchanged_prompts = 5", 2, "changed_prompts"},  // percent meant
           {"[limits]\nbit_equal = 1", 2, "bit_equal"},
           {"[limits]\n\nkl_maen = 1", 3, "kl_maen"},
           {"[limits]\nkl_mean = 1\n[date]\nprompts = 4", 3, "date"},
           {"[data]\nprompts = 0\n[limits]\nkl_mean = 1", 2, "prompts"},
           {"[data]\nprompts = 2.5\n[limits]\nkl_mean = 1", 2, "prompts"},
           {"[data]\nconfidence = 95\n[limits]\nkl_mean = 1", 2, "confidence"},
           {"[data]\nresamples = 1\n[limits]\nkl_mean = 1", 2, "resamples"},
           {"limits = 3", 1, "limits"},
           {"[recommend]\ncost_slack = 0.5\n[limits]\nkl_mean = 1", 2, "cost_slack"},
           {"[limits]\nkl_mean 3", 2, "TOML"},
           {"", 1, "no limit"},
           {"preset = \"bitwise\"\n[limits]\nbit_equal = false", 1, "no limit"},
       }) {
    const std::string error = error_of(text);
    EXPECT_THAT(error, StartsWith("limits.toml:" + std::to_string(line) + ": ")) << text;
    EXPECT_THAT(error, HasSubstr(word)) << text;
  }
}

TEST(Thresholds, AFileThatIsNotThere) {
  EXPECT_THROW(read_thresholds("/nonexistent/limits.toml"), Error);
  EXPECT_THROW(read_thresholds("/tmp"), Error);
}

}  // namespace
}  // namespace shardrift::verdict
