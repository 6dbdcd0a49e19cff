#include "weights/codings/compressed_scheme.hpp"

#include "coded_files.hpp"

namespace shardrift {
namespace {

using nlohmann::json;

json group_of(std::vector<std::string> targets, int group_size) {
  return {{"targets", std::move(targets)},
          {"weights", {{"num_bits", 4}, {"type", "int"}, {"strategy", "group"}, {"group_size", group_size}}}};
}

json config_with(json groups, std::vector<std::string> ignore = {}) {
  return {{"quant_method", "compressed-tensors"},
          {"format", "pack-quantized"},
          {"config_groups", std::move(groups)},
          {"ignore", std::move(ignore)}};
}

std::int64_t group_size(const CompressedSchemes& schemes, const std::string& module) {
  const auto* scheme = schemes.of(module);
  return scheme == nullptr ? 0 : scheme->group_size;
}

TEST(CompressedSchemes, NamesGoBeforePatternsBeforeClasses) {
  const json config = config_with({{"a", group_of({"Linear"}, 16)},
                                   {"b", group_of({"re:.*down_proj"}, 32)},
                                   {"c", group_of({"layers.1.down_proj"}, 64)}},
                                  {"lm_head", "re:.*gate$"});
  const CompressedSchemes schemes(JsonObject(config, "config.json"));
  EXPECT_EQ(group_size(schemes, "layers.0.up_proj"), 16);
  EXPECT_EQ(group_size(schemes, "layers.0.down_proj"), 32);
  EXPECT_EQ(group_size(schemes, "layers.1.down_proj"), 64);
  EXPECT_EQ(group_size(schemes, "lm_head"), 0);
  EXPECT_EQ(group_size(schemes, "layers.0.mlp.gate"), 0);
  EXPECT_EQ(group_size(schemes, "layers.0.mlp.gate_proj"), 16);
  EXPECT_EQ(group_size(schemes, "model.embed_tokens"), 0);  // an Embedding
  EXPECT_EQ(schemes.description(),
            "compressed-tensors, int4, groups of 16 and int4, groups of 32 and int4, groups of 64");
}

// re.match: from the beginning on, not necessarily to the end.
TEST(CompressedSchemes, PatternsMatchBeginnings) {
  const json config = config_with({{"a", group_of({"re:layers\\.0"}, 16)}}, {"re:layers.0.mlp.(?!up)"});
  const CompressedSchemes schemes(JsonObject(config, "config.json"));
  EXPECT_EQ(group_size(schemes, "layers.0.q_proj"), 16);
  EXPECT_EQ(group_size(schemes, "model.layers.0.q_proj"), 0);
  EXPECT_EQ(group_size(schemes, "layers.0.mlp.up_proj"), 16);
  EXPECT_EQ(group_size(schemes, "layers.0.mlp.down_proj"), 0);
}

TEST(CompressedSchemes, AGroupHasAFormatOfItsOwn) {
  json config = config_with({{"a", group_of({"Linear"}, 16)}});
  config["format"] = "mixed-precision";
  expect_bad_data([&] { CompressedSchemes(JsonObject(config, "config.json")); },
                  {"format", "mixed-precision"});
  config["config_groups"]["a"]["format"] = "pack-quantized";
  EXPECT_EQ(CompressedSchemes(JsonObject(config, "config.json")).of("up_proj")->storage,
            CompressedFormat::packed);
}

TEST(CompressedSchemes, RefusesWhatIsNotDecoded) {
  struct Bad {
    json change;
    std::vector<std::string> words;
  };
  for (const auto& [change, words] : {
           Bad{{{"format", "nvfp4-pack-quantized"}}, {"format", "nvfp4-pack-quantized", "pack-quantized"}},
           Bad{{{"format", "mxfp4-pack-quantized"}}, {"mxfp4-pack-quantized"}},
           Bad{{{"format", "marlin-24"}}, {"marlin-24"}},
           Bad{{{"format", "dense"}}, {"dense"}},
           Bad{{{"sparsity_config", {{"format", "sparse-24-bitmask"}}}},
               {"sparse-24-bitmask", "sparsity_config"}},
           Bad{{{"transform_config", {{"config_groups", {{"u", 1}}}}}}, {"transform_config"}},
           Bad{{{"ignore", {"re:("}}}, {"ignore", "re:(", "regular expression"}},
           Bad{{{"config_groups", {{"a", {{"weights", {{"num_bits", 3}}}, {"targets", {"Linear"}}}}}}},
               {"num_bits", "3"}},
           Bad{{{"config_groups",
                 {{"a",
                   {{"weights", {{"num_bits", 4}, {"strategy", "tensor_group"}}},
                    {"targets", {"Linear"}}}}}}},
               {"strategy", "tensor_group"}},
           Bad{{{"config_groups",
                 {{"a", {{"weights", {{"num_bits", 4}, {"type", "float"}}}, {"targets", {"Linear"}}}}}}},
               {"num_bits", "4"}},
           Bad{{{"config_groups", {{"W4A16", {"Linear"}}}}}, {"W4A16"}},
       }) {
    json config = config_with({{"a", group_of({"Linear"}, 16)}});
    config.update(change);
    expect_bad_data([&] { CompressedSchemes(JsonObject(config, "config.json")); }, words);
  }
}

}  // namespace
}  // namespace shardrift
