// The pipeline of a tokenizer.json: added tokens, normalizer, pre-tokenizer, BPE, post-processor; a decoder
// back.
#include <algorithm>

#include "common/json_file.hpp"
#include "common/json_reader.hpp"
#include "tokenizer/added_tokens.hpp"
#include "tokenizer/bpe.hpp"
#include "tokenizer/decoder.hpp"
#include "tokenizer/normalizer.hpp"
#include "tokenizer/post_processor.hpp"
#include "tokenizer/pretokenizer.hpp"
#include "tokenizer/tokenizer_kind.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

class JsonTokenizer : public TokenizerKind {
 public:
  JsonTokenizer(const JsonObject& json, const std::string& file)
      : normalizer_(Normalizer::from_json(json.get("normalizer"), file + ": normalizer")),
        pretokenizer_(PreTokenizer::from_json(json.get("pre_tokenizer"), file + ": pre_tokenizer")),
        post_processor_(PostProcessor::from_json(json.get("post_processor"), file + ": post_processor")),
        decoder_(Decoder::from_json(json.get("decoder"), file + ": decoder")),
        model_(Bpe::from_json(json.required("model"), file + ": model")),
        added_(AddedTokens::from_json(
            json.get("added_tokens"), file + ": added_tokens",
            {[this](std::string_view token) { return model_.id_of(token); }, model_.size()}, normalizer_)) {}

  std::vector<std::int32_t> encode(std::string_view text, bool add_special_tokens) const override {
    std::vector<std::int32_t> ids;
    if (add_special_tokens) {
      ids = post_processor_.before;
    }
    for (const auto& piece : added_.split(text, normalizer_)) {
      if (piece.token != nullptr) {
        ids.push_back(piece.token->id);
        continue;
      }
      for (const auto& word : pretokenizer_.split(piece.text, piece.first)) {
        model_.encode(word, ids);
      }
    }
    if (add_special_tokens) {
      ids.insert(ids.end(), post_processor_.after.begin(), post_processor_.after.end());
    }
    return ids;
  }

  std::string decode(const std::vector<std::int32_t>& ids) const override {
    std::vector<std::string> tokens;
    for (const auto id : ids) {
      if (const auto* token = token_of(id)) {
        tokens.push_back(*token);
      }
    }
    return decoder_.text_of(std::move(tokens));
  }

  std::string token_text(std::int32_t id) const override {
    const auto* token = token_of(id);
    return token == nullptr ? std::string() : decoder_.text_inside(*token);
  }

  std::int64_t size() const override {
    return std::int64_t{std::max(model_.highest_id(), added_.highest_id())} + 1;
  }
  const std::vector<std::string>& notes() const override { return added_.notes(); }

 private:
  const std::string* token_of(std::int32_t id) const {
    const auto* token = added_.find(id);
    return token != nullptr ? &token->spelling : model_.token_of(id);
  }

  Normalizer normalizer_;
  PreTokenizer pretokenizer_;
  PostProcessor post_processor_;
  Decoder decoder_;
  Bpe model_;
  AddedTokens added_;
};

}  // namespace

std::unique_ptr<const TokenizerKind> open_tokenizer_json(const std::filesystem::path& file) {
  return open_tokenizer_text(read_text_file(file, kMaxBytes), file.string());
}

std::unique_ptr<const TokenizerKind> open_tokenizer_text(std::string_view text, const std::string& name) {
  const auto whole = parse_json_object(text, name);
  return std::make_unique<JsonTokenizer>(JsonObject(whole, name), name);
}

}  // namespace shardrift
