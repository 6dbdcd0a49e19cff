// How passes follow each other changes no bits: a pass that begins before the host knows the token of the one
// before, and groups of prompts that take turns in the stages of a pipeline.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// Tokens, positions, choices and ends of every prompt; logits are compared by first_difference.
std::vector<std::string> told(const fs::path& path) {
  const auto reader = record::Reader::open(path);
  std::vector<std::string> lines;
  for (const auto& id : reader.prompt_ids()) {
    const auto prompt = reader.prompt(id);
    auto line = id + " " + prompt.stop;
    for (const auto& row : prompt.rows)
      line += " " + std::to_string(row.input_id) + "@" + std::to_string(row.position) + ">" +
              std::to_string(row.chosen);
    lines.push_back(line);
  }
  return lines;
}

// Numbers of the passes that a prompt's rows are of.
std::vector<std::int32_t> calls_of(const fs::path& path, const std::string& id) {
  std::vector<std::int32_t> calls;
  for (const auto& row : record::Reader::open(path).prompt(id).rows) calls.push_back(row.forward_call);
  return calls;
}

void expect_same(const std::string& model, const std::string& name, const std::vector<Case>& cases,
                 int prompts = 7) {
  const fs::path folder = scratch("flow-" + name);
  fs::path first;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto record = record_of(model, cases[i], folder, std::to_string(i), prompts);
    if (i == 0) {
      first = record;
      continue;
    }
    EXPECT_EQ(first_difference(first, record), "") << name << " " << i;
    EXPECT_EQ(told(first), told(record)) << name << " " << i;
  }
}

const Words kOn{"--run-ahead", "on"};
const Words kOff{"--run-ahead", "off"};

TEST(RunAhead, ChangesNoBits) {
  const std::vector<std::pair<int, Words>> plans{
      {1, {}},
      {1, {"--batch", "3", "--prefill-batch", "2"}},
      {1, {"--batch", "3", "--prefill-batch", "3", "--shards", "3"}},
      {1, {"--max-new-tokens", "1"}},
      {1, {"--max-new-tokens", "2", "--batch", "2"}},
      {2, {"--tensor-parallel", "2", "--dtype", "bfloat16"}},
      {2, {"--tensor-parallel", "2", "--row-linear", "gather"}},
      {2, {"--replicas", "2", "--batch", "2"}}};
  for (std::size_t i = 0; i < plans.size(); ++i)
    expect_same(
        "tiny-llama", "ahead-" + std::to_string(i),
        {{plans[i].first, joined(plans[i].second, kOff)}, {plans[i].first, joined(plans[i].second, kOn)}});
}

TEST(RunAhead, FollowsAndEndsAtTheContext) {
  const fs::path folder = scratch("flow-follow");
  const auto followed = record_of("tiny-llama", {1, {"--shards", "2"}}, folder, "followed");
  const Words follow{"--mode", "follow", "--follow", followed.string(), "--batch", "2"};
  expect_same("tiny-llama", "ahead-follow", {{1, joined(follow, kOff)}, {1, joined(follow, kOn)}});
  const Words all{"--max-new-tokens", "100000", "--batch", "3"};
  expect_same("tiny-gemma2", "ahead-context", {{1, joined(all, kOff)}, {1, joined(all, kOn)}}, 3);
}

// A mixture's routes come with their pass, also where the next one has begun.
TEST(RunAhead, RecordsTheRoutesOfAMixturesPasses) {
  const Words fixed{"--products", "fixed", "--batch", "3", "--prefill-batch", "2", "--dtype", "bfloat16"};
  const std::vector<std::pair<int, Words>> plans{
      {1, fixed}, {1, joined(fixed, {"--shards", "4"})}, {2, joined(fixed, {"--tensor-parallel", "2"})}};
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const fs::path folder = scratch("flow-ahead-routes-" + std::to_string(i));
    const auto& [ranks, words] = plans[i];
    const auto off = record_of("tiny-mixtral", {ranks, joined(words, kOff)}, folder, "off", 7);
    const auto on = record_of("tiny-mixtral", {ranks, joined(words, kOn)}, folder, "on", 7);
    EXPECT_EQ(first_difference(off, on), "") << i;
    EXPECT_EQ(told(off), told(on)) << i;
    const auto one = record::Reader::open(off), other = record::Reader::open(on);
    for (const auto& id : one.prompt_ids()) {
      EXPECT_FALSE(one.prompt(id).routes.experts.empty());
      EXPECT_EQ(one.prompt(id).routes, other.prompt(id).routes) << i << ' ' << id;
    }
  }
  // With the library's products a row after its end would change its neighbours' bits.
  const fs::path folder = scratch("flow-ahead-refused");
  const auto refused = run_program(worker_command(
      1, run_arguments("tiny-mixtral", {1, joined(kOn, {"--batch", "2"})}, folder / "out.h5")));
  EXPECT_EQ(refused.code, 64) << refused.output;
  EXPECT_NE(refused.output.find("--products fixed"), std::string::npos) << refused.output;
}

// A fixture whose end of sequence is a token that it chooses early for some prompts.
class EndOfSequence : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = scratch("flow-eos");
    const auto plain = record_of("tiny-llama", {1, {}}, folder, "plain", kPrompts);
    const auto reader = record::Reader::open(plain);
    const auto token = reader.prompt("p2").rows.at(3).chosen;
    model = folder / "model";
    fs::copy(fixture("tiny-llama"), model);
    fs::remove(model / "generation_config.json");
    auto config = nlohmann::json::parse(std::ifstream(model / "config.json"));
    config["eos_token_id"] = token;
    std::ofstream(model / "config.json") << config;
  }
  fs::path run(const std::string& name, int ranks, const Words& flags) const {
    auto arguments = run_arguments("tiny-llama", {ranks, flags}, folder / (name + ".h5"), kPrompts);
    std::erase(arguments, "--ignore-eos");
    for (auto& word : arguments)
      if (word == fixture("tiny-llama").string()) word = model.string();
    const auto finished = run_program(worker_command(ranks, arguments));
    EXPECT_EQ(finished.code, 0) << name << ": " << finished.output;
    return folder / (name + ".h5");
  }
  static constexpr int kPrompts = 7;
  fs::path folder, model;
};

TEST_F(EndOfSequence, EndsAPromptWhereverItsNextPassIs) {
  const auto off = run("off", 1, kOff);
  const auto lines = told(off);
  const auto ends_by_token = [](const std::string& line) { return line.find(" eos ") != std::string::npos; };
  const auto ended = std::count_if(lines.begin(), lines.end(), ends_by_token);
  EXPECT_GE(ended, 1);
  EXPECT_LT(ended, kPrompts);
  const std::vector<std::pair<int, Words>> same{{1, kOn},
                                                {2, {"--pipeline", "2", "--in-flight", "2"}},
                                                {2, {"--pipeline", "2", "--in-flight", "4"}},
                                                {3, {"--pipeline", "3"}}};
  for (std::size_t i = 0; i < same.size(); ++i) {
    const auto record = run("same-" + std::to_string(i), same[i].first, same[i].second);
    EXPECT_EQ(told(record), lines) << i;
    EXPECT_EQ(first_difference(off, record), "") << i;
  }
  // Control: a pass did begin before the end was known, and its row was dropped.
  const auto behind = calls_of(off, "p6");
  const auto ahead_of_it = calls_of(folder / "same-0.h5", "p6");
  EXPECT_EQ(ahead_of_it.front() - behind.front(),
            std::count_if(lines.begin(), lines.end() - 1, ends_by_token));
  // Neighbours go on.
  const Words batch{"--batch", "3"};
  const auto together = run("together", 1, joined(batch, kOff));
  const auto ahead = run("together-ahead", 1, joined(batch, kOn));
  EXPECT_EQ(told(together), told(ahead));
  EXPECT_EQ(first_difference(together, ahead), "");
}

TEST(InFlight, ChangesNoBits) {
  const auto pipeline = [](int stages, int in_flight, const Words& more = {}) {
    return Case{
        stages,
        joined({"--pipeline", std::to_string(stages), "--in-flight", std::to_string(in_flight)}, more)};
  };
  expect_same("tiny-llama", "stages",
              {{1, {}}, pipeline(2, 1), pipeline(2, 2), pipeline(2, 3), pipeline(3, 5), pipeline(4, 4)});
  // Control: the groups did take turns.
  const fs::path turns = scratch("flow-turns");
  EXPECT_EQ(calls_of(record_of("tiny-llama", pipeline(2, 1), turns, "one"), "p0"),
            (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(calls_of(record_of("tiny-llama", pipeline(2, 2), turns, "two"), "p0"),
            (std::vector<std::int32_t>{0, 2, 4, 6, 8, 10, 12, 14, 16}));
  const Words batch{"--batch", "2", "--prefill-batch", "2", "--dtype", "bfloat16"};
  expect_same("tiny-mistral", "batch", {{1, batch}, pipeline(2, 2, batch), pipeline(2, 64, batch)}, 9);
  const Words score{"--mode", "score", "--prefill-batch", "2"};
  expect_same("tiny-llama", "score", {{1, score}, pipeline(2, 2, score)}, 9);
  Case tensor = pipeline(2, 2, {"--tensor-parallel", "2", "--reduction", "linear"});
  tensor.ranks = 4;
  expect_same("tiny-llama", "tensor", {{1, {"--shards", "2", "--reduction", "linear"}}, tensor});
  Case replicas = pipeline(2, 2, {"--replicas", "2"});
  replicas.ranks = 4;
  expect_same("tiny-llama", "replicas", {{1, {}}, replicas});
  // A mixture's routes go from its stages to the record.
  expect_same("tiny-mixtral", "mixture", {{1, {}}, pipeline(2, 2)});
  const fs::path folder = scratch("flow-routes");
  const auto one = record::Reader::open(record_of("tiny-mixtral", {1, {}}, folder, "one", 5));
  const auto two = record::Reader::open(record_of("tiny-mixtral", pipeline(2, 2), folder, "two", 5));
  for (const auto& id : one.prompt_ids()) {
    EXPECT_FALSE(one.prompt(id).routes.experts.empty());
    EXPECT_EQ(one.prompt(id).routes.experts, two.prompt(id).routes.experts);
    EXPECT_EQ(one.prompt(id).routes.weights, two.prompt(id).routes.weights);
  }
}

}  // namespace
}  // namespace shardrift::testing
