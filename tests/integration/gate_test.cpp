// From real runs to a verdict: what must be bit-equal passes, what must not be fails, and truth, noise floor
// and yardstick find their rows.
#include <gmock/gmock.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

Finished gate(const std::vector<std::string>& arguments) {
  std::vector<std::string> command{SHARDRIFT_BINARY_DIR "/bin/shardrift", "gate"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run_program(command);
}

nlohmann::json read_json(const fs::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

TEST(Gate, OfRealRuns) {
  const fs::path folder = scratch("gate");
  constexpr int kPrompts = 12;
  const auto record = [&](const std::string& name, const Case& what) {
    return record_of("tiny-llama", what, folder, name, kPrompts).string();
  };
  const std::string one = record("one", {1, {}});
  const std::string again = record("again", {1, {}});
  const std::string stages = record("stages", {2, {"--pipeline", "2"}});
  const std::string tensor = record("tensor", {2, {"--tensor-parallel", "2"}});
  const std::string half = record("half", {1, {"--dtype", "bfloat16", "--logits-dtype", "float32"}});
  const std::string truth = record("truth", {1, {"--dtype", "float64", "--mode", "follow", "--follow", one}});
  const std::string json = (folder / "verdict.json").string();

  EXPECT_EQ(gate({one, stages, "--preset", "bitwise", "--noise-floor", again}).code, 0);
  const Finished all = gate({one, stages, tensor, "--preset", "bitwise", "--noise-floor", again, "--truth",
                             truth, "--yardstick", half, "--json", json});
  EXPECT_EQ(all.code, 1) << all.output;
  EXPECT_THAT(all.output, HasSubstr("use stages"));
  EXPECT_THAT(all.output, HasSubstr("a + b = b + a"));

  const auto verdict = read_json(json);
  EXPECT_TRUE(verdict.at("noise_floor").at("zero_bits").get<bool>());
  EXPECT_EQ(verdict.at("ranking")[0].at("candidate"), "stages");
  const auto& equal = verdict.at("candidates")[0];
  EXPECT_EQ(equal.at("state"), "pass");
  EXPECT_EQ(equal.at("excess_error").at("ratio").at("value"), 1);  // equal bits, equal error
  EXPECT_EQ(equal.at("yardsticks")[0].at("kl").at("ratio").at("value"), 0);
  const auto& differs = verdict.at("candidates")[1];
  EXPECT_EQ(differs.at("state"), "fail");
  EXPECT_EQ(differs.at("cost").at("devices"), 2);
  // A busy machine allows no claim; then it says why.
  EXPECT_GT(differs.at("cost").at("seconds_per_token").get<double>(), 0);
  EXPECT_NE(differs.at("cost").at("times_reference").is_null(), differs.at("cost").at("unclear").is_null());
  // float32 sharding is far closer to the reference than bfloat16 is.
  const double beside = differs.at("yardsticks")[0].at("kl").at("ratio").at("value");
  EXPECT_GT(beside, 0);
  EXPECT_LT(beside, 1e-3);
  // Two float32 runs err alike: neither is exact, neither is much further off.
  const double excess = differs.at("excess_error").at("ratio").at("value");
  EXPECT_GT(excess, 0.2);
  EXPECT_LT(excess, 5);
  EXPECT_GT(differs.at("flip_law").at("law").at("scale").get<double>(), 0);
}

}  // namespace
}  // namespace shardrift::testing
