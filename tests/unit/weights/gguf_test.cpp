// GGUF files as they should be: blocks to the bit, metadata, the checkpoint and config.json they stand for.
#include <fmt/format.h>

#include <bit>
#include <nlohmann/json.hpp>

#include "gguf_bytes.hpp"
#include "weight_files.hpp"
#include "weights/codings/matrix_coding.hpp"
#include "weights/gguf/gguf_blocks.hpp"
#include "weights/gguf/gguf_config.hpp"
#include "weights/gguf/gguf_rope.hpp"
#include "weights/gguf/gguf_tokenizer.hpp"
#include "weights/model_files.hpp"
#include "weights/weight_hash.hpp"

namespace shardrift {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

std::string from_hex(const std::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

const GgufType& type_named(const std::string& name) {
  for (std::uint32_t id = 0; id < 100; ++id)
    if (const auto* type = gguf_type(id); type != nullptr && type->name == name) return *type;
  throw failure("no type {}", name);
}

TEST(GgufBlocks, AreDecodedToThePackagesBits) {
  std::ifstream file(SHARDRIFT_SOURCE_DIR "/tests/unit/weights/data/gguf_blocks.json");
  const auto types = json::parse(file).at("types");
  EXPECT_EQ(types.size(), 15U);
  for (const auto& [name, given] : types.items()) {
    SCOPED_TRACE(name);
    const auto& type = type_named(name);
    ASSERT_TRUE(decodes(type));
    EXPECT_THAT(decoded_types(), HasSubstr(name));
    const auto blocks = from_hex(given.at("blocks")), values = from_hex(given.at("values"));
    const std::size_t elements = blocks.size() / type.bytes * type.block;
    ASSERT_EQ(values.size(), elements * 4);
    std::vector<float> out(elements);
    EXPECT_FALSE(
        decode_blocks(type, reinterpret_cast<const std::byte*>(blocks.data()), elements, out.data()));
    EXPECT_EQ(std::memcmp(out.data(), values.data(), values.size()), 0);
  }
  EXPECT_FALSE(decodes(type_named("IQ2_XXS")));
}

TEST(GgufBlocks, AScaleThatIsNotFiniteIsNamed) {
  std::string blocks(2 * 34, '\1');
  blocks[34] = '\0';
  blocks[35] = '\x7E';  // NaN
  std::vector<float> out(64);
  const auto block =
      decode_blocks(type_named("Q8_0"), reinterpret_cast<const std::byte*>(blocks.data()), 64, out.data());
  EXPECT_EQ(block, 1U);
}

// A Llama of one layer: 2 query heads and 1 key head of 4, 4 columns. Data: whole numbers, in order of names.
struct Tiny {
  explicit Tiny(const std::string& name = "llama") {
    const auto key = [&](const char* of) { return name + "." + of; };
    pairs = {gguf_text("general.architecture", name),
             gguf_u32(key("block_count"), 1),
             gguf_u32(key("context_length"), 64),
             gguf_u32(key("embedding_length"), 8),
             gguf_u32(key("feed_forward_length"), 8),
             gguf_u32(key("attention.head_count"), 2),
             gguf_u32(key("attention.head_count_kv"), 1),
             gguf_f32(key("attention.layer_norm_rms_epsilon"), 1e-5F)};
  }
  std::vector<std::string> pairs;
  std::vector<std::string> tensors;
  std::string data;

  void add(const std::string& name, const std::vector<std::uint64_t>& dims, std::uint32_t type,
           const std::string& bytes) {
    tensors.push_back(gguf_tensor(name, dims, type, data.size()));
    data += bytes;
    data.resize((data.size() + 31) / 32 * 32, '\0');
  }
  void add_floats(const std::string& name, const std::vector<std::uint64_t>& dims, float first = 0) {
    std::uint64_t count = 1;
    for (const auto dim : dims) count *= dim;
    std::string bytes;
    for (std::uint64_t i = 0; i < count; ++i) bytes += little(first + static_cast<float>(i));
    add(name, dims, 0, bytes);
  }
  void add_all() {
    add_floats("token_embd.weight", {8, 3});
    add_floats("output_norm.weight", {8});
    add_floats("blk.0.attn_norm.weight", {8});
    add_floats("blk.0.attn_q.weight", {8, 8});
    add_floats("blk.0.attn_k.weight", {8, 4});
    add_floats("blk.0.attn_v.weight", {8, 4});
    add_floats("blk.0.attn_output.weight", {8, 8});
    add_floats("blk.0.ffn_norm.weight", {8});
    add_floats("blk.0.ffn_gate.weight", {8, 8});
    add_floats("blk.0.ffn_up.weight", {8, 8});
    add_floats("blk.0.ffn_down.weight", {8, 8});
  }
  std::string bytes() const { return gguf_bytes(pairs, tensors, data); }
};

std::vector<float> decoded(const MatrixCoding& coding, const std::string& name,
                           const std::vector<std::int64_t>& shape, Range rows) {
  std::vector<float> numbers(static_cast<std::size_t>(rows.size() * shape.back()));
  coding.check(name, shape);
  coding.decode(name, shape, rows, reinterpret_cast<std::byte*>(numbers.data()));
  return numbers;
}

TEST(Gguf, AFileIsACheckpointUnderHuggingFacesNames) {
  const TemporaryDirectory directory;
  Tiny tiny;
  tiny.add_all();
  const auto path = directory.write("tiny.gguf", tiny.bytes());
  const auto model = read_model_config(path);
  EXPECT_EQ(model.architecture, "LlamaForCausalLM");
  EXPECT_EQ(model.head_dim, 4);
  EXPECT_EQ(model.kv_heads, 1);
  EXPECT_EQ(model.vocabulary, 3);
  EXPECT_TRUE(model.tied_head);
  EXPECT_EQ(model.rms_norm_eps, 1e-5);  // not the float32 nearest to it
  EXPECT_EQ(model.dtype, DType::float32);
  const auto checkpoint = Checkpoint::open(path);
  EXPECT_EQ(checkpoint.names().size(), 11U);
  const auto up = checkpoint.tensor("model.layers.0.mlp.up_proj.weight", {8, 8});
  EXPECT_EQ(up.bytes, 256U);
  const auto coding = matrix_coding(model, checkpoint);
  ASSERT_NE(coding, nullptr);
  EXPECT_EQ(coding->description(), "GGUF F32");
  EXPECT_FALSE(coding->quantized());
  EXPECT_FALSE(coding->holds("model.layers.0.mlp.up_proj.weight"));
  const std::string query = "model.layers.0.self_attn.q_proj.weight";
  ASSERT_TRUE(coding->holds(query));
  // Stored rows 0 1 2 3 of a head are 0, 2 of the first half and 1, 3 of the second.
  const auto rows = decoded(*coding, query, {8, 8}, {0, 8});
  std::vector<float> firsts;
  for (std::size_t row = 0; row < 8; ++row) firsts.push_back(rows[row * 8]);
  EXPECT_THAT(firsts, ElementsAre(0, 16, 8, 24, 32, 48, 40, 56));
  EXPECT_EQ(decoded(*coding, query, {8, 8}, {5, 6}).front(), 48);
  expect_bad_data(
      [&] {
        coding->check(query, {8, 4});
      },
      {path.string(), "\"blk.0.attn_q.weight\"", query, "[8,8]", "[8,4]"});
}

TEST(Gguf, HashesAndIdentityAreOfTheStoredBytes) {
  const TemporaryDirectory directory;
  Tiny tiny;
  tiny.add_all();
  const auto path = directory.write("tiny.gguf", tiny.bytes());
  const auto one = Checkpoint::open(path);
  for (const auto& tensor : one.stored()) EXPECT_EQ(tensor.dtype, "F32");
  const auto hash = hash_weights(one, 1);
  tiny.data[0] = '\7';
  const auto other = directory.write("other.gguf", tiny.bytes());
  EXPECT_NE(hash_weights(Checkpoint::open(other), 1), hash);
  EXPECT_EQ(tokenizer_file(path), std::filesystem::path());
  EXPECT_EQ(small_model_files(path, true).tokenizer, "");
}

TEST(Gguf, OneIsTakenOffGemmasNorms) {
  const TemporaryDirectory directory;
  Tiny tiny("gemma2");
  tiny.add_floats("token_embd.weight", {8, 3});
  tiny.add_floats("blk.0.post_ffw_norm.weight", {8}, 1);
  const auto path = directory.write("tiny.gguf", tiny.bytes());
  const auto model = read_model_config(path);
  EXPECT_EQ(model.architecture, "Gemma2ForCausalLM");
  const auto checkpoint = Checkpoint::open(path);
  const auto coding = matrix_coding(model, checkpoint);
  const std::string norm = "model.layers.0.post_feedforward_layernorm.weight";
  ASSERT_TRUE(coding->holds(norm));
  EXPECT_THAT(decoded(*coding, norm, {1, 8}, {0, 1}), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST(Gguf, ExpertsMatricesAreApart) {
  const TemporaryDirectory directory;
  Tiny tiny;
  tiny.pairs.push_back(gguf_u32("llama.expert_count", 3));
  tiny.pairs.push_back(gguf_u32("llama.expert_used_count", 2));
  tiny.add_floats("token_embd.weight", {8, 3});
  tiny.add_floats("blk.0.ffn_down_exps.weight", {8, 8, 3});
  const auto checkpoint = Checkpoint::open(directory.write("tiny.gguf", tiny.bytes()));
  const auto third = checkpoint.tensor("model.layers.0.block_sparse_moe.experts.2.w2.weight", {8, 8});
  float first = 0;
  std::memcpy(&first, third.data, sizeof first);
  EXPECT_EQ(first, 128);
}

TEST(Gguf, WhatItCannotBeIsRefusedByName) {
  const TemporaryDirectory directory;
  const auto refused = [&](const std::function<void(Tiny&)>& change, std::vector<std::string> parts) {
    Tiny tiny;
    tiny.add_all();
    change(tiny);
    const auto path = directory.write("bad.gguf", tiny.bytes());
    parts.push_back(path.string());
    expect_bad_data([&] { read_model_config(path); }, parts);
  };
  refused([](Tiny& tiny) { tiny.pairs[0] = gguf_text("general.architecture", "rwkv"); },
          {"\"rwkv\"", "llama, qwen2"});
  refused([](Tiny& tiny) { tiny.pairs.erase(tiny.pairs.begin()); }, {"general.architecture is missing"});
  refused([](Tiny& tiny) { tiny.pairs.erase(tiny.pairs.begin() + 2); }, {"llama.context_length is missing"});
  refused([](Tiny& tiny) { tiny.pairs[1] = gguf_u32("llama.block_count", 1U << 27U); },
          {"num_hidden_layers", "134217728", "at most 10000"});
  refused([](Tiny& tiny) { tiny.pairs[5] = gguf_u32("llama.attention.head_count", 3); },
          {"blk.0.attn_q", "3 heads"});
  refused([](Tiny& tiny) { tiny.pairs[5] = gguf_u32("llama.attention.head_count", 0); }, {"head"});
  refused([](Tiny& tiny) { tiny.pairs[5] = gguf_text("llama.attention.head_count", "2"); },
          {"llama.attention.head_count", "an integer is expected"});
  refused(
      [](Tiny& tiny) { tiny.pairs[7] = gguf_f32("llama.attention.layer_norm_rms_epsilon", std::nanf("")); },
      {"layer_norm_rms_epsilon", "no finite number"});
  refused([](Tiny& tiny) { tiny.pairs.push_back(gguf_f32("llama.logit_scale", 2)); },
          {"llama.logit_scale is 2"});
  refused(
      [](Tiny& tiny) {
        tiny.pairs[4] = gguf_ints("llama.feed_forward_length", {8, 9});
      },
      {"feed_forward_length", "layer to layer"});
  Tiny one;
  one.add_all();
  one.pairs.push_back(gguf_f32("llama.logit_scale", 1));
  EXPECT_EQ(read_model_config(directory.write("one.gguf", one.bytes())).layers, 1);
  refused([](Tiny& tiny) { tiny.pairs.push_back(gguf_text("llama.rope.scaling.type", "spiral")); },
          {"llama.rope.scaling.type is \"spiral\"", "linear, yarn"});
  refused([](Tiny& tiny) { tiny.pairs.push_back(gguf_text("llama.rope.scaling.type", "linear")); },
          {"llama.rope.scaling.factor is missing"});
  refused([](Tiny& tiny) { tiny.add_floats("rope_freqs.weight", {3}, 1); },
          {"rope_freqs.weight has 3 numbers", "2 are"});
  refused([](Tiny& tiny) { tiny.add_floats("rope_freqs.weight", {2}, 0); }, {"rope_freqs.weight holds 0"});
  refused([](Tiny& tiny) { tiny.pairs.push_back(gguf_u32("split.count", 2)); },
          {"-00001-of-00002.gguf", "gguf-split --merge"});
  refused(
      [](Tiny& tiny) {
        tiny.pairs.push_back(gguf_u32("split.count", 2));
        tiny.pairs.push_back(gguf_u32("split.no", 1));
      },
      {"file 2 of 2", "give the first"});
}

// Names and files that the user has, not those of the checkpoint that it was made of.
TEST(Gguf, MessagesSpeakOfTheFile) {
  const TemporaryDirectory directory;
  Tiny tiny;
  tiny.add_all();
  const auto path = directory.write("tiny.gguf", tiny.bytes());
  const auto checkpoint = Checkpoint::open(path);
  EXPECT_EQ(checkpoint.described_by(), "the file's metadata");
  EXPECT_EQ(checkpoint.shown_name("model.layers.0.self_attn.q_proj.weight"), "blk.0.attn_q.weight");
  // That are not there.
  EXPECT_EQ(checkpoint.shown_name("model.layers.31.mlp.up_proj.bias"), "blk.31.ffn_up.bias");
  EXPECT_EQ(checkpoint.shown_name("lm_head.weight"), "output.weight");
  EXPECT_EQ(checkpoint.shown_name("model.vision.weight"), "model.vision.weight");
  expect_bad_data(
      [&] {
        checkpoint.tensor("model.layers.7.mlp.up_proj.weight", {8, 8});
      },
      {path.string(), "the file has no tensor \"blk.7.ffn_up.weight\"", "its metadata"});
  expect_bad_data([&] { checkpoint.tensor("model.norm.weight", {9}); },
                  {"tensor \"output_norm.weight\" has shape [8], the file's metadata asks for [9]"});
  EXPECT_EQ(gguf_name(*find_gguf_architecture("llama", true),
                      "model.layers.2.block_sparse_moe.experts.5.w2.weight"),
            "blk.2.ffn_down_exps.weight");
}

TEST(Gguf, AFolderOfFilesNamesTheOneToGive) {
  const TemporaryDirectory directory;
  Tiny tiny;
  tiny.add_all();
  directory.write("b.gguf", tiny.bytes());
  const auto first = directory.write("a.gguf", tiny.bytes());
  expect_bad_data([&] { read_model_config(directory.path()); },
                  {directory.path().string(), "give the file itself", first.string()});
}

TEST(Gguf, ATypeThatIsNotDecodedIsRefusedWhereItIsUsed) {
  const TemporaryDirectory directory;
  Tiny tiny;
  tiny.add_floats("token_embd.weight", {8, 3});
  tiny.add("blk.0.ffn_up.weight", {256, 1}, 16, std::string(66, '\0'));
  const auto path = directory.write("tiny.gguf", tiny.bytes());
  const auto checkpoint = Checkpoint::open(path);
  const auto coding = matrix_coding(read_model_config(path), checkpoint);
  expect_bad_data(
      [&] {
        coding->check("model.layers.0.mlp.up_proj.weight", {1, 256});
      },
      {path.string(), "blk.0.ffn_up.weight", "IQ2_XXS", "Q4_K"});
}

TEST(Gguf, QueriesOfDoublesChangePlacesToo) {
  const TemporaryDirectory directory;
  Tiny tiny;
  tiny.add_floats("token_embd.weight", {8, 3});
  std::string rows;
  for (int i = 0; i < 64; ++i) rows += little(static_cast<double>(i / 8));
  tiny.add("blk.0.attn_q.weight", {8, 8}, 28, rows);  // F64
  const auto path = directory.write("tiny.gguf", tiny.bytes());
  const auto checkpoint = Checkpoint::open(path);
  const auto coding = matrix_coding(read_model_config(path), checkpoint);
  const std::string query = "model.layers.0.self_attn.q_proj.weight";
  coding->check(query, {8, 8});
  ASSERT_EQ(coding->dtype(query), DType::float64);
  std::vector<double> decoded(64), stored_rows;
  coding->decode(query, {8, 8}, {0, 8}, reinterpret_cast<std::byte*>(decoded.data()));
  for (std::size_t row = 0; row < 8; ++row) stored_rows.push_back(decoded[row * 8]);
  EXPECT_THAT(stored_rows, ElementsAre(0, 2, 1, 3, 4, 6, 5, 7));
}

TEST(Gguf, HeadsMayStandOnceALayer) {
  const TemporaryDirectory directory;
  Tiny tiny;
  tiny.add_all();
  tiny.pairs[5] = gguf_ints("llama.attention.head_count", {2});
  tiny.pairs[6] = gguf_ints("llama.attention.head_count_kv", {1});
  const auto path = directory.write("tiny.gguf", tiny.bytes());
  EXPECT_EQ(read_model_config(path).query_heads, 2);
  EXPECT_EQ(Checkpoint::open(path).names().size(), 11U);
  tiny.pairs[6] = gguf_ints("llama.attention.head_count_kv", {1, 2});
  expect_bad_data([&] { Checkpoint::open(directory.write("tiny.gguf", tiny.bytes())); },
                  {"head_count_kv", "layer to layer"});
}

TEST(Gguf, FilesOfASplitModelAreOne) {
  const TemporaryDirectory directory;
  Tiny first, second;
  first.pairs.push_back(gguf_u32("split.count", 2));
  first.pairs.push_back(gguf_u32("split.no", 0));
  first.add_floats("token_embd.weight", {8, 3});
  second.pairs = {gguf_u32("split.count", 2), gguf_u32("split.no", 1)};
  second.add_floats("output.weight", {8, 3});
  const auto path = directory.write("m-00001-of-00002.gguf", first.bytes());
  expect_bad_data([&] { Checkpoint::open(path); }, {"m-00002-of-00002.gguf", "missing"});
  directory.write("m-00002-of-00002.gguf", second.bytes());
  EXPECT_THAT(Checkpoint::open(path).names(), ElementsAre("lm_head.weight", "model.embed_tokens.weight"));
  EXPECT_FALSE(read_model_config(path).tied_head);
  EXPECT_EQ(Checkpoint::open(path).stamps().size(), 2U);
  second.add_floats("token_embd.weight", {8, 3});
  directory.write("m-00002-of-00002.gguf", second.bytes());
  expect_bad_data([&] { Checkpoint::open(path); }, {"token_embd.weight", "another"});
}

TEST(GgufRope, Llama3IsFoundByItsFactors) {
  // Of theta 500000, 64 pairs, factor 8, 8192 positions.
  std::vector<float> factors;
  for (int i = 0; i < 64; ++i) {
    const double length = 2 * 3.14159265358979 * std::pow(500000.0, i / 64.0);
    const double smooth = (8192 / length - 1) / 3;
    factors.push_back(static_cast<float>(length < 2048   ? 1
                                         : length > 8192 ? 8
                                                         : 1 / ((1 - smooth) / 8 + smooth)));
  }
  const auto found = llama3_of(factors, 500000);
  ASSERT_FALSE(found.is_null());
  EXPECT_EQ(found.at("factor"), 8);
  EXPECT_EQ(found.at("original_max_position_embeddings"), 8192);
  factors[20] *= 1.001F;
  EXPECT_TRUE(llama3_of(factors, 500000).is_null());
}

std::string tokenizer_of(const std::vector<std::string>& pairs) {
  const TemporaryDirectory directory;
  return gguf_tokenizer_text(GgufFile::open(directory.write("t.gguf", gguf_bytes(pairs))).metadata());
}

TEST(GgufTokenizer, WhatItCannotBeIsRefusedByName) {
  const auto model = gguf_text("tokenizer.ggml.model", "gpt2");
  const auto tokens = gguf_texts("tokenizer.ggml.tokens", {"a", "b"});
  const auto pre = gguf_text("tokenizer.ggml.pre", "smollm");
  expect_bad_data([] { tokenizer_of({gguf_text("tokenizer.ggml.model", "rwkv")}); },
                  {"tokenizer.ggml.model", "\"rwkv\""});
  expect_bad_data([&] { tokenizer_of({model}); }, {"tokenizer.ggml.tokens is missing"});
  expect_bad_data([&] { tokenizer_of({model, tokens}); }, {"tokenizer.ggml.pre is missing"});
  expect_bad_data(
      [&] {
        tokenizer_of({model, tokens, gguf_text("tokenizer.ggml.pre", "new")});
      },
      {"tokenizer.ggml.pre", "\"new\"", "llama-bpe", "smollm"});
  expect_bad_data([&] { tokenizer_of({model, tokens, pre}); }, {"tokenizer.ggml.merges is missing"});
  expect_bad_data(
      [&] {
        tokenizer_of({model, tokens, pre, gguf_ints("tokenizer.ggml.token_type", {1})});
      },
      {"tokenizer.ggml.token_type has 1 elements", "2"});
  for (const int type : {-1, 7, 99})
    expect_bad_data(
        [&] {
          tokenizer_of({model, tokens, pre, gguf_ints("tokenizer.ggml.token_type", {1, type})});
        },
        {fmt::format("tokenizer.ggml.token_type has {} at [1]", type), "from 0 to 6"});
  expect_bad_data(
      [&] {
        tokenizer_of({model, gguf_texts("tokenizer.ggml.tokens", {"a", "\xFF"}), pre});
      },
      {"tokenizer.ggml.tokens", "element 1", "UTF-8"});
  expect_bad_data(
      [&] {
        tokenizer_of({model, tokens, pre, gguf_texts("tokenizer.ggml.merges", {}),
                      gguf_flag("tokenizer.ggml.add_bos_token", true),
                      gguf_u32("tokenizer.ggml.bos_token_id", 9)});
      },
      {"tokenizer.ggml.bos_token_id is 9", "2 tokens"});
  expect_bad_data(
      [&] {
        tokenizer_of({gguf_text("tokenizer.ggml.model", "llama"), tokens});
      },
      {"tokenizer.ggml.scores is missing"});
  const std::string longest(2000, 'a');
  expect_bad_data(
      [&] {
        tokenizer_of({gguf_text("tokenizer.ggml.model", "llama"),
                      gguf_texts("tokenizer.ggml.tokens", {"a", longest}),
                      gguf_floats("tokenizer.ggml.scores", {0, 0})});
      },
      {"tokenizer.ggml.tokens", "element 1 has 2000 bytes"});
}

}  // namespace
}  // namespace shardrift
