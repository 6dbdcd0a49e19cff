// Logits that are infinite or NaN end the run, and the message names the first operation whose output is
// not finite, wherever its layer lives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class LogitsNotFinite : public ::testing::Test {
 protected:
  void SetUp() override {
    folder =
        scratch(std::string("notfinite-") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    model = folder / "model";
    fs::copy(fixture("tiny-llama"), model);
  }

  // A float32 tensor of the model.
  void edit(const std::string& tensor, const std::function<void(std::vector<float>&)>& change) const {
    std::fstream file(model / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    std::uint64_t length = 0;
    file.read(reinterpret_cast<char*>(&length), sizeof length);
    std::string header(length, '\0');
    file.read(header.data(), static_cast<std::streamsize>(length));
    const auto offsets = nlohmann::json::parse(header).at(tensor).at("data_offsets");
    const auto begin = offsets[0].get<std::uint64_t>();
    const auto end = offsets[1].get<std::uint64_t>();
    std::vector<float> values((end - begin) / sizeof(float));
    const auto at = static_cast<std::streamoff>(8 + length + begin);
    const auto bytes = static_cast<std::streamsize>(end - begin);
    file.seekg(at);
    file.read(reinterpret_cast<char*>(values.data()), bytes);
    change(values);
    file.seekp(at);
    file.write(reinterpret_cast<const char*>(values.data()), bytes);
  }
  void fill(const std::string& tensor, float value) const {
    edit(tensor, [&](std::vector<float>& values) { std::fill(values.begin(), values.end(), value); });
  }

  void ends(int ranks, const std::vector<std::string>& flags,
            const ::testing::Matcher<std::string>& says) const {
    auto arguments = run_arguments("tiny-llama", {ranks, flags}, folder / "out.h5");
    for (auto& word : arguments)
      if (word == fixture("tiny-llama").string()) word = model.string();
    const auto finished = run_program(worker_command(ranks, arguments));
    EXPECT_EQ(finished.code, 70) << finished.output;
    EXPECT_THAT(finished.output, says);
    const auto first = finished.output.find("shardrift-run: ");
    EXPECT_NE(first, std::string::npos) << finished.output;
    EXPECT_EQ(finished.output.find("shardrift-run: ", first + 1), std::string::npos) << finished.output;
    EXPECT_FALSE(fs::exists(folder / "out.h5"));
  }

  fs::path folder, model;
};

// Products of finite weights overflow; seen in the shards' products, before they are summed.
TEST_F(LogitsNotFinite, NameTheLayerAndOperation) {
  fill("model.layers.3.mlp.down_proj.weight", 3e38F);
  const auto says = AllOf(HasSubstr("prompt 'p0', position 4: the logits are not finite: first "),
                          HasSubstr(" mlp_partials of layer 3, which is "), HasSubstr("float32 arithmetic"));
  ends(1, {}, says);
  ends(2, {"--tensor-parallel", "2"}, says);
  ends(2, {"--pipeline", "2"}, says);
  ends(4, {"--pipeline", "2", "--tensor-parallel", "2"}, says);
  ends(3, {"--pipeline", "3", "--in-flight", "3"}, says);
  ends(1, {"--run-ahead", "on"}, says);
  ends(2, {"--tensor-parallel", "2", "--mode", "score", "--checksums"},
       HasSubstr(" mlp_partials of layer 3"));
}

TEST_F(LogitsNotFinite, SuggestsAWiderType) {
  fill("model.layers.1.input_layernorm.weight", 60000.0F);
  ends(2, {"--tensor-parallel", "2", "--dtype", "float16", "--batch", "2"},
       AllOf(HasSubstr("first attention_norm of layer 1, which is "),
             HasSubstr("float16 arithmetic on them, overflow: use --dtype bfloat16 or float32")));
}

TEST_F(LogitsNotFinite, TheHeadItself) {
  fill("lm_head.weight", 3e38F);
  ends(2, {"--tensor-parallel", "2"}, HasSubstr("first logits, which is "));
}

// Of prompts that shared the pass, the one whose rows are not finite.
TEST_F(LogitsNotFinite, NameThePromptAmongThoseOfItsPass) {
  std::ifstream prompts(write_prompts(folder));
  std::vector<std::vector<std::size_t>> tokens;
  for (std::string line; std::getline(prompts, line);)
    tokens.push_back(nlohmann::json::parse(line).at("tokens").get<std::vector<std::size_t>>());
  const auto only_in_p1 = tokens.at(1).at(0);
  for (const std::size_t other : {0, 2})
    ASSERT_EQ(std::count(tokens[other].begin(), tokens[other].end(), only_in_p1), 0);
  // One channel of the embedding is 0 but for that token, and the norm after it overflows that channel.
  edit("model.embed_tokens.weight", [&](std::vector<float>& values) {
    constexpr std::size_t kHidden = 72;
    for (std::size_t at = 0; at < values.size(); at += kHidden)
      values[at] = at == only_in_p1 * kHidden ? 9.0F : 0.0F;
  });
  edit("model.layers.0.input_layernorm.weight", [](std::vector<float>& values) { values[0] = 3e38F; });
  // Row 5 of the pass: after p0's five.
  const auto says =
      AllOf(HasSubstr("prompt 'p1', position 0: the logits are not finite: first attention_norm "
                      "of layer 0, which is infinite (row 5 of the pass)"));
  ends(1, {"--batch", "3", "--prefill-batch", "3"}, says);
  ends(1, {"--batch", "3", "--prefill-batch", "3", "--run-ahead", "on"}, says);
  ends(2, {"--batch", "3", "--prefill-batch", "3", "--pipeline", "2", "--in-flight", "2"}, says);
  ends(2, {"--batch", "3", "--prefill-batch", "2", "--tensor-parallel", "2"}, says);
  ends(2, {"--mode", "score", "--prefill-batch", "3", "--pipeline", "2"}, says);
}

}  // namespace
}  // namespace shardrift::testing
