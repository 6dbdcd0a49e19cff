#include "tokenizer/tokenizer.hpp"

#include <algorithm>
#include <optional>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"
#include "tokenizer/added_tokens.hpp"
#include "tokenizer/bpe.hpp"
#include "tokenizer/byte_level.hpp"
#include "tokenizer/post_processor.hpp"
#include "tokenizer/pretokenizer.hpp"
#include "tokenizer/utf8.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

// Only the null normalizer is computed; an empty Sequence does the same.
void check_normalizer(const nlohmann::json* json, const std::string& where) {
  if (json == nullptr) {
    return;
  }
  const auto* type = json->is_object() ? member(*json, "type") : nullptr;
  const auto* list = json->is_object() ? member(*json, "normalizers") : nullptr;
  if (type != nullptr && *type == "Sequence" && list != nullptr && list->is_array() && list->empty()) {
    return;
  }
  throw bad_data("{}: type is {}; this version computes no normalizer (null is expected)", where,
                 type == nullptr ? "missing" : shown(*type));
}

// True if ByteLevel is in it.
bool check_decoder(const nlohmann::json* json, const std::string& where) {
  const auto* type = json != nullptr && json->is_object() ? member(*json, "type") : nullptr;
  if (type != nullptr && (*type == "ByteLevel" || *type == "Fuse")) {
    return *type == "ByteLevel";  // Fuse joins tokens, which decoding here does anyway
  }
  if (type == nullptr || *type != "Sequence") {
    throw bad_data("{}: type is {}; this version computes ByteLevel, Fuse and Sequence", where,
                   type == nullptr ? "missing" : shown(*type));
  }
  const JsonObject decoder(*json, where);
  const auto& list = decoder.list("decoders");
  bool byte_level = false;
  for (std::size_t i = 0; i < list.size(); ++i) {
    byte_level |= check_decoder(&list[i], fmt::format("{}.decoders[{}]", where, i));
  }
  return byte_level;
}

}  // namespace

struct Tokenizer::State {
  AddedTokens added;
  Bpe model;
  PreTokenizer pretokenizer;
  PostProcessor post_processor;

  // As `tokenizers`' ByteLevel decoder: a token not written in the byte-level spelling stands for itself.
  std::string bytes_of(std::int32_t id) const {
    const auto* token = added.find(id);
    const auto* spelling = token != nullptr ? &token->content : model.token_of(id);
    if (spelling == nullptr) {
      return {};
    }
    return byte_level_bytes(*spelling).value_or(*spelling);
  }
};

Tokenizer Tokenizer::open(const std::filesystem::path& tokenizer_json) {
  const auto file = tokenizer_json.string();
  const auto whole = parse_json_object(read_text_file(tokenizer_json, kMaxBytes), file);
  const JsonObject json(whole, file);
  check_normalizer(json.get("normalizer"), file + ": normalizer");
  if (!check_decoder(json.get("decoder"), file + ": decoder")) {
    throw bad_data("{}: decoder: no ByteLevel in it; this version computes byte-level tokenizers only", file);
  }
  auto state = std::make_unique<State>(
      State{AddedTokens::from_json(json.get("added_tokens"), file + ": added_tokens"),
            Bpe::from_json(json.required("model"), file + ": model"),
            PreTokenizer::from_json(json.required("pre_tokenizer"), file + ": pre_tokenizer"),
            PostProcessor::from_json(json.get("post_processor"), file + ": post_processor")});
  for (const auto& [id, token] : state->added.all()) {
    const auto other = state->model.id_of(token.content);
    const auto* holder = state->model.token_of(id);
    if (other ? *other != id : holder != nullptr) {
      throw bad_data("{}: added_tokens gives {} the id {}, but the vocabulary says {}", file,
                     shown(token.content), id,
                     other ? fmt::format("{}", *other) : fmt::format("that this is {}", shown(*holder)));
    }
  }
  return Tokenizer(std::move(state));
}

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  if (const auto valid = utf8_valid_prefix(text); valid != text.size()) {
    throw bad_data("the text is not UTF-8: byte 0x{:02X} at offset {}",
                   static_cast<unsigned char>(text[valid]), valid);
  }
  std::vector<std::int32_t> ids;
  const auto& post = state_->post_processor;
  if (add_special_tokens) {
    ids = post.before;
  }
  for (const auto& piece : state_->added.split(text)) {
    if (piece.token != nullptr) {
      ids.push_back(piece.token->id);
      continue;
    }
    for (const auto& word : state_->pretokenizer.split(piece.text)) {
      state_->model.encode(word, ids);
    }
  }
  if (add_special_tokens) {
    ids.insert(ids.end(), post.after.begin(), post.after.end());
  }
  return ids;
}

std::string Tokenizer::decode(const std::vector<std::int32_t>& ids) const {
  std::string bytes;
  for (const auto id : ids) {
    bytes += state_->bytes_of(id);
  }
  return utf8_lossy(bytes);
}

std::string Tokenizer::token_text(std::int32_t id) const {
  return utf8_lossy(state_->bytes_of(id));
}

std::int64_t Tokenizer::size() const {
  const auto& added = state_->added.all();
  const std::int64_t highest_added = added.empty() ? -1 : added.rbegin()->first;
  return std::max<std::int64_t>(state_->model.highest_id(), highest_added) + 1;
}

}  // namespace shardrift
