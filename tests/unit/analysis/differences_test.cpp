// Which key of two config.json texts differs.
#include "analysis/measure/differences.hpp"

#include <gtest/gtest.h>

namespace shardrift::analysis {
namespace {

void expect_difference(const std::string& a, const std::string& b, const std::string& what,
                       const std::string& of_a, const std::string& of_b) {
  const auto found = config_difference(a, b);
  ASSERT_TRUE(found) << a << " " << b;
  EXPECT_EQ(found->what, what);
  EXPECT_EQ(found->reference, of_a);
  EXPECT_EQ(found->candidate, of_b);
}

TEST(ConfigDifference, IsTheFirstKeyThatBothHaveWithOtherValues) {
  expect_difference(R"({"hidden_size": 576, "rms_norm_eps": 1e-05})",
                    R"({"rms_norm_eps": 0.001, "hidden_size": 576})", "rms_norm_eps", "1e-05", "0.001");
  expect_difference(R"({"rope_scaling": {"factor": 8.0}})", R"({"rope_scaling": {"factor": 32.0}})",
                    "rope_scaling.factor", "8.0", "32.0");
  expect_difference(R"({"a": 1})", R"({"quantization_config": {"bits": 4}})", "quantization_config", "none",
                    R"({"bits":4})");
  expect_difference(R"({"a": "\u001b[2J"})", R"({"a": "b"})", "a", R"("\u001b[2J")", R"("b")");
}

TEST(ConfigDifference, OfWhatSaysTheSameIsNone) {
  const std::string one =
      R"({"rms_norm_eps": 1e-05, "torch_dtype": "bfloat16", "eos_token_id": 2, "head_dim": 64})";
  EXPECT_FALSE(config_difference(one, one + "\n"));
  // A GGUF file's epsilon is a float32, and other keys are left out.
  EXPECT_FALSE(
      config_difference(one, R"({"rms_norm_eps": 9.999999747378752e-06, "torch_dtype": "float16"})"));
  EXPECT_FALSE(config_difference(one, ""));
  EXPECT_FALSE(config_difference("[1]", one));
}

}  // namespace
}  // namespace shardrift::analysis
