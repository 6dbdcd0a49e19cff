// The tokenizers that GGUF files hold, against the files they were converted from.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "common/text.hpp"
#include "tests/unit/weights/gguf_bytes.hpp"
#include "tokenizer_files.hpp"
#include "weights/gguf/gguf_file.hpp"
#include "weights/gguf/gguf_tokenizer.hpp"

namespace shardrift {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Ids = std::vector<std::int32_t>;

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

fs::path write(const TemporaryFolder& folder, const std::vector<std::string>& pairs) {
  const auto path = folder.path() / "tokenizer.gguf";
  std::ofstream(path, std::ios::binary) << gguf_bytes(pairs);
  return path;
}

// As the converter does it: tokens in the order of their ids, a kind each, merges as texts.
std::vector<std::string> pairs_of(const json& tokenizer, const std::string& pre) {
  std::map<std::int64_t, std::pair<std::string, std::int32_t>> tokens;
  for (const auto& [text, id] : tokenizer.at("model").at("vocab").items())
    tokens[id.get<std::int64_t>()] = {text, 1};
  for (const auto& added : tokenizer.at("added_tokens"))
    tokens[added.at("id").get<std::int64_t>()] = {added.at("content").get<std::string>(),
                                                  added.at("special") ? 3 : 4};
  std::vector<std::string> texts;
  std::vector<std::int32_t> types;
  for (std::int64_t id = 0; id <= tokens.rbegin()->first; ++id) {
    const auto found = tokens.find(id);
    texts.push_back(found == tokens.end() ? "[PAD" + std::to_string(id) + "]" : found->second.first);
    types.push_back(found == tokens.end() ? 5 : found->second.second);
  }
  std::vector<std::string> merges;
  for (const auto& merge : tokenizer.at("model").at("merges"))
    merges.push_back(merge.is_string() ? merge.get<std::string>()
                                       : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  return {gguf_text("tokenizer.ggml.model", "gpt2"),   gguf_text("tokenizer.ggml.pre", pre),
          gguf_texts("tokenizer.ggml.tokens", texts),  gguf_ints("tokenizer.ggml.token_type", types),
          gguf_texts("tokenizer.ggml.merges", merges), gguf_flag("tokenizer.ggml.add_bos_token", false)};
}

std::vector<std::string> some_texts() {
  const auto whole = bytes_of(fixture("multilingual.txt"));
  std::vector<std::string> texts{
      whole, "", " ", "  a  b", "I'LL say 1234567 times:\r\n\r\n  x", "caf\u0065\u0301 e\u0301"};
  for (const auto& line : split(whole, '\n')) texts.emplace_back(line);
  for (const auto& text : read_json(fixture("sentencepiece.ids.json")).at("texts")) texts.push_back(text);
  return texts;
}

// The same ids without special tokens around, and the same texts back.
void expect_alike(const Tokenizer& one, const Tokenizer& other) {
  for (const auto& text : some_texts()) {
    const auto ids = other.encode(text, false);
    EXPECT_EQ(one.encode(text, false), ids) << json(text);
    EXPECT_EQ(one.decode(ids), other.decode(ids)) << json(text);
  }
}

TEST(GgufTokenizer, ByteLevelIdsAreThoseOfTokenizerJson) {
  const TemporaryFolder folder;
  for (const auto& [file, pre] : std::map<std::string, std::string>{{"llama3.tokenizer.json", "llama-bpe"}}) {
    SCOPED_TRACE(file);
    const auto gguf = write(folder, pairs_of(read_json(fixture(file)), pre));
    expect_alike(Tokenizer::open(gguf), Tokenizer::open(fixture(file)));
  }
}

TEST(GgufTokenizer, SpecialTokensStandAroundATextWhereTheFileSaysSo) {
  const TemporaryFolder folder;
  auto pairs = pairs_of(read_json(fixture("llama3.tokenizer.json")), "llama-bpe");
  pairs.pop_back();  // llama.cpp adds the first token of Llama 3 where the file says nothing
  pairs.push_back(gguf_u32("tokenizer.ggml.bos_token_id", 5));
  pairs.push_back(gguf_u32("tokenizer.ggml.eos_token_id", 6));
  EXPECT_EQ(Tokenizer::open(write(folder, pairs)).encode("").size(), 1U);
  EXPECT_EQ(Tokenizer::open(write(folder, pairs)).encode("").front(), 5);
  pairs.push_back(gguf_flag("tokenizer.ggml.add_eos_token", true));
  EXPECT_EQ(Tokenizer::open(write(folder, pairs)).encode(""), (Ids{5, 6}));
  pairs.push_back(gguf_flag("tokenizer.ggml.add_bos_token", false));
  EXPECT_EQ(Tokenizer::open(write(folder, pairs)).encode(""), (Ids{6}));
}

// -- SentencePiece
// -------------------------------------------------------------------------------------------

struct Piece {
  std::string text;
  float score = 0;
  std::int32_t type = 1;
};

std::uint64_t varint(std::string_view bytes, std::size_t& at) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
}

// ModelProto's field 1: pieces of text (1), score (2) and type (3).
std::vector<Piece> pieces_of(const std::string& model) {
  std::vector<Piece> pieces;
  for (std::size_t at = 0; at < model.size();) {
    const auto tag = varint(model, at);
    const auto length = varint(model, at);
    if (tag != ((1U << 3U) | 2U)) {
      at += (tag & 7U) == 2U ? length : 0;
      continue;
    }
    Piece piece;
    for (const auto end = at + length; at < end;) {
      const auto field = varint(model, at);
      if (field == ((1U << 3U) | 2U)) {
        const auto size = varint(model, at);
        piece.text = model.substr(at, size);
        at += size;
      } else if (field == ((2U << 3U) | 5U)) {
        std::memcpy(&piece.score, model.data() + at, 4);
        at += 4;
      } else {
        piece.type = static_cast<std::int32_t>(varint(model, at));
      }
    }
    pieces.push_back(piece);
  }
  return pieces;
}

std::vector<std::string> pairs_of(const std::vector<Piece>& pieces) {
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
  for (const auto& piece : pieces) {
    texts.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(piece.type);
  }
  return {gguf_text("tokenizer.ggml.model", "llama"),    gguf_texts("tokenizer.ggml.tokens", texts),
          gguf_floats("tokenizer.ggml.scores", scores),  gguf_ints("tokenizer.ggml.token_type", types),
          gguf_u32("tokenizer.ggml.bos_token_id", 1),    gguf_u32("tokenizer.ggml.eos_token_id", 2),
          gguf_u32("tokenizer.ggml.unknown_token_id", 0)};
}

TEST(GgufTokenizer, SentencePiecesScoresBecomeTheMergesOfHuggingFacesConverter) {
  const TemporaryFolder folder;
  const auto path = write(folder, pairs_of(pieces_of(bytes_of(fixture("sentencepiece.model")))));
  const auto ours = json::parse(gguf_tokenizer_text(GgufFile::open(path).metadata()));
  const auto theirs = read_json(fixture("sentencepiece.tokenizer.json"));
  EXPECT_EQ(ours.at("model").at("merges"), theirs.at("model").at("merges"));
  EXPECT_EQ(ours.at("model").at("vocab"), theirs.at("model").at("vocab"));
  for (const char* key : {"added_tokens", "normalizer", "decoder"})
    EXPECT_EQ(ours.at(key), theirs.at(key)) << key;
  const auto tokenizer = Tokenizer::open(path),
             converted = Tokenizer::open(fixture("sentencepiece.tokenizer.json"));
  for (const auto& text : some_texts())
    EXPECT_EQ(tokenizer.encode(text), converted.encode(text)) << json(text);
}

TEST(GgufTokenizer, NoSpaceIsPutFirstWhereTheFileSaysSo) {
  const TemporaryFolder folder;
  auto pairs = pairs_of(pieces_of(bytes_of(fixture("sentencepiece.model"))));
  const auto with = Tokenizer::open(write(folder, pairs)).encode("the", false);
  pairs.push_back(gguf_flag("tokenizer.ggml.add_space_prefix", false));
  const auto without = Tokenizer::open(write(folder, pairs));
  EXPECT_NE(without.encode("the", false), with);
  EXPECT_EQ(without.encode(" the", false), with);
  EXPECT_EQ(without.decode(with), " the");
}

TEST(GgufTokenizer, PhisAddedTokensTakeSpacesBehindThemAlong) {
  const TemporaryFolder folder;
  auto pairs = pairs_of(pieces_of(bytes_of(fixture("sentencepiece.model"))));
  EXPECT_NE(Tokenizer::open(write(folder, pairs)).encode("</s> \n the", false),
            Tokenizer::open(write(folder, pairs)).encode("</s>the", false));
  pairs.push_back(gguf_text("general.architecture", "phi3"));
  EXPECT_EQ(Tokenizer::open(write(folder, pairs)).encode("</s> \n the", false),
            Tokenizer::open(write(folder, pairs)).encode("</s>the", false));
}

// -- whole ones, where they are there
// ------------------------------------------------------------------------

TEST(RealGgufTokenizers, IdsAreThoseOfTheirSources) {
  const fs::path models = SHARDRIFT_SOURCE_DIR "/models",
                 file = SHARDRIFT_SOURCE_DIR "/.cache/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!fs::exists(models / "tokenizers") && std::getenv("SHARDRIFT_REQUIRE_MODEL") == nullptr)
    GTEST_SKIP() << (models / "tokenizers")
                 << " is not there: run scripts/fetch-tokenizers, then this test again";
  const TemporaryFolder folder;
  for (const auto& [name, pre] : std::map<std::string, std::string>{
           {"qwen", "qwen2"}, {"mistral-tekken", "tekken"}, {"cl100k", "dbrx"}}) {
    SCOPED_TRACE(name);
    auto source = read_json(models / "tokenizers" / name / "tokenizer.json");
    // In the others' files these have other ids than `tokenizers` gives them.
    if (name != "qwen") source["added_tokens"] = json::array();
    const TemporaryFile file_of(source.dump());
    expect_alike(Tokenizer::open(write(folder, pairs_of(source, pre))), Tokenizer::open(file_of.path()));
  }
  {
    SCOPED_TRACE("mistral-v1");
    const auto pieces = pieces_of(bytes_of(models / "tokenizers/mistral-v1/tokenizer.model"));
    expect_alike(Tokenizer::open(write(folder, pairs_of(pieces))),
                 Tokenizer::open(models / "tokenizers/mistral-v1-converted/tokenizer.json"));
  }
  if (!fs::exists(file))
    GTEST_SKIP() << file << " is not there: run scripts/fetch-model, then this test again";
  SCOPED_TRACE("smollm2");
  const auto one = Tokenizer::open(file), other = Tokenizer::open(models / "smollm2-135m/tokenizer.json");
  expect_alike(one, other);
  EXPECT_EQ(one.encode("<|im_start|>user\nHi<|im_end|>"), other.encode("<|im_start|>user\nHi<|im_end|>"));
  EXPECT_EQ(one.size(), other.size());
}

}  // namespace
}  // namespace shardrift
