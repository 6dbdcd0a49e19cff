// Grafts through the worker: what must change nothing changes no bit, what must give the reference's logits
// does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

#ifndef SHARDRIFT_TEST_DEVICE
#define SHARDRIFT_TEST_DEVICE "cpu"
#endif
const std::string kDevice = SHARDRIFT_TEST_DEVICE;  // tests/gpu runs the same on a GPU

struct Grafted {
  Finished finished;
  json table;  // null where there is none
  std::int64_t left(std::size_t layer, const char* what) const {
    return table.at("layers").at(layer).at(what).get<std::int64_t>();
  }
  std::int64_t sum(const char* what) const {
    std::int64_t sum = 0;
    for (const auto& layer : table.at("layers")) sum += layer.at(what).get<std::int64_t>();
    return sum;
  }
};

// shardrift-run graft on a fixture, scoring prompts unless the flags follow a record.
Grafted graft(const fs::path& folder, const std::string& what, const std::vector<std::string>& flags,
              const std::string& model = "tiny-llama", int ranks = 1) {
  static int count = 0;
  const fs::path out = folder / (std::to_string(count++) + ".json");
  std::vector<std::string> words{
      "graft",    "--model", fixture(model).string(), "--graft", what, "--output", out.string(), "--quiet",
      "--device", kDevice};
  if (std::find(flags.begin(), flags.end(), "--follow") == flags.end())
    words.insert(words.end(), {"--prompts", write_prompts(folder, 4, 101).string()});
  words.insert(words.end(), flags.begin(), flags.end());
  Grafted grafted{run_program(worker_command(ranks, words)), nullptr};
  if (grafted.finished.code == 0) grafted.table = json::parse(std::ifstream(out));
  return grafted;
}

std::vector<std::string> joined(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const std::vector<std::string> kFour{"--shards", "4", "--reduction", "chain", "--dtype", "bfloat16"};

// From the last layer's stream on the two compute alike, with products whose bits depend on no shape.
TEST(Graft, TheLastStreamGivesTheReferencesLogits) {
  const fs::path folder = scratch("graft-last-" + kDevice);
  for (const auto* dtype : {"bfloat16", "float32"}) {
    const std::vector<std::string> flags{"--shards", "4",   "--reduction", "chain",
                                         "--dtype",  dtype, "--products",  "fixed"};
    const auto streams = graft(folder, "mlp_residual:all", flags);
    ASSERT_EQ(streams.finished.code, 0) << streams.finished.output;
    const auto layers = streams.table.at("layers").size();
    ASSERT_GT(layers, 2U);
    EXPECT_GT(streams.table.at("plain").at("rows_differ"), 0) << dtype;
    EXPECT_EQ(streams.left(layers - 1, "rows_differ"), 0) << dtype;
    EXPECT_EQ(streams.left(layers - 1, "elements_differ"), 0) << dtype;
    EXPECT_EQ(streams.left(layers - 1, "flips"), 0) << dtype;
    EXPECT_EQ(streams.table.at("layers").back().at("kl_taken"), 1) << dtype;
    // Control: the layer before leaves what the last layer adds.
    EXPECT_GT(streams.left(layers - 2, "rows_differ"), 0) << dtype;
    EXPECT_EQ(graft(folder, "final_norm", flags).left(0, "elements_differ"), 0) << dtype;
  }
  // The logits themselves: also of the library's products, whose shapes differ.
  const auto logits = graft(folder, "logits", kFour);
  ASSERT_EQ(logits.finished.code, 0) << logits.finished.output;
  EXPECT_GT(logits.table.at("plain").at("rows_differ"), 0);
  EXPECT_EQ(logits.left(0, "elements_differ"), 0);
  EXPECT_TRUE(logits.table.at("layers")[0].at("layer").is_null());
}

// Its own tensors, whatever the operation: kept from all shards, cut at them again, in prefill and decode.
TEST(Graft, ItsOwnTensorsChangeNoBit) {
  const fs::path folder = scratch("graft-own-" + kDevice);
  const auto greedy =
      record_of("tiny-llama", {1, {"--dtype", "bfloat16", "--device", kDevice}}, folder, "greedy");
  const std::vector<std::string> own = joined(kFour, {"--from", "candidate"});
  for (const std::string operation :
       {"embedding", "attention_norm:all", "qkv:all", "attention:all", "attention_sum:all",
        "attention_residual:all", "mlp_norm:all", "gate_up:all", "activation:all", "mlp_sum:all",
        "mlp_residual:all", "final_norm", "logits"}) {
    const auto scored = graft(folder, operation, own);
    ASSERT_EQ(scored.finished.code, 0) << operation << scored.finished.output;
    EXPECT_EQ(scored.sum("rows_moved"), 0) << operation;
    EXPECT_EQ(scored.table.at("plain").at("rows_differ"), 0) << "the two are one plan";
  }
  for (const std::string operation : {"qkv:1", "mlp_residual:1", "logits"}) {
    const auto followed =
        graft(folder, operation,
              joined(own, {"--follow", greedy.string(), "--batch", "3", "--prefill-batch", "2"}));
    ASSERT_EQ(followed.finished.code, 0) << operation << followed.finished.output;
    EXPECT_EQ(followed.sum("rows_moved"), 0) << operation;
    EXPECT_EQ(followed.table.at("mode"), "follow");
    EXPECT_EQ(followed.table.at("plain").at("rows"), 4 * 9);
  }
}

// Where one device's bits are the candidate's already, its tensors change none: each shard gets its own
// columns.
TEST(Graft, EqualTensorsChangeNoBitWhateverTheSharding) {
  const fs::path folder = scratch("graft-equal-" + kDevice);
  for (const std::string operation :
       {"qkv:all", "attention:all", "gate_up:all", "activation:all", "mlp_sum:all"}) {
    for (const auto* shards : {"2", "4"}) {
      const auto gathered =
          graft(folder, operation, {"--shards", shards, "--row-linear", "gather", "--products", "fixed"});
      ASSERT_EQ(gathered.finished.code, 0) << operation << gathered.finished.output;
      EXPECT_EQ(gathered.sum("rows_moved"), 0) << operation << " " << shards;
    }
    const auto exact = graft(folder, operation, {"--shards", "32", "--reduction", "linear"}, "tiny-exact");
    ASSERT_EQ(exact.finished.code, 0) << operation << exact.finished.output;
    EXPECT_EQ(exact.sum("rows_moved"), 0) << operation;
  }
  // The embedding is a copy in every plan.
  const auto embedding = graft(folder, "embedding", kFour);
  ASSERT_EQ(embedding.finished.code, 0) << embedding.finished.output;
  EXPECT_EQ(embedding.left(0, "rows_moved"), 0);
  EXPECT_GT(embedding.left(0, "rows_differ"), 0);
  // Control: tensors that differ do move rows.
  for (const std::string operation :
       {"qkv:all", "attention:all", "activation:all", "attention_sum:all", "mlp_norm:all"})
    EXPECT_GT(graft(folder, operation, kFour).sum("rows_moved"), 0) << operation;
}

// Prefill and decode: what is put into a prompt's rows stays in its cache, for both modes alike.
TEST(Graft, FollowedTokensHaveTheScoredOnesNumbers) {
  const fs::path folder = scratch("graft-follow-" + kDevice);
  const auto greedy =
      record_of("tiny-llama", {1, {"--products", "fixed", "--device", kDevice}}, folder, "greedy");
  const std::vector<std::string> flags{"--shards",   "3",     "--reduction", "tree",
                                       "--products", "fixed", "--follow",    greedy.string()};
  for (const std::string operation : {"attention_sum:2", "qkv:1"}) {
    const auto followed = graft(folder, operation, joined(flags, {"--mode", "follow"}));
    const auto batched = graft(folder, operation, joined(flags, {"--mode", "follow", "--batch", "3"}));
    ASSERT_EQ(followed.finished.code, 0) << followed.finished.output;
    ASSERT_EQ(batched.finished.code, 0) << batched.finished.output;
    // Rows are added up in another order; each has the same numbers.
    for (const auto* what : {"rows", "rows_differ", "elements_differ", "rows_moved", "flips"})
      EXPECT_EQ(followed.left(0, what), batched.left(0, what)) << operation << " " << what;
    EXPECT_GT(followed.left(0, "elements_differ"), 0);
    EXPECT_GT(followed.sum("rows_moved"), 0) << operation;
  }
}

// Norms of single heads and of whole rows leave the values beside them; a router's logits are one tensor.
TEST(Graft, NormedKeysAndMixtures) {
  const fs::path folder = scratch("graft-kinds-" + kDevice);
  for (const auto& [model, operation] :
       std::vector<std::pair<std::string, std::string>>{{"tiny-qwen3", "query_key_norm:all"},
                                                        {"tiny-olmo2", "query_key_norm:all"},
                                                        {"tiny-mixtral", "router:all"},
                                                        {"tiny-mixtral", "mlp_sum:all"}}) {
    const auto own = graft(folder, operation, joined(kFour, {"--from", "candidate"}), model);
    ASSERT_EQ(own.finished.code, 0) << own.finished.output;
    EXPECT_EQ(own.sum("rows_moved"), 0) << model << " " << operation;
    const auto reference = graft(folder, operation, kFour, model);
    ASSERT_EQ(reference.finished.code, 0) << reference.finished.output;
    EXPECT_GT(reference.sum("rows_moved"), 0) << model << " " << operation;
  }
  const auto refused = graft(folder, "gate_up:0", kFour, "tiny-mixtral");
  EXPECT_EQ(refused.finished.code, 64);
  EXPECT_THAT(refused.finished.output, HasSubstr("graft mlp_sum"));
}

TEST(Graft, WhatCannotBeIsRefused) {
  const fs::path folder = scratch("graft-refused-" + kDevice);
  const auto refused = [&](const std::string& operation, const std::vector<std::string>& flags,
                           const std::string& words, int ranks = 1) {
    const auto grafted = graft(folder, operation, flags, "tiny-llama", ranks);
    EXPECT_EQ(grafted.finished.code, 64) << operation << grafted.finished.output;
    EXPECT_THAT(grafted.finished.output, HasSubstr(words));
  };
  refused("rope:0", kFour, "graft qkv");
  refused("attention_partials:0", kFour, "graft their sum");
  refused("query_key_norm:0", kFour, "has no query_key_norm");
  refused("router:0", kFour, "has no router");
  refused("attention_sum:9", kFour, "the model's layers are 0 to ");
  refused("attention_sums:0", kFour, "no operation of that name");
  refused("mlp_sum:0", {"--tensor-parallel", "2"}, "--tensor-parallel 2: a graft computes");
  refused("mlp_sum:0", joined(kFour, {"--mode", "greedy"}), "use --mode score or follow");
  refused("mlp_sum:0", joined(kFour, {"--launch", "captured"}), "cannot be looked into");
  refused("mlp_sum:0", {}, "one shard has nothing to explain");
  refused("mlp_sum:0", kFour, "start it without mpirun", 2);
}

// The light program makes the worker's command of shards that are not there, and of a record.
TEST(Graft, ExplainRunsIt) {
  const fs::path folder = scratch("graft-explain-" + kDevice);
  const auto explain = [&](const std::string& name, const std::vector<std::string>& flags,
                           const std::string& operation = "attention_sum:all") {
    std::vector<std::string> words{SHARDRIFT_BINARY_DIR "/bin/shardrift",
                                   "explain",
                                   "--run",
                                   "--graft",
                                   operation,
                                   "--model",
                                   fixture("tiny-llama").string(),
                                   "--output",
                                   (folder / name).string(),
                                   "--json",
                                   (folder / (name + ".json")).string(),
                                   "--csv",
                                   (folder / (name + ".csv")).string(),
                                   "--device",
                                   kDevice};
    return run_program(joined(words, flags));
  };
  const auto planned = explain(
      "planned", {"--shards", "3", "--dtype", "bfloat16", "--prompts", write_prompts(folder).string()});
  ASSERT_EQ(planned.code, 0) << planned.output;
  EXPECT_THAT(planned.output, HasSubstr("takes away most"));
  const auto table = json::parse(std::ifstream(folder / "planned.json"));
  EXPECT_EQ(table.at("schema"), "shardrift graft 1");
  EXPECT_THAT(table.at("candidate").get<std::string>(), HasSubstr("3 shards"));
  EXPECT_GT(table.at("layers").size(), 2U);
  EXPECT_TRUE(fs::exists(folder / "planned.csv"));
  if (kDevice != "cpu") return;  // a record of two ranks needs as many devices
  const auto real =
      record_of("tiny-llama", {2, {"--tensor-parallel", "2", "--dtype", "bfloat16"}}, folder, "tp2");
  const auto recorded = explain("recorded", {"--real", real.string()});
  ASSERT_EQ(recorded.code, 0) << recorded.output;
  EXPECT_EQ(json::parse(std::ifstream(folder / "recorded.json")).at("mode"), "follow");
  EXPECT_EQ(explain("live", {"--shards", "3", "--live", "--prompts", write_prompts(folder).string()}).code,
            64);
  EXPECT_EQ(explain("page", {"--real", real.string(), "--html", (folder / "p.html").string()}).code, 64);
  const auto worker_refuses = explain("bad", {"--real", real.string()}, "rope:0");
  EXPECT_EQ(worker_refuses.code, 64);
  EXPECT_THAT(worker_refuses.output, HasSubstr("graft qkv"));
}

}  // namespace
}  // namespace shardrift::testing
