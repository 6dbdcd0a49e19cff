#include "tokenizer/added_tokens.hpp"

#include <algorithm>
#include <limits>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"

namespace shardrift {
namespace {

AddedToken read_token(const JsonObject& json) {
  AddedToken token;
  token.id = static_cast<std::int32_t>(json.integer("id", 0, std::numeric_limits<std::int32_t>::max() - 1));
  token.content = json.text("content");
  token.special = json.flag("special");
  token.single_word = json.flag("single_word");
  token.lstrip = json.flag("lstrip");
  token.rstrip = json.flag("rstrip");
  token.normalized = json.flag("normalized", !token.special);
  return token;
}

// Rust's \w, which unlike Oniguruma's has the two joiners. \A and \z: `tokenizers` uses another library here,
// whose ^ and $ mean the ends of the text.
constexpr std::string_view kWordAtStart = R"(\A[\w\x{200C}\x{200D}])";
constexpr std::string_view kWordAtEnd = R"([\w\x{200C}\x{200D}]\z)";

}  // namespace

AddedTokens::AddedTokens()
    : word_at_start_(kWordAtStart, "added_tokens"),
      word_at_end_(kWordAtEnd, "added_tokens"),
      space_at_start_(R"(\A\s+)", "added_tokens"),
      space_at_end_(R"(\s+\z)", "added_tokens") {}

AddedTokens AddedTokens::from_json(const nlohmann::json* list, const std::string& where) {
  AddedTokens added;
  if (list == nullptr) {
    return added;
  }
  if (!list->is_array()) {
    throw bad_data("{}: {} is no list", where, shown(*list));
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto here = fmt::format("{}[{}]", where, i);
    auto token = read_token({(*list)[i], here});
    const auto id = token.id;
    if (token.content.empty()) {
      continue;  // nothing to find; `tokenizers` skips them too
    }
    const auto [entry, fresh] = added.tokens_.emplace(id, std::move(token));
    if (!fresh) {
      throw bad_data("{}: id {} is also the id of {}", here, id, shown(entry->second.content));
    }
    auto& trie = entry->second.normalized ? added.normalized_ : added.plain_;
    trie.insert(entry->second.content, &entry->second);
  }
  return added;
}

void AddedTokens::Trie::insert(std::string_view content, const AddedToken* token) {
  std::size_t node = 0;
  for (const char c : content) {
    const auto found = nodes_[node].next.find(c);
    if (found != nodes_[node].next.end()) {
      node = found->second;
    } else {
      const auto fresh = nodes_.size();
      nodes_[node].next.emplace(c, fresh);
      nodes_.emplace_back();
      node = fresh;
    }
  }
  nodes_[node].token = token;
}

const AddedToken* AddedTokens::Trie::longest(std::string_view text, std::size_t at) const {
  const AddedToken* best = nullptr;
  std::size_t node = 0;
  for (; at < text.size(); ++at) {
    const auto found = nodes_[node].next.find(text[at]);
    if (found == nodes_[node].next.end()) {
      break;
    }
    node = found->second;
    best = nodes_[node].token != nullptr ? nodes_[node].token : best;
  }
  return best;
}

void AddedTokens::split_by(const Trie& trie, std::string_view text, std::vector<Piece>& pieces) const {
  const auto matches = [](const Regex& regex, std::string_view part) {
    return !regex.find_all(part).empty();
  };
  std::size_t done = 0;  // everything before is in a piece
  for (std::size_t at = 0; at < text.size();) {
    const auto* token = trie.longest(text, at);
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at + token->content.size();
    at = end;  // also where the match is turned down below
    if (token->single_word &&
        (matches(word_at_end_, text.substr(0, begin)) || matches(word_at_start_, text.substr(end)))) {
      continue;
    }
    if (token->lstrip) {
      const auto space = space_at_end_.find_all(text.substr(0, begin));
      begin = std::max(space.empty() ? begin : space.front().first, done);
    }
    if (token->rstrip) {
      const auto space = space_at_start_.find_all(text.substr(end));
      end += space.empty() ? 0 : space.front().second;
    }
    if (done < begin) {
      pieces.push_back({text.substr(done, begin - done), nullptr});
    }
    pieces.push_back({text.substr(begin, end - begin), token});
    done = end;
  }
  if (done < text.size()) {
    pieces.push_back({text.substr(done), nullptr});
  }
}

std::vector<AddedTokens::Piece> AddedTokens::split(std::string_view text) const {
  std::vector<Piece> first;
  split_by(plain_, text, first);
  if (normalized_.empty()) {
    return first;
  }
  std::vector<Piece> second;
  for (const auto& piece : first) {
    if (piece.token != nullptr) {
      second.push_back(piece);
    } else {
      split_by(normalized_, piece.text, second);
    }
  }
  return second;
}

const AddedToken* AddedTokens::find(std::int32_t id) const {
  const auto found = tokens_.find(id);
  return found == tokens_.end() ? nullptr : &found->second;
}

}  // namespace shardrift
