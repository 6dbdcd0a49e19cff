#include "tokenizer/added_tokens.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"

namespace shardrift {
namespace {

// Rust's \w, which unlike Oniguruma's has the two joiners. \A and \z: `tokenizers` uses another library here,
// whose ^ and $ mean the ends of the text.
constexpr std::string_view kWordAtStart = R"(\A[\w\x{200C}\x{200D}])";
constexpr std::string_view kWordAtEnd = R"([\w\x{200C}\x{200D}]\z)";

}  // namespace

AddedToken read_added_token(const nlohmann::json& value, const std::string& where,
                            std::optional<std::int32_t> id) {
  const JsonObject json(value, where);
  AddedToken token;
  token.id =
      id ? *id
         : static_cast<std::int32_t>(json.integer("id", 0, std::numeric_limits<std::int32_t>::max() - 1));
  token.content = json.text("content");
  token.special = json.flag("special");
  token.single_word = json.flag("single_word");
  token.lstrip = json.flag("lstrip");
  token.rstrip = json.flag("rstrip");
  token.normalized = json.flag("normalized", !token.special);
  return token;
}

AddedTokens::AddedTokens()
    : word_at_start_(kWordAtStart, "added_tokens"),
      word_at_end_(kWordAtEnd, "added_tokens"),
      space_at_start_(R"(\A\s+)", "added_tokens"),
      space_at_end_(R"(\s+\z)", "added_tokens") {}

AddedTokens AddedTokens::from_json(const nlohmann::json* list, const std::string& where,
                                   const Vocabulary& vocabulary, const Normalizer& normalizer) {
  std::vector<AddedToken> tokens;
  if (list != nullptr && !list->is_array()) {
    throw bad_data("{}: {} is no list", where, shown(*list));
  }
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    tokens.push_back(read_added_token((*list)[i], fmt::format("{}[{}]", where, i)));
  }
  return from_list(std::move(tokens), where, vocabulary, normalizer);
}

AddedTokens AddedTokens::from_list(std::vector<AddedToken> list, const std::string& where,
                                   const Vocabulary& vocabulary, const Normalizer& normalizer) {
  AddedTokens added;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].content.empty()) {  // else nothing to find; `tokenizers` skips them too
      added.add(std::move(list[i]), fmt::format("{}[{}]", where, i), vocabulary);
    }
  }
  for (auto& [content, token] : added.tokens_) {
    auto& trie = token.normalized ? added.normalized_ : added.plain_;
    token.spelling = token.normalized ? normalizer.normalized(content) : content;
    const auto* other = trie.insert(token.spelling, &token);
    if (other != nullptr) {  // `tokenizers` finds one or the other by chance
      throw bad_data("{}: {} and {} are one text once normalized: remove one of the two", where,
                     shown(other->content), shown(content));
    }
  }
  return added;
}

void AddedTokens::add(AddedToken token, const std::string& where, const Vocabulary& vocabulary) {
  const auto listed = tokens_.find(token.content);
  const auto given = token.id;
  if (listed != tokens_.end()) {
    token.id = listed->second.id;
  } else if (const auto id = vocabulary.id_of(token.content)) {
    token.id = *id;
  } else {
    token.id = std::max(highest_id() + 1, vocabulary.size);
  }
  if (token.id != given) {
    notes_.push_back(
        fmt::format("{}: {} has the id {}, but is encoded as {}, as Hugging Face's tokenizers does: {}",
                    where, shown(token.content), given, token.id,
                    listed != tokens_.end()           ? "it is listed twice"
                    : vocabulary.id_of(token.content) ? "the vocabulary says so"
                                                      : "that is the next free one"));
  }
  if (listed == tokens_.end()) {
    const auto entry = tokens_.emplace(token.content, std::move(token)).first;
    by_id_[entry->second.id] = &entry->second;
  } else if (listed->second.normalized != token.normalized) {
    throw bad_data("{}: {} is listed twice, once normalized and once not: remove one of the two", where,
                   shown(token.content));
  } else {
    listed->second = std::move(token);
  }
}

const AddedToken* AddedTokens::Trie::insert(std::string_view content, const AddedToken* token) {
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
  return std::exchange(nodes_[node].token, token);
}

AddedTokens::Trie::Match AddedTokens::Trie::longest(std::string_view text, std::size_t at) const {
  Match best{nullptr, at};
  std::size_t node = 0;
  for (; at < text.size(); ++at) {
    const auto found = nodes_[node].next.find(text[at]);
    if (found == nodes_[node].next.end()) {
      break;
    }
    node = found->second;
    if (nodes_[node].token != nullptr) {
      best = {nodes_[node].token, at + 1};
    }
  }
  return best;
}

void AddedTokens::split_by(const Trie& trie, std::string_view text, bool first,
                           std::vector<Piece>& pieces) const {
  const auto matches = [](const Regex& regex, std::string_view part) {
    return !regex.find_all(part).empty();
  };
  std::size_t done = 0;  // everything before is in a piece
  for (std::size_t at = 0; at < text.size();) {
    const auto [token, match_end] = trie.longest(text, at);
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = match_end;
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
      pieces.push_back({std::string(text.substr(done, begin - done)), nullptr, first && done == 0});
    }
    pieces.push_back({std::string(text.substr(begin, end - begin)), token, first && begin == 0});
    done = end;
  }
  if (done < text.size()) {
    pieces.push_back({std::string(text.substr(done)), nullptr, first && done == 0});
  }
}

std::vector<AddedTokens::Piece> AddedTokens::split(std::string_view text,
                                                   const Normalizer& normalizer) const {
  std::vector<Piece> first;
  split_by(plain_, text, true, first);
  std::vector<Piece> second;
  for (auto& piece : first) {
    if (piece.token != nullptr) {
      second.push_back(std::move(piece));
    } else {
      split_by(normalized_, normalizer.normalized(piece.text), piece.first, second);
    }
  }
  return second;
}

const AddedToken* AddedTokens::find(std::int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

}  // namespace shardrift
