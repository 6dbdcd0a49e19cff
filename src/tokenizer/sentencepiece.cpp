// A SentencePiece model with what its directory says about it, encoded as transformers' Python tokenizers do:
// the text is cut at added tokens, the library encodes what lies between.
#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"
#include "common/utf8.hpp"
#include "tokenizer/added_tokens.hpp"
#include "tokenizer/sentencepiece_file.hpp"
#include "tokenizer/sentencepiece_library.hpp"
#include "tokenizer/tokenizer_kind.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{256} << 20;
constexpr std::string_view kSpace = "\u2581";

// A JSON file beside the model; an empty object where there is none.
nlohmann::json beside(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) {
    return nlohmann::json::object();
  }
  return parse_json_object(read_text_file(file, kMaxBytes), file.string());
}

std::string with_spaces(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const bool space = text.substr(at).starts_with(kSpace);
    out.push_back(space ? ' ' : text[at]);
    at += space ? kSpace.size() : 1;
  }
  return out;
}

// "<s>" or {"content": "<s>", …}; nothing where it is null or absent.
std::optional<AddedToken> named_token(const nlohmann::json& value, const std::string& where) {
  if (value.is_string()) {
    AddedToken token;
    token.content = value.get<std::string>();
    token.special = true;
    return token;
  }
  auto token = read_added_token(value, where, 0);
  token.special = true;
  return token;
}

class SentencePieceTokenizer : public TokenizerKind {
 public:
  explicit SentencePieceTokenizer(const std::filesystem::path& file) : where_(file.string()) {
    const auto config_file = file.parent_path() / "tokenizer_config.json";
    const auto added_file = file.parent_path() / "added_tokens.json";
    const auto config_json = beside(config_file);
    const JsonObject config(config_json, config_file.string());
    legacy_ = config.flag("legacy", true);
    adds_prefix_ = config.flag("add_prefix_space", true);
    auto bytes = read_text_file(file, kMaxBytes);
    check_sentencepiece(bytes, where_);
    if (!legacy_) {
      bytes = without_dummy_prefix(std::move(bytes));
    }
    pieces_.emplace(bytes, where_);
    read_added_tokens(config, added_file);
    if (config.flag("add_bos_token", true)) {
      add_named(config, "bos_token", pieces_->bos_id(), before_);
    }
    if (config.flag("add_eos_token", false)) {
      add_named(config, "eos_token", pieces_->eos_id(), after_);
    }
    if (!legacy_) {
      unknown_text_ = pieces_->unk_id() >= 0 ? pieces_->piece(pieces_->unk_id()) : "<unk>";
      unknown_length_ = pieces_->encode(unknown_text_).size();
    }
  }

  std::vector<std::int32_t> encode(std::string_view text, bool add_special_tokens) const override {
    std::vector<std::int32_t> ids;
    if (add_special_tokens) {
      ids = before_;
    }
    std::string whole;
    if (!legacy_ && !text.empty()) {
      if (adds_prefix_) {
        whole.append(kSpace);
      }
      whole.append(with_spaces(text));
      text = whole;
    }
    const auto split = added_.split(text, {});
    for (std::size_t i = 0; i < split.size(); ++i) {
      const auto& piece = split[i];
      if (piece.token != nullptr) {
        ids.push_back(piece.token->id);
        continue;
      }
      const auto more = legacy_ ? pieces_->encode(piece.text) : pieces_inside(piece.text);
      // A space alone before a named special token is left out: it is the one that was put there.
      const bool alone = !legacy_ && i == 0 && more.size() == 1 && pieces_->piece(more[0]) == kSpace &&
                         split.size() > 1 && split[1].token != nullptr &&
                         named_.contains(split[1].token->content);
      if (!alone) {
        ids.insert(ids.end(), more.begin(), more.end());
      }
    }
    if (add_special_tokens) {
      ids.insert(ids.end(), after_.begin(), after_.end());
    }
    return ids;
  }

  std::string decode(const std::vector<std::int32_t>& ids) const override {
    std::string text;
    std::vector<int> run;
    const auto flush = [&] {
      text += pieces_->decode(run);
      run.clear();
    };
    for (const auto id : ids) {
      if (const auto* token = added_.find(id)) {
        flush();
        text += token->content;
      } else if (id >= 0 && id < pieces_->size()) {
        run.push_back(id);
      }
    }
    flush();
    return utf8_lossy(text);
  }

  std::string token_text(std::int32_t id) const override {
    if (const auto* token = added_.find(id)) {
      return token->content;
    }
    if (id < 0 || id >= pieces_->size()) {
      return {};
    }
    const auto piece = pieces_->piece(id);
    if (pieces_->is_byte(id)) {  // <0x0A>
      return utf8_lossy(std::string(1, static_cast<char>(std::stoi(piece.substr(3, 2), nullptr, 16))));
    }
    return utf8_lossy(with_spaces(piece));
  }

  std::int64_t size() const override {
    return std::int64_t{std::max(pieces_->size() - 1, added_.highest_id())} + 1;
  }
  const std::vector<std::string>& notes() const override { return added_.notes(); }

 private:
  std::optional<std::int32_t> id_of(std::string_view piece) const {
    const auto id = pieces_->id_of(piece);
    if (id < 0 || id >= pieces_->size() || pieces_->piece(id) != piece) {  // else the unknown piece's
      return std::nullopt;
    }
    return id;
  }

  void read_added_tokens(const JsonObject& config, const std::filesystem::path& added_file) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max() - 1;
    std::vector<AddedToken> list;
    std::map<std::string, std::int32_t, std::less<>> given;
    const auto take = [&](AddedToken token) {
      token.normalized = false;
      if (given.emplace(token.content, token.id).second) {
        list.push_back(std::move(token));
      }
    };
    if (const auto decoder = config.object("added_tokens_decoder")) {
      for (const auto& [key, value] : decoder->json().items()) {
        const auto here = fmt::format("{}.{}", decoder->where(), key);
        const bool digits =
            !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == std::string::npos;
        if (!digits) {
          throw bad_data("{}: {} is no token id", decoder->where(), shown(key));
        }
        take(read_added_token(value, here, static_cast<std::int32_t>(std::stoi(key))));
      }
    } else {
      const auto added_json = beside(added_file);
      const JsonObject added(added_json, added_file.string());
      for (const auto& [content, id] : added_json.items()) {
        AddedToken token;
        token.content = content;
        token.id = static_cast<std::int32_t>(added.integer_of(content.c_str(), id, 0, kMost));
        take(std::move(token));
      }
    }
    // Those with a name of their own, or the model's.
    auto next = std::max(pieces_->size(), 0);
    for (const auto& [content, id] : given) {
      next = std::max(next, id + 1);
    }
    const auto take_named = [&](std::optional<AddedToken> token) {
      if (token) {
        named_.insert(token->content);
      }
      if (token && !token->content.empty() && !given.contains(token->content)) {
        const auto id = id_of(token->content);
        token->id = id ? *id : next++;
        take(*std::move(token));
      }
    };
    for (const auto& [key, id] : {std::pair<const char*, int>{"bos_token", pieces_->bos_id()},
                                  {"eos_token", pieces_->eos_id()},
                                  {"unk_token", pieces_->unk_id()},
                                  {"pad_token", -1}}) {
      take_named(name_of(config, key, id));
    }
    for (const auto* key : {"additional_special_tokens", "extra_special_tokens"}) {
      if (const auto* named = config.get(key); named != nullptr && named->is_array()) {
        for (const auto& value : *named) {
          take_named(named_token(value, fmt::format("{}: {}", config.where(), key)));
        }
      }
    }
    added_ =
        AddedTokens::from_list(std::move(list), config.where() + ": added_tokens_decoder",
                               {[&](std::string_view content) -> std::optional<std::int32_t> {
                                  const auto found = given.find(content);
                                  return found == given.end() ? std::nullopt : std::optional(found->second);
                                },
                                next},
                               {});
  }

  // What the config calls it (null: there is none), or where it says nothing the model's piece.
  std::optional<AddedToken> name_of(const JsonObject& config, const char* key, int id) const {
    if (const auto* value = config.get(key)) {
      return named_token(*value, fmt::format("{}: {}", config.where(), key));
    }
    if (config.has(key) || id < 0) {
      return std::nullopt;
    }
    return named_token(pieces_->piece(id), where_);
  }

  void add_named(const JsonObject& config, const char* key, int id, std::vector<std::int32_t>& ids) const {
    if (const auto token = name_of(config, key, id)) {
      for (const auto& piece : added_.split(token->content, {})) {
        if (piece.token != nullptr) {
          ids.push_back(piece.token->id);
        }
      }
    }
  }

  // Without "legacy": the library would take away white space at the beginning, so something is put before
  // it.
  std::vector<int> pieces_inside(const std::string& text) const {
    if (!text.starts_with(kSpace) && !text.starts_with(' ')) {
      return pieces_->encode(text);
    }
    auto ids = pieces_->encode(unknown_text_ + text);
    if (ids.size() >= unknown_length_) {
      ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(unknown_length_));
    }
    return ids;
  }

  std::string where_;
  std::optional<SentencePieceModel> pieces_;  // once it is open, there is one
  AddedTokens added_;
  std::set<std::string, std::less<>> named_;  // bos_token, eos_token and so on
  std::vector<std::int32_t> before_;
  std::vector<std::int32_t> after_;
  bool legacy_ = true;
  bool adds_prefix_ = true;
  std::string unknown_text_;
  std::size_t unknown_length_ = 0;
};

}  // namespace

std::unique_ptr<const TokenizerKind> open_sentencepiece(const std::filesystem::path& file) {
  return std::make_unique<SentencePieceTokenizer>(file);
}

}  // namespace shardrift
