// tokenizer.model, with what lies beside it. The model is cut from Mistral-7B-v0.1's (make_families.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.hpp"
#include "tokenizer_files.hpp"

namespace shardrift {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

std::string model_bytes() {
  std::ifstream file(fixture("sentencepiece.model"), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A model's directory.
class SentencePiece : public testing::Test {
 protected:
  SentencePiece() { write("tokenizer.model", model_bytes()); }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_.path() / name, std::ios::binary) << bytes;
  }
  void config(const json& document) const { write("tokenizer_config.json", document.dump()); }
  Tokenizer open() const { return Tokenizer::open(folder_.path() / "tokenizer.model"); }
  void expect_refused(const std::vector<std::string>& parts) const {
    try {
      open();
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data);
      for (const auto& part : parts) EXPECT_THAT(error.what(), HasSubstr(part));
    }
  }
  TemporaryFolder folder_;
};

// The ids of a variant in sentencepiece.ids.json, which `tokenizers` gave.
// Their Metaspace puts no space before one; SentencePiece and transformers' Python tokenizers do.
void expect_variant(const Tokenizer& tokenizer, std::string_view name, bool spaces_first = true) {
  const auto all = read_json(fixture("sentencepiece.ids.json"));
  const auto& texts = all.at("texts");
  for (const auto& variant : all.at("variants")) {
    if (variant.at("name") == name) {
      for (std::size_t i = 0; i < texts.size(); ++i) {
        const auto text = texts[i].get<std::string>();
        if (!spaces_first && (text.starts_with(' ') || text.starts_with("\u2581"))) continue;
        EXPECT_EQ(tokenizer.encode(text), variant.at("ids")[i].get<Ids>()) << texts[i];
      }
      return;
    }
  }
  ADD_FAILURE() << "no variant " << name;
}

TEST_F(SentencePiece, IdsAreThoseOfTheLibraryWhereTheTextNamesNoToken) {
  const auto all = read_json(fixture("sentencepiece.ids.json"));
  const auto tokenizer = open();
  int compared = 0;
  for (std::size_t i = 0; i < all.at("texts").size(); ++i) {
    const auto text = all.at("texts")[i].get<std::string>();
    const bool marked = text.find("<s>") != std::string::npos || text.find("</s>") != std::string::npos ||
                        text.find("<unk>") != std::string::npos;
    if (marked) continue;
    ++compared;
    const auto plain = all.at("sentencepiece")[i].get<Ids>();
    EXPECT_EQ(tokenizer.encode(text, false), plain) << json(text);
    Ids with_bos = {1};
    with_bos.insert(with_bos.end(), plain.begin(), plain.end());
    EXPECT_EQ(tokenizer.encode(text), with_bos) << json(text);
    if (text.find("\u2581") == std::string::npos) {
      EXPECT_EQ(tokenizer.decode(plain), text) << json(text);
    }
  }
  EXPECT_GT(compared, 35);
}

TEST_F(SentencePiece, SpecialTokensCutTheTextAsInTheConvertedTokenizer) {
  expect_variant(open(), "llama 2, mistral");
  config({{"legacy", true}, {"add_bos_token", true}, {"bos_token", {{"content", "<s>"}, {"lstrip", false}}}});
  expect_variant(open(), "llama 2, mistral");
  config({{"legacy", false}});
  const auto tokenizer = open();
  expect_variant(tokenizer, "mistral, later", false);
  const auto all = read_json(fixture("sentencepiece.ids.json"));
  for (std::size_t i = 0; i < all.at("texts").size(); ++i) {
    const auto text = all.at("texts")[i].get<std::string>();
    if (text.starts_with(' ') && text.find('<') == std::string::npos) {
      EXPECT_EQ(tokenizer.encode(text, false), all.at("sentencepiece")[i].get<Ids>()) << json(text);
    }
  }
}

TEST_F(SentencePiece, IdsAreThoseOfTransformersPythonTokenizer) {
  const auto all = read_json(fixture("slow.ids.json"));
  const auto texts = all.at("texts").get<std::vector<std::string>>();
  ASSERT_EQ(all.at("cases").size(), 7U);
  for (const auto& one : all.at("cases")) {
    SCOPED_TRACE(one.at("config").dump());
    config(one.at("config"));
    write("added_tokens.json", one.at("added").dump());
    const auto tokenizer = open();
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(tokenizer.encode(texts[i]), one.at("ids")[i].get<Ids>()) << json(texts[i]);
    }
  }
}

TEST_F(SentencePiece, ConfigSaysWhatStandsAroundAText) {
  config({{"add_bos_token", false}, {"add_eos_token", true}});
  EXPECT_EQ(open().encode(""), Ids({2}));
  config({{"add_eos_token", true}, {"bos_token", nullptr}, {"eos_token", "the end"}});
  const auto tokenizer = open();
  EXPECT_EQ(tokenizer.encode(""), Ids({static_cast<std::int32_t>(tokenizer.size()) - 1}));
  EXPECT_EQ(tokenizer.encode("", false), Ids());
  EXPECT_EQ(tokenizer.token_text(static_cast<std::int32_t>(tokenizer.size()) - 1), "the end");
}

TEST_F(SentencePiece, AddedTokensOfEitherFile) {
  const auto size = static_cast<std::int32_t>(open().size());
  write("added_tokens.json", json{{"<|user|>", size + 3}}.dump());
  EXPECT_EQ(open().encode("<|user|>", false), Ids({size + 3}));
  EXPECT_EQ(open().size(), size + 4);
  // tokenizer_config.json's list counts where there is one.
  config({{"added_tokens_decoder",
           {{std::to_string(size), {{"content", "<|a|>"}, {"rstrip", true}, {"special", true}}},
            {"2", {{"content", "</s>"}, {"special", true}}}}}});
  const auto tokenizer = open();
  EXPECT_EQ(tokenizer.encode("<|a|>  \n<|a|></s>", false), Ids({size, size, 2}));
  EXPECT_EQ(tokenizer.decode({size, 2}), "<|a|></s>");
  EXPECT_EQ(tokenizer.encode("a<|a|>", false).back(), size);
  EXPECT_THAT(tokenizer.notes(), testing::IsEmpty());
}

TEST_F(SentencePiece, TokenTexts) {
  const auto tokenizer = open();
  const auto the =
      read_json(fixture("sentencepiece.tokenizer.json"))["model"]["vocab"]["\u2581the"].get<int>();
  EXPECT_EQ(tokenizer.token_text(the), " the");
  EXPECT_EQ(tokenizer.token_text(0), "<unk>");
  EXPECT_EQ(tokenizer.token_text(3 + 'A'), "A");
  EXPECT_EQ(tokenizer.token_text(3 + 0xE6), "\uFFFD");
  EXPECT_EQ(tokenizer.token_text(-1), "");
  EXPECT_EQ(tokenizer.token_text(1 << 30), "");
}

TEST_F(SentencePiece, DamagedModels) {
  const auto whole = model_bytes();
  for (const auto& bytes :
       {std::string(), std::string("hello world"), std::string("{}"), whole.substr(0, whole.size() / 2),
        whole.substr(1), whole + "\x0A", std::string(100, '\0'), std::string(100, '\xFF')}) {
    write("tokenizer.model", bytes);
    expect_refused({"tokenizer.model: "});
  }
  write("tokenizer.model", "");
  expect_refused({"no SentencePiece model, or one that is cut off", "type"});
  // trainer_spec { model_type: UNIGRAM } behind it counts.
  write("tokenizer.model", whole + std::string("\x12\x02\x18\x01", 4));
  expect_refused({"type Unigram", "computes BPE"});
  write("tokenizer.model", whole + std::string("\x12\x02\x18\x09", 4));
  expect_refused({"type 9"});
}

// normalizer_spec { precompiled_charsmap: … }: the library follows its offsets wherever they lead.
TEST_F(SentencePiece, DamagedCharacterMaps) {
  const auto with_map = [&](const std::string& map) {
    std::string field = "\x12";
    for (auto n = map.size(); n > 0 || field.size() == 1; n >>= 7)
      field.push_back(static_cast<char>((n & 0x7F) | (n >= 0x80 ? 0x80 : 0)));
    field += map;
    std::string spec = "\x1A";
    for (auto n = field.size(); n > 0; n >>= 7)
      spec.push_back(static_cast<char>((n & 0x7F) | (n >= 0x80 ? 0x80 : 0)));
    return model_bytes() + spec + field;
  };
  const std::string length("\x00\x04\x00\x00", 4);
  const std::string nothing(1024, '\0');
  for (const auto& map : {std::string("x"), std::string(5, '\0'), length + nothing, length + nothing + "abc",
                          length + std::string(1024, '\xFF') + std::string(1, '\0')}) {
    write("tokenizer.model", with_map(map));
    expect_refused({"precompiled_charsmap", "damaged"});
  }
  write("tokenizer.model", with_map(length + nothing + std::string("abc\0", 4)));
  EXPECT_NO_THROW(open().encode("abc \u00e9"));
}

TEST_F(SentencePiece, WrongFilesBesideIt) {
  write("tokenizer_config.json", "{");
  expect_refused({"tokenizer_config.json"});
  for (const auto& [document, part] : std::vector<std::pair<json, std::string>>{
           {{{"added_tokens_decoder", {{"x", {{"content", "a"}}}}}}, "\"x\" is no token id"},
           {{{"added_tokens_decoder", {{"3", 4}}}}, "added_tokens_decoder.3"},
           {{{"add_bos_token", "yes"}}, "add_bos_token is \"yes\""},
           {{{"bos_token", 7}}, "bos_token"},
           {{{"legacy", 1}}, "legacy is 1"}}) {
    config(document);
    expect_refused({"tokenizer_config.json", part});
  }
  config({});
  std::filesystem::remove(folder_.path() / "tokenizer_config.json");
  write("added_tokens.json", R"({"<x>": -1})");
  expect_refused({"added_tokens.json", "-1"});
}

}  // namespace
}  // namespace shardrift
