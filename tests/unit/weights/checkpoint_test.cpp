// All weights of a directory: one file, or several behind an index.
#include <cstring>

#include "weight_files.hpp"
#include "weights/model_config.hpp"
#include "weights/safetensors.hpp"

namespace shardrift {
namespace {

using Shape = std::vector<std::int64_t>;

std::string one_tensor(const std::string& name, const std::string& data) {
  const auto n = std::to_string(data.size());
  return safetensors(R"({")" + name + R"(":{"dtype":"F16","shape":[)" + std::to_string(data.size() / 2) +
                         R"(],"data_offsets":[0,)" + n + "]}}",
                     data);
}

std::string text_of(const TensorView& view) {
  return {reinterpret_cast<const char*>(view.data), view.bytes};
}

constexpr const char* kIndex = "model.safetensors.index.json";

void write_sharded(const TemporaryDirectory& directory) {
  directory.write("model-1.safetensors", one_tensor("a", "abcd"));
  directory.write("model-2.safetensors", one_tensor("b", "efghij"));
  directory.write(
      kIndex,
      R"({"metadata":{"total_size":10},"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})");
}

TEST(Checkpoint, OneFile) {
  const TemporaryDirectory directory;
  directory.write("model.safetensors", one_tensor("a", "abcd"));
  directory.write(kIndex, "not looked at");
  const auto checkpoint = Checkpoint::open(directory.path());
  EXPECT_TRUE(checkpoint.contains("a"));
  EXPECT_FALSE(checkpoint.contains("b"));
  EXPECT_EQ(text_of(checkpoint.tensor("a", {2})), "abcd");
  const auto file = (directory / "model.safetensors").string();
  expect_bad_data([&] { checkpoint.tensor("b", {2}); }, {directory.path().string(), "\"b\"", "no tensor"});
  expect_bad_data([&] { checkpoint.tensor("a", {3}); }, {file, "\"a\"", "[2]", "[3]"});
  expect_bad_data([&] { checkpoint.tensor("a", {2, 1}); }, {"[2]", "[2,1]"});
}

TEST(Checkpoint, ShardedByIndex) {
  const TemporaryDirectory directory;
  write_sharded(directory);
  auto opened = Checkpoint::open(directory.path());
  const auto checkpoint = std::move(opened);
  EXPECT_EQ(text_of(checkpoint.tensor("a", {2})), "abcd");
  EXPECT_EQ(text_of(checkpoint.tensor("b", {3})), "efghij");
}

TEST(Checkpoint, IndexErrors) {
  const TemporaryDirectory directory;
  const auto index = (directory / kIndex).string();
  const auto refused = [&](const std::string& text, std::vector<std::string> parts) {
    write_sharded(directory);
    directory.write(kIndex, text);
    parts.push_back(index);
    expect_bad_data([&] { Checkpoint::open(directory.path()); }, parts);
  };
  refused("", {"not valid JSON"});
  refused("[]", {"object is expected"});
  refused("{}", {"weight_map is missing"});
  refused(R"({"weight_map":[]})", {"weight_map is []"});
  refused(R"({"weight_map":{"a":1}})", {"\"a\"", "gives 1"});
  refused(R"({"weight_map":{"a":"x.safetensors"}})", {"\"x.safetensors\"", "not in", "incomplete"});
  refused(R"({"weight_map":{"b":"model-1.safetensors"}})",
          {"\"b\"", "\"model-1.safetensors\"", "does not hold"});
  refused(R"({"weight_map":{"a":"model-1.safetensors","a":"model-2.safetensors"}})", {"\"a\"", "twice"});
  for (const std::string name :
       {"", ".", "..", "../model-1.safetensors", "sub/x", "/etc/passwd", "a\\\\b", "x..y", "a\\u0000b"}) {
    refused(R"({"weight_map":{"a":")" + name + "\"}}", {"weight_map names the file", "plain file name"});
  }
}

TEST(Checkpoint, ABrokenShardIsNamed) {
  const TemporaryDirectory directory;
  write_sharded(directory);
  const auto path = directory.write("model-2.safetensors", "123");
  expect_bad_data([&] { Checkpoint::open(directory.path()); }, {path.string(), "too short"});
}

TEST(Checkpoint, RealSmolLM2) {
  const std::filesystem::path path = SHARDRIFT_SOURCE_DIR "/models/smollm2-135m";
  if (!std::filesystem::exists(path / "model.safetensors")) {
    GTEST_SKIP() << path << " is not there: run scripts/fetch-model, then this test again";
  }
  const auto config = read_model_config(path);
  const auto checkpoint = Checkpoint::open(path);
  const auto embedding = checkpoint.tensor("model.embed_tokens.weight", {config.vocabulary, config.hidden});
  EXPECT_EQ(embedding.dtype, config.dtype);
  EXPECT_TRUE(config.tied_head);
  EXPECT_FALSE(checkpoint.contains("lm_head.weight"));
  checkpoint.tensor("model.layers.29.self_attn.k_proj.weight",
                    {config.kv_heads * config.head_dim, config.hidden});
  std::vector<std::byte> block(2 * 3 * size_of(embedding.dtype));
  copy_block(embedding, config.vocabulary - 2, 2, config.hidden - 3, 3, block.data());
  EXPECT_EQ(std::memcmp(block.data() + block.size() / 2, embedding.data + embedding.bytes - block.size() / 2,
                        block.size() / 2),
            0);
}

TEST(Checkpoint, NothingThere) {
  const TemporaryDirectory directory;
  expect_bad_data([&] { Checkpoint::open(directory.path()); },
                  {directory.path().string(), "model.safetensors", "index.json", "converted"});
  expect_bad_data([&] { Checkpoint::open("/nonexistent"); }, {"/nonexistent"});
}

TEST(Checkpoint, IdentityChangesWithConfigNameHeaderAndSizeOnly) {
  const auto identity = [](const std::string& config, const std::string& file, const std::string& header,
                           const std::string& data) {
    const TemporaryDirectory directory;
    directory.write(file, safetensors(header, data));
    directory.write(kIndex, R"({"weight_map":{"a":")" + file + "\"}}");
    return Checkpoint::open(directory.path()).identity(config);
  };
  const std::string header = R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})";
  const auto base = identity("{}", "x.safetensors", header, "ab");
  EXPECT_EQ(base.size(), 64U);
  EXPECT_EQ(identity("{}", "x.safetensors", header, "cd"), base);  // the weights themselves are not read
  EXPECT_NE(identity("{ }", "x.safetensors", header, "ab"), base);
  EXPECT_NE(identity("{}", "y.safetensors", header, "ab"), base);
  EXPECT_NE(identity("{}", "x.safetensors", header + " ", "ab"), base);
  EXPECT_NE(
      identity("{}", "x.safetensors", R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", "abcd"),
      base);
}

}  // namespace
}  // namespace shardrift
