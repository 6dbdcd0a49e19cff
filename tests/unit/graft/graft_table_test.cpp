// Graft tables: what --graft says, what rows add up to, and that the file reads back.
#include "analysis/graft/graft_table.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "analysis/graft/graft_presenters.hpp"
#include "common/error.hpp"

namespace shardrift::analysis {
namespace {

using ::testing::HasSubstr;

TEST(GraftWanted, NamesAnOperationAndALayer) {
  EXPECT_EQ(graft_wanted("--graft", "attention_sum:3").operation, record::Operation::attention_sum);
  EXPECT_EQ(graft_wanted("--graft", "attention_sum:3").layer, 3);
  EXPECT_FALSE(graft_wanted("--graft", "mlp_residual:all").layer);
  EXPECT_FALSE(graft_wanted("--graft", "logits").layer);
  for (const auto* text : {"attention_sum", "attention_sum:", "attention_sum:-1", "attention_sum:x", "sum:1",
                           "", "logits:0", "embedding:all", "attention_sum:1:2"}) {
    try {
      graft_wanted("--graft", text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage) << text;
      EXPECT_THAT(error.what(), HasSubstr("--graft ")) << text;
    }
  }
}

Step step_of(double kl, double rms, bool equal, std::int32_t chosen = 0) {
  Step step;
  step.measured = true;
  step.bit_equal = equal;
  step.elements_differ = equal ? 0 : 5;
  step.kl = kl;
  step.rms = rms;
  step.chosen_candidate = chosen;
  return step;
}

GraftTable example() {
  GraftTable table;
  table.operation = "attention_sum";
  table.reference = "one device";
  table.candidate = "4 shards";
  table.model = "models/m";
  table.mode = "score";
  table.prompts = 2;
  table.vocabulary = 7;
  GraftSum plain, first, second;
  plain.add(step_of(0.2, 3, false, 1), false);
  plain.add(step_of(0, 0, true), false);
  first.add(step_of(0.1, 1, false), true);
  first.add(step_of(0, 0, true), false);
  second.add(step_of(0.3, 4, false, 1), true);
  second.add(step_of(0, 0, true), false);
  table.plain = plain.distance();
  table.layers = {{0, first.distance()}, {1, second.distance()}};
  return table;
}

TEST(GraftTable, AddsRowsUp) {
  const auto table = example();
  EXPECT_EQ(table.plain.rows, 2);
  EXPECT_EQ(table.plain.rows_differ, 1);
  EXPECT_EQ(table.plain.elements_differ, 5);
  EXPECT_EQ(table.plain.flips, 1);
  EXPECT_DOUBLE_EQ(table.plain.kl_mean, 0.1);
  EXPECT_DOUBLE_EQ(table.plain.rms, std::sqrt(4.5));
  EXPECT_EQ(table.layers[0].left.rows_moved, 1);
  EXPECT_DOUBLE_EQ(table.taken(table.layers[0].left), 0.5);
  EXPECT_LT(table.taken(table.layers[1].left), 0);  // it adds some
  EXPECT_EQ(table.best(), &table.layers[0]);
}

// For graft_json_schema, which looks at all files in that folder.
void keep(const GraftTable& table, const std::string& name) {
  const std::filesystem::path folder = std::filesystem::path(SHARDRIFT_BINARY_DIR) / "tests" / "graft-json";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / (name + ".json")) << graft_json(table);
}

TEST(GraftTable, IsShownAndReadBack) {
  const auto table = example();
  keep(table, "layers");
  const auto text = graft_text(table);
  EXPECT_THAT(
      text,
      HasSubstr("the reference's attention_sum at layer 0 takes away most: 50.0% of the KL, 1 of 1 flip\n"));
  const auto path =
      std::filesystem::temp_directory_path() / ("shardrift-graft-" + std::to_string(getpid()) + ".json");
  std::ofstream(path) << graft_json(table);
  const auto again = read_graft(path);
  EXPECT_EQ(graft_json(again), graft_json(table));
  EXPECT_EQ(again.layers.size(), 2U);
  std::ofstream(path) << R"({"schema": "shardrift graft 2"})";
  EXPECT_THROW(read_graft(path), Error);
  std::filesystem::remove(path);
  std::ostringstream csv;
  write_csv(csv, table);
  EXPECT_THAT(csv.str(), HasSubstr("\nattention_sum,0,2,1,5,1,0,1,0.05,0.5,"));
  auto adds = table;
  adds.plain.flips = 0;
  adds.layers[0].left.flips = 1;
  EXPECT_THAT(graft_text(adds), HasSubstr("50.0% of the KL, but 1 flip where there were none\n"));
  auto worse = table;
  for (auto& layer : worse.layers) layer.left.kl_mean = table.plain.kl_mean * 1.5;
  EXPECT_THAT(graft_text(worse),
              HasSubstr("attention_sum takes away none of the KL, wherever it is put in; least "
                        "is added at layer 0: 50.0% of it, "));
  auto equal = table;
  equal.plain.rows_differ = 0;
  EXPECT_THAT(graft_text(equal), HasSubstr("nothing to take away"));
  // Outside the layers there is one place.
  auto logits = table;
  logits.operation = "logits";
  logits.layers = {{-1, table.layers[0].left}};
  EXPECT_THAT(graft_text(logits), HasSubstr("the reference's logits at its place"));
  EXPECT_THAT(graft_json(logits), HasSubstr("\"layer\": null"));
  keep(logits, "logits");
  keep(equal, "equal");
}

}  // namespace
}  // namespace shardrift::analysis
