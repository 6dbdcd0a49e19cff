// Checksums and hidden states of whole runs: what they are of, which plans must agree in them, and that
// recording them changes no bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "common/mix64.hpp"
#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using record::Operation;

Case traced(Case what) {
  what.flags.insert(what.flags.end(), {"--record", "hidden", "--checksums"});
  return what;
}

Case shards(int s, int ranks, const std::vector<std::string>& more = {}) {
  Case c{
      ranks,
      {"--shards", std::to_string(s), "--tensor-parallel", std::to_string(ranks), "--reduction", "linear"}};
  c.flags.insert(c.flags.end(), more.begin(), more.end());
  return c;
}

// Every case has the traces of the first. one_dealing: they deal shards alike, so partials must agree too.
void expect_equal_traces(const std::string& model, const std::string& name, const std::vector<Case>& cases,
                         bool one_dealing = true) {
  const fs::path folder = scratch("trace-" + name);
  fs::path first;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const fs::path record = record_of(model, traced(cases[i]), folder, std::to_string(i));
    if (::testing::Test::HasFailure()) return;
    if (i == 0) first = record;
    EXPECT_EQ(first_trace_difference(first, record, one_dealing), "") << name << ", case " << i;
    EXPECT_EQ(first_difference(first, record), "") << name << ", case " << i;
  }
}

std::uint64_t checksum_of(const std::byte* words, std::size_t count, std::size_t size) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, words + i * size, size);
    sum += mix64(i, bits);
  }
  return sum;
}

// Checksums are of the tensors the file holds: the residual stream of every layer, and the logits.
void expect_checksums_of_words(const fs::path& path) {
  const auto reader = record::Reader::open(path);
  std::vector<std::byte> words;
  for (const auto& id : reader.prompt_ids()) {
    const auto prompt = reader.prompt(id);
    const auto& hidden = prompt.hidden;
    const auto rows = static_cast<std::int64_t>(prompt.rows.size());
    ASSERT_EQ(prompt.checksums.rows, rows) << id;
    ASSERT_EQ(hidden.streams, prompt.checksums.layers + 1) << id;
    const auto width = static_cast<std::size_t>(hidden.width);
    const auto vocabulary = static_cast<std::size_t>(reader.run().model.vocabulary);
    const std::size_t size = size_of(hidden.dtype);
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t stream = 0; stream < hidden.streams; ++stream) {
        reader.read_hidden(id, stream, row, row + 1, words);
        const record::Point point = stream == 0 ? record::Point{Operation::embedding, 0}
                                                : record::Point{Operation::mlp_residual, stream - 1};
        ASSERT_EQ(prompt.checksums.at(point, row), checksum_of(words.data(), width, size))
            << id << " row " << row << " stream " << stream;
      }
      reader.read_logits(id, row, row + 1, words);
      ASSERT_EQ(prompt.checksums.at({Operation::logits, 0}, row),
                checksum_of(words.data(), vocabulary, size_of(reader.run().logits_dtype)));
    }
  }
}

TEST(Trace, RecordingChangesNoBits) {
  const fs::path folder = scratch("trace-bits");
  for (const Case& what : {Case{1, {}}, Case{4, {"--tensor-parallel", "4"}},
                           Case{4, {"--tensor-parallel", "2", "--pipeline", "2", "--dtype", "bfloat16"}}}) {
    const auto plain = record_of("tiny-llama", what, folder, "plain");
    const auto with = record_of("tiny-llama", traced(what), folder, "traced");
    EXPECT_EQ(first_difference(plain, with), "");
    EXPECT_EQ(first_trace_difference(plain, plain), "p0: not traced");
    expect_checksums_of_words(with);
  }
}

TEST(Trace, ChecksumsAreOfTheWordsInEveryMode) {
  const fs::path folder = scratch("trace-modes");
  const auto greedy = record_of("tiny-llama", {1, {}}, folder, "greedy");
  for (const auto* dtype : {"float32", "float64", "float16"}) {
    expect_checksums_of_words(
        record_of("tiny-llama", traced({2, {"--mode", "score", "--tensor-parallel", "2", "--dtype", dtype}}),
                  folder, "score"));
    expect_checksums_of_words(record_of("tiny-llama",
                                        traced({3,
                                                {"--mode", "follow", "--follow", greedy.string(), "--batch",
                                                 "3", "--pipeline", "3", "--dtype", dtype}}),
                                        folder, "follow"));
  }
  expect_checksums_of_words(
      record_of("tiny-llama",
                traced({2,
                        {"--shards", "4", "--tensor-parallel", "2", "--dtype", "bfloat16", "--reduction",
                         "linear", "--logits-dtype", "float32"}}),
                folder, "wide"));
}

// In these models no sum rounds: what is traced of a prompt is its own, whoever shared the pass.
TEST(Trace, OfAPromptAmongOthersIsOfItsOwnRows) {
  const fs::path folder = scratch("trace-prefill");
  int count = 0;
  const auto run = [&](const std::vector<std::string>& flags) {
    return record_of("tiny-exact", traced({1, flags}), folder, std::to_string(count++));
  };
  for (const std::string mode : {"greedy", "score"}) {
    const auto alone = run({"--batch", "4", "--mode", mode});
    for (const auto* together : {"2", "3", "4"}) {
      const auto record = run({"--batch", "4", "--prefill-batch", together, "--mode", mode});
      EXPECT_EQ(first_difference(alone, record), "") << mode << " " << together;
      EXPECT_EQ(first_trace_difference(alone, record), "") << mode << " " << together;
      expect_checksums_of_words(record);
    }
  }
}

TEST(Trace, StagesReplicasAndRanksShareThem) {
  expect_equal_traces(
      "tiny-llama", "stages",
      {{1, {}}, {2, {"--pipeline", "2"}}, {3, {"--pipeline", "3", "--stage-layers", "1,3,1"}}});
  expect_equal_traces("tiny-mistral", "replicas",
                      {{1, {"--batch", "3"}}, {2, {"--batch", "3", "--replicas", "2"}}});
  const std::vector<std::string> together{"--batch", "3", "--prefill-batch", "2"};
  Case stages_of_two = shards(4, 2, together);
  stages_of_two.ranks = 4;
  stages_of_two.flags.insert(stages_of_two.flags.end(), {"--pipeline", "2"});
  expect_equal_traces("tiny-llama", "prefill-batch", {shards(4, 1, together), stages_of_two});
  // 9 query heads over 3 KV heads and 4 shards: a KV head lies in two shards and is counted once.
  Case both = shards(4, 2, {"--pipeline", "2"});
  both.ranks = 4;
  expect_equal_traces("tiny-llama", "ranks", {shards(4, 1), shards(4, 2), shards(4, 4), both});
  expect_equal_traces("tiny-llama", "empty", {shards(32, 1), shards(32, 4)});
  expect_equal_traces("tiny-llama", "score",
                      {shards(3, 1, {"--mode", "score", "--dtype", "bfloat16"}),
                       shards(3, 3, {"--mode", "score", "--dtype", "bfloat16"})});
  expect_equal_traces("tiny-llama", "gather",
                      {{1, {"--shards", "4", "--row-linear", "gather"}},
                       {2, {"--shards", "4", "--tensor-parallel", "2", "--row-linear", "gather"}}});
}

// No sum rounds in these models, so every operation of every plan has one device's bits: an element under a
// wrong index, a shard left out or counted twice would show.
TEST(Trace, ExactModelsHaveOneDevicesChecksums) {
  expect_equal_traces("tiny-exact", "exact",
                      {{1, {}},
                       shards(2, 1),
                       shards(3, 1),
                       shards(4, 2),
                       shards(32, 1),
                       {4, {"--tensor-parallel", "4"}},
                       {4, {"--tensor-parallel", "2", "--pipeline", "2"}},
                       {1, {"--shards", "4", "--row-linear", "gather"}},
                       {2, {"--tensor-parallel", "2", "--row-linear", "scatter"}}},
                      false);
}

// Controls: other arithmetic is seen, and where it begins.
TEST(Trace, OtherShardsDifferFromTheFirstProductThatRounds) {
  const fs::path folder = scratch("trace-control");
  const auto one = record_of("tiny-llama", traced({1, {}}), folder, "one");
  const auto four = record_of("tiny-llama", traced(shards(4, 1)), folder, "four");
  const auto chain =
      record_of("tiny-llama", traced({1, {"--shards", "4", "--reduction", "chain"}}), folder, "chain");
  EXPECT_THAT(first_trace_difference(one, four, false), ::testing::HasSubstr("of layer 0"));
  EXPECT_THAT(first_trace_difference(one, four, false), ::testing::Not(::testing::HasSubstr("embedding")));
  // Another order, the same products: partials agree, their sum does not.
  EXPECT_THAT(first_trace_difference(four, chain), ::testing::HasSubstr("attention_sum of layer 0"));
  EXPECT_THAT(first_trace_difference(one, four, true), ::testing::Not(""));
}

TEST(Trace, AnotherLevelIsAnotherRun) {
  const fs::path folder = scratch("trace-resume");
  const auto command = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> arguments{"run",
                                       "--model",
                                       fixture("tiny-llama").string(),
                                       "--prompts",
                                       write_prompts(folder, 1).string(),
                                       "--output",
                                       (folder / "out.h5").string(),
                                       "--quiet"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return run_program(worker_command(1, arguments)).code;
  };
  EXPECT_EQ(command({}), 0);
  EXPECT_EQ(command({"--checksums"}), 64);
  EXPECT_EQ(command({"--record", "hidden"}), 64);
  EXPECT_EQ(command({}), 0);  // the same run: nothing to do
}

// --partial rounded: float32 accumulators of the product, rounded by ourselves before they are sent or added.
TEST(Trace, RoundedPartials) {
  const fs::path folder = scratch("trace-rounded");
  int count = 0;
  const auto run = [&](const Case& what) {
    return record_of("tiny-llama", traced(what), folder, std::to_string(count++));
  };
  for (const auto* dtype : {"bfloat16", "float16"}) {
    const std::vector<std::string> rounded{"--partial", "rounded", "--dtype", dtype};
    // One shard: rounding before or in the sum is the same.
    const auto one = run({1, {"--partial", "rounded", "--dtype", dtype}});
    const auto wide = run({1, {"--partial", "float32", "--reduction", "linear", "--dtype", dtype}});
    EXPECT_EQ(first_difference(one, wide), "") << dtype;
    EXPECT_EQ(first_trace_difference(one, wide, false), "") << dtype;
    // On ranks as on one device, the library's own sum included.
    EXPECT_EQ(first_trace_difference(
                  run(shards(2, 1, rounded)),
                  run({2, {"--tensor-parallel", "2", "--partial", "rounded", "--dtype", dtype}})),
              "")
        << dtype;
    // Control: partials that are not rounded give another sum.
    EXPECT_NE(first_difference(run(shards(4, 1, rounded)),
                               run(shards(4, 1, {"--partial", "float32", "--dtype", dtype}))),
              "")
        << dtype;
  }
  // Nothing to round in a float32 model.
  EXPECT_EQ(first_trace_difference(run(shards(3, 1)), run(shards(3, 1, {"--partial", "rounded"}))), "");
}

}  // namespace
}  // namespace shardrift::testing
