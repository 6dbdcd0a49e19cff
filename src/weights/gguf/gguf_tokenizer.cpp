#include "weights/gguf/gguf_tokenizer.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/utf8.hpp"
#include "weights/gguf/gguf_pretokenizers.hpp"

namespace shardrift {
namespace {

using Json = nlohmann::json;

constexpr const char* kModel = "tokenizer.ggml.model";
constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kScores = "tokenizer.ggml.scores";
constexpr const char* kMerges = "tokenizer.ggml.merges";
constexpr const char* kPre = "tokenizer.ggml.pre";
constexpr std::size_t kLongestPiece = 1024;
constexpr const char* kSpace = "\u2581";

// tokenizer.ggml.token_type, as SentencePiece numbers them; 0 is llama.cpp's, of a token that is nothing yet.
enum Type : std::int64_t {
  undefined = 0,
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

struct Tokens {
  std::vector<std::string_view> texts;
  std::vector<std::int64_t> types;
  std::unordered_map<std::string_view, std::size_t> ids;  // the lowest of a text
};

template <typename List>
List of_size(std::optional<List> list, std::size_t size, const GgufMetadata& metadata, const char* key) {
  if (!list) throw bad_data("{}: key {} is missing", metadata.file(), key);
  if (list->size() != size)
    throw bad_data("{}: key {} has {} elements, {} has {}", metadata.file(), key, list->size(), kTokens,
                   size);
  return *std::move(list);
}

Tokens read_tokens(const GgufMetadata& metadata) {
  Tokens tokens;
  auto texts = metadata.texts(kTokens);
  if (!texts) throw bad_data("{}: key {} is missing", metadata.file(), kTokens);
  tokens.texts = *std::move(texts);
  const auto size = tokens.texts.size();
  if (metadata.has(kTypes)) {
    tokens.types = of_size(metadata.integers(kTypes), size, metadata, kTypes);
    const auto wrong = std::find_if(tokens.types.begin(), tokens.types.end(),
                                    [](auto type) { return type < undefined || type > byte; });
    if (wrong != tokens.types.end())
      throw bad_data("{}: key {} has {} at [{}]: a number from {} to {} is expected", metadata.file(), kTypes,
                     *wrong, wrong - tokens.types.begin(), static_cast<int>(undefined),
                     static_cast<int>(byte));
  } else {
    tokens.types.assign(size, normal);
  }
  for (std::size_t id = 0; id < size; ++id) tokens.ids.emplace(tokens.texts[id], id);
  return tokens;
}

Json vocabulary(const Tokens& tokens) {
  auto vocabulary = Json::object();
  for (const auto& [text, id] : tokens.ids) vocabulary[std::string(text)] = id;
  return vocabulary;
}

// GGUF does not say that Phi-3's take spaces behind them along; llama.cpp knows it, too.
bool takes_spaces_along(const GgufMetadata& metadata, std::string_view token) {
  return metadata.text("general.architecture") == "phi3" && metadata.text(kModel) == "llama" &&
         token != "<unk>" && token != "<s>" && token != "<|endoftext|>";
}

Json added_tokens(const GgufMetadata& metadata, const Tokens& tokens) {
  auto added = Json::array();
  for (std::size_t id = 0; id < tokens.texts.size(); ++id)
    if (const auto type = tokens.types[id];
        (type == control || type == user_defined || type == unknown) && !tokens.texts[id].empty())
      added.push_back({{"id", id},
                       {"content", tokens.texts[id]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", takes_spaces_along(metadata, tokens.texts[id])},
                       {"normalized", false},
                       {"special", type != user_defined}});
  return added;
}

// The token of a key with its id; nothing where there is no key.
std::optional<std::pair<std::string, std::int64_t>> named(const GgufMetadata& metadata, const Tokens& tokens,
                                                          const char* key) {
  const auto id = metadata.integer(key);
  if (!id) return std::nullopt;
  if (*id < 0 || *id >= static_cast<std::int64_t>(tokens.texts.size()))
    throw bad_data("{}: key {} is {}, there are {} tokens", metadata.file(), key, *id, tokens.texts.size());
  return std::pair(std::string(tokens.texts[static_cast<std::size_t>(*id)]), *id);
}

Json post_processor(const GgufMetadata& metadata, const Tokens& tokens, bool adds_bos) {
  auto single = Json::array(), table = Json::object();
  const auto add = [&](const char* flag, bool otherwise, const char* key) {
    if (!metadata.flag(flag).value_or(otherwise)) return;
    const auto token = named(metadata, tokens, key);
    if (!token) throw bad_data("{}: {} is true, but key {} is missing", metadata.file(), flag, key);
    single.push_back({{"SpecialToken", {{"id", token->first}, {"type_id", 0}}}});
    table[token->first] = {{"id", token->first}, {"ids", {token->second}}, {"tokens", {token->first}}};
  };
  add("tokenizer.ggml.add_bos_token", adds_bos, "tokenizer.ggml.bos_token_id");
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add("tokenizer.ggml.add_eos_token", false, "tokenizer.ggml.eos_token_id");
  if (single.size() == 1) return nullptr;
  return {{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", table}};
}

Json byte_level(bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

// Byte-level BPE.
Json gpt2(const GgufMetadata& metadata, const Tokens& tokens) {
  const auto name = metadata.text(kPre);
  if (!name)
    throw bad_data(
        "{}: key {} is missing: how the tokenizer cuts words is not known (convert the model again)",
        metadata.file(), kPre);
  const auto* pre = find_pretokenizer(*name);
  if (pre == nullptr)
    throw bad_data("{}: key {} is {}; this version cuts words as {} do (prompts of token ids need none)",
                   metadata.file(), kPre, shown(*name), pretokenizer_names());
  const auto merges = metadata.texts(kMerges);
  if (!merges) throw bad_data("{}: key {} is missing", metadata.file(), kMerges);
  auto steps = Json::array();
  if (pre->digits) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  if (!pre->split.empty())
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pre->split}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  steps.push_back(byte_level(pre->split.empty()));
  return {{"normalizer", pre->nfc ? Json{{"type", "NFC"}} : Json()},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", steps}}},
          {"post_processor", post_processor(metadata, tokens, pre->adds_bos)},
          {"decoder", byte_level(true)},
          {"model",
           {{"type", "BPE"},
            {"ignore_merges", pre->ignore_merges},
            {"vocab", vocabulary(tokens)},
            {"merges", *merges}}}};
}

// SentencePiece joins the two pieces whose join has the highest score: as merges, in the order in which
// Hugging Face's converter puts them.
Json merges_by_score(const GgufMetadata& metadata, const Tokens& tokens, const std::vector<double>& scores) {
  struct Merge {
    std::string_view left, right;
    double score;
    std::size_t left_length, right_length;  // characters
  };
  const auto length = [](std::string_view text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  };
  std::vector<Merge> merges;
  for (std::size_t id = 0; id < tokens.texts.size(); ++id) {
    const auto text = tokens.texts[id];
    const auto type = tokens.types[id];
    if ((type != normal && type != user_defined) || tokens.ids.at(text) != id) continue;
    if (text.size() > kLongestPiece)  // each of its cuts is looked at
      throw bad_data("{}: key {}: element {} has {} bytes, at most {} are expected", metadata.file(), kTokens,
                     id, text.size(), kLongestPiece);
    std::vector<std::pair<std::pair<std::size_t, std::size_t>, std::size_t>> cuts;
    for (std::size_t at = utf8_length(text, 0); at < text.size(); at += utf8_length(text, at)) {
      const auto left = tokens.ids.find(text.substr(0, at)), right = tokens.ids.find(text.substr(at));
      if (left != tokens.ids.end() && right != tokens.ids.end())
        cuts.push_back({{left->second, right->second}, at});
    }
    std::sort(cuts.begin(), cuts.end());
    for (const auto& [ids, at] : cuts)
      merges.push_back({text.substr(0, at), text.substr(at), scores[id], length(text.substr(0, at)),
                        length(text.substr(at))});
  }
  std::stable_sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) {
    return std::tie(a.score, a.left_length, a.right_length) >
           std::tie(b.score, b.left_length, b.right_length);
  });
  auto list = Json::array();
  for (const auto& merge : merges) list.push_back({merge.left, merge.right});
  return list;
}

// SentencePiece's BPE with bytes for what has no piece.
Json llama(const GgufMetadata& metadata, const Tokens& tokens) {
  const auto scores = of_size(metadata.numbers(kScores), tokens.texts.size(), metadata, kScores);
  for (std::size_t id = 0; id < scores.size(); ++id)
    if (std::isnan(scores[id])) throw bad_data("{}: key {}: element {} is NaN", metadata.file(), kScores, id);
  const bool prefix = metadata.flag("tokenizer.ggml.add_space_prefix").value_or(true);
  const Json spaces = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}};
  const Json prepend = {{"type", "Prepend"}, {"prepend", kSpace}};
  auto decoders = Json::array({{{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}},
                               {{"type", "ByteFallback"}},
                               {{"type", "Fuse"}}});
  if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  Json model = {{"type", "BPE"},
                {"byte_fallback", true},
                {"fuse_unk", true},
                {"vocab", vocabulary(tokens)},
                {"merges", merges_by_score(metadata, tokens, scores)}};
  if (const auto token = named(metadata, tokens, "tokenizer.ggml.unknown_token_id"))
    model["unk_token"] = token->first;
  return {{"normalizer", prefix ? Json{{"type", "Sequence"}, {"normalizers", {prepend, spaces}}} : spaces},
          {"pre_tokenizer", nullptr},
          {"post_processor", post_processor(metadata, tokens, true)},
          {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
          {"model", std::move(model)}};
}

}  // namespace

bool has_tokenizer(const GgufMetadata& metadata) {
  return metadata.has(kModel) && metadata.text(kModel) != "none" && metadata.text(kModel) != "no_vocab";
}

std::string gguf_tokenizer_text(const GgufMetadata& metadata) {
  const auto name = metadata.text(kModel).value_or("missing");
  if (name != "gpt2" && name != "llama")
    throw bad_data("{}: key {} is {}; this version reads gpt2 (byte-level BPE) and llama (SentencePiece BPE)",
                   metadata.file(), kModel, shown(name));
  const auto tokens = read_tokens(metadata);
  Json tokenizer = name == "gpt2" ? gpt2(metadata, tokens) : llama(metadata, tokens);
  tokenizer["version"] = "1.0";
  tokenizer["added_tokens"] = added_tokens(metadata, tokens);
  return tokenizer.dump();
}

}  // namespace shardrift
