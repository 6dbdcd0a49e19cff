// Each architecture in float64 and the 16-bit types, and checkpoints stored in every type, mixed too, against
// transformers' float64. Its own 16-bit error is the measure of ours: docs/results/bfloat16-error.md.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "reference.hpp"

namespace shardrift::golden {
namespace {

using nlohmann::json;

const std::vector<std::string> kModels{
    "tiny-qwen3",          "tiny-qwen3-v5",      "tiny-qwen2",          "tiny-qwen2-yarn",
    "tiny-internlm2",      "tiny-gemma2",        "tiny-gemma3",         "tiny-phi3",
    "tiny-olmo2",          "tiny-olmo3",         "tiny-granite",        "tiny-mixtral",
    "tiny-mixtral-window", "tiny-qwen3-moe",     "tiny-qwen3-moe-step", "tiny-gpt-oss",
    "tiny-gpt-oss-mxfp4",  "tiny-llama-linear",  "tiny-llama-dynamic",  "tiny-llama-attention-bias",
    "tiny-llama-mixed",    "tiny-llama-float64", "tiny-llama-float16",  "tiny-llama-bfloat16"};

// 1e-15 is reached: rope's tables hold the same float32 words, all else is float64 in both.
constexpr double kFloat64Tolerance = 1e-12;
// Every operation rounds to the type once, here as there: about twice the type's unit after these few layers.
// What differs is the order of sums and luck.
constexpr double kRatio = 1.5;

class Precision : public ::testing::TestWithParam<std::string> {};

double error_in(const std::string& dtype, const std::string& model, const json& reference) {
  const json& precise = reference["precision"];
  const auto prompts = token_prompts(reference);
  const auto prompt = std::find_if(prompts.begin(), prompts.end(),
                                   [&](const json& one) { return one["id"] == precise["prompt"]; });
  const auto reader =
      run_worker({model_directory(model), model + "." + dtype, {*prompt}, 1, {"--mode", "score"}, dtype});
  const auto columns = precise["columns"].get<std::vector<std::size_t>>();
  const auto truth = from_base64<double>(precise["logits"]);
  RelativeError error;
  const auto rows = truth.size() / columns.size();
  for (std::size_t r = 0; r < rows; ++r) {
    const auto ours = row_of(reader, (*prompt)["id"], static_cast<std::int64_t>(r));
    for (std::size_t c = 0; c < columns.size(); ++c)
      error.add(ours[columns[c]], truth[r * columns.size() + c]);
  }
  return error.value();
}

TEST_P(Precision, IsThatOfTransformers) {
  const json reference = read_reference(GetParam());
  const json& theirs = reference["precision"]["error"];
  std::string line = GetParam();
  for (const char* dtype : {"float64", "float32", "bfloat16", "float16"}) {
    const double ours = error_in(dtype, GetParam(), reference);
    if (!theirs.contains(dtype)) {
      EXPECT_LE(ours, kFloat64Tolerance);
      line += fmt::format(" | {} {:.2g}", dtype, ours);
      continue;
    }
    const double others = theirs[dtype];
    EXPECT_LE(ours, kRatio * others) << dtype;
    line += fmt::format(" | {} {:.3g}, transformers {:.3g}", dtype, ours, others);
  }
  std::puts(line.c_str());
}

INSTANTIATE_TEST_SUITE_P(Tiny, Precision, ::testing::ValuesIn(kModels), [](const auto& instance) {
  auto name = instance.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace shardrift::golden
