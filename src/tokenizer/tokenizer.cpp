#include "tokenizer/tokenizer.hpp"

#include <algorithm>
#include <optional>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"
#include "tokenizer/added_tokens.hpp"
#include "tokenizer/bpe.hpp"
#include "tokenizer/byte_level.hpp"
#include "tokenizer/normalizer.hpp"
#include "tokenizer/post_processor.hpp"
#include "tokenizer/pretokenizer.hpp"
#include "tokenizer/utf8.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

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
  Normalizer normalizer;
  Bpe model;
  AddedTokens added;
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
  if (!check_decoder(json.get("decoder"), file + ": decoder")) {
    throw bad_data("{}: decoder: no ByteLevel in it; this version computes byte-level tokenizers only", file);
  }
  const auto normalizer = Normalizer::from_json(json.get("normalizer"), file + ": normalizer");
  auto model = Bpe::from_json(json.required("model"), file + ": model");
  auto added = AddedTokens::from_json(json.get("added_tokens"), file + ": added_tokens", model, normalizer);
  auto state = std::make_unique<State>(
      State{normalizer, std::move(model), std::move(added),
            PreTokenizer::from_json(json.required("pre_tokenizer"), file + ": pre_tokenizer"),
            PostProcessor::from_json(json.get("post_processor"), file + ": post_processor")});
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
  for (const auto& piece : state_->added.split(text, state_->normalizer)) {
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
  return std::int64_t{std::max(state_->model.highest_id(), state_->added.highest_id())} + 1;
}

const std::vector<std::string>& Tokenizer::notes() const {
  return state_->added.notes();
}

}  // namespace shardrift
