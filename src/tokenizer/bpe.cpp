#include "tokenizer/bpe.hpp"

#include <algorithm>
#include <limits>
#include <queue>
#include <tuple>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"
#include "common/utf8.hpp"

namespace shardrift {
namespace {

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
         static_cast<std::uint32_t>(right);
}

// A merge is "a b", or since tokenizers 0.20 ["a", "b"].
std::pair<std::string, std::string> read_pair(const nlohmann::json& merge, const std::string& where,
                                              std::size_t i) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const auto space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  throw bad_data("{}.merges[{}] is {}; \"a b\" or [\"a\", \"b\"] is expected", where, i, shown(merge));
}

}  // namespace

Bpe Bpe::from_json(const nlohmann::json& json, const std::string& where) {
  const auto* type = json.is_object() ? member(json, "type") : nullptr;
  // Files older than the key: `tokenizers` takes what has merges for BPE.
  const bool by_merges = type == nullptr && json.is_object() && json.contains("merges");
  if (!by_merges && (type == nullptr || *type != "BPE")) {
    throw bad_data("{}: type is {}; this version computes BPE only", where,
                   type == nullptr ? "missing" : shown(*type));
  }
  const JsonObject object(json, where);
  if (const auto* value = object.get("dropout"); value != nullptr && *value != 0.0) {
    throw bad_data("{}: dropout is {}; encoding would be random, null is expected", where, shown(*value));
  }
  for (const auto* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto* value = object.get(key);
    if (value != nullptr && !(value->is_string() && value->get_ref<const std::string&>().empty())) {
      throw object.wrong(key, *value, "this version computes none");
    }
  }
  Bpe bpe;
  bpe.where_ = where;
  bpe.ignore_merges_ = object.flag("ignore_merges");
  bpe.falls_back_ = object.flag("byte_fallback");
  bpe.fuses_unknown_ = object.flag("fuse_unk");
  if (object.get("unk_token") != nullptr) {
    bpe.unknown_ = object.text("unk_token");
  }
  bpe.read_vocabulary(object);
  bpe.read_merges(object);
  return bpe;
}

void Bpe::read_vocabulary(const JsonObject& json) {
  const auto& where = json.where();
  const auto& vocabulary = json.required("vocab");
  if (!vocabulary.is_object() || vocabulary.empty()) {
    throw json.wrong("vocab", vocabulary, "an object of token to id is expected");
  }
  for (const auto& [token, value] : vocabulary.items()) {
    if (!value.is_number_unsigned() ||
        value.get<std::uint64_t>() >= std::numeric_limits<std::int32_t>::max()) {
      throw bad_data("{}.vocab: the id of {} is {}, an integer from 0 to 2^31-2 is expected", where,
                     shown(token), shown(value));
    }
    const auto id = value.get<std::int32_t>();
    const auto entry = ids_.emplace(token, id).first;
    const auto [other, fresh] = tokens_.emplace(id, &entry->first);
    if (!fresh) {
      throw bad_data("{}.vocab: {} and {} have the same id, {}", where, shown(*other->second), shown(token),
                     id);
    }
    highest_id_ = std::max(highest_id_, id);
  }
}

void Bpe::read_merges(const JsonObject& json) {
  const auto& where = json.where();
  const auto& merges = json.list("merges");
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto [left, right] = read_pair(merges[i], where, i);
    const auto a = id_of(left);
    const auto b = id_of(right);
    const auto merged = id_of(left + right);
    if (!a || !b || !merged) {
      throw bad_data("{}.merges[{}] is {}, but {} is not in the vocabulary", where, i, shown(merges[i]),
                     shown(!a   ? left
                           : !b ? right
                                : left + right));
    }
    merges_[pair_key(*a, *b)] = {rank++, *merged};  // of two equal ones the later counts, as in `tokenizers`
  }
}

std::optional<std::int32_t> Bpe::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

const std::string* Bpe::token_of(std::int32_t id) const {
  const auto found = tokens_.find(id);
  return found == tokens_.end() ? nullptr : found->second;
}

const Bpe::Merge* Bpe::merge_of(std::int32_t left, std::int32_t right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

namespace {
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
}

// In a doubly linked list; a merge keeps the left one and unlinks the right one.
struct Bpe::Symbols {
  struct Symbol {
    std::int32_t id;
    std::size_t previous;
    std::size_t next;
    bool alive;
  };
  std::vector<Symbol> all;

  void add(std::int32_t id) {
    all.push_back({id, all.empty() ? kNone : all.size() - 1, all.size() + 1, true});
  }
};

bool Bpe::add_bytes(std::string_view character, Symbols& symbols) const {
  const auto before = symbols.all.size();
  for (const char byte : character) {
    const auto id = id_of(fmt::format("<0x{:02X}>", static_cast<unsigned char>(byte)));
    if (!id) {
      symbols.all.resize(before);
      return false;
    }
    symbols.add(*id);
  }
  return true;
}

void Bpe::add_characters(std::string_view word, Symbols& symbols) const {
  bool unknown_waits = false;  // it is put before the next character that has a token, not before bytes
  const auto add_unknown = [&] {
    if (!unknown_waits) {
      return;
    }
    const auto id = id_of(*unknown_);
    if (!id) {
      throw bad_data("{}: a character has no token, and unk_token, {}, is none either", where_,
                     shown(*unknown_));
    }
    symbols.add(*id);
  };
  for (std::size_t at = 0; at < word.size();) {
    const auto length = std::max<std::size_t>(1, utf8_length(word, at));
    const auto character = word.substr(at, length);
    at += length;
    if (const auto id = id_of(character)) {
      add_unknown();
      unknown_waits = false;
      symbols.add(*id);
    } else if (falls_back_ && add_bytes(character, symbols)) {
      continue;
    } else if (unknown_) {
      if (!fuses_unknown_) {
        add_unknown();
      }
      unknown_waits = true;
    }
  }
  add_unknown();
}

void Bpe::encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (ignore_merges_) {
    if (const auto whole = id_of(word)) {
      ids.push_back(*whole);
      return;
    }
  }
  Symbols list;
  add_characters(word, list);
  auto& symbols = list.all;
  if (symbols.empty()) {
    return;
  }
  symbols.back().next = kNone;

  // Lowest rank first, then leftmost. Entries are not taken back: one whose pair has changed since is
  // skipped.
  struct Candidate {
    std::uint32_t rank;
    std::size_t left;
    std::int32_t id;
    bool operator>(const Candidate& other) const {
      return std::tie(rank, left) > std::tie(other.rank, other.left);
    }
  };
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto consider = [&](std::size_t left) {
    if (left != kNone && symbols[left].next != kNone) {
      if (const auto* merge = merge_of(symbols[left].id, symbols[symbols[left].next].id)) {
        queue.push({merge->rank, left, merge->id});
      }
    }
  };
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    consider(i);
  }
  while (!queue.empty()) {
    const auto top = queue.top();
    queue.pop();
    auto& left = symbols[top.left];
    if (!left.alive || left.next == kNone) {
      continue;
    }
    auto& right = symbols[left.next];
    const auto* merge = merge_of(left.id, right.id);
    if (merge == nullptr || merge->id != top.id) {
      continue;
    }
    left.id = top.id;
    right.alive = false;
    left.next = right.next;
    if (left.next != kNone) {
      symbols[left.next].previous = top.left;
    }
    consider(left.previous);
    consider(top.left);
  }
  for (std::size_t i = 0; i != kNone; i = symbols[i].next) {
    ids.push_back(symbols[i].id);
  }
}

}  // namespace shardrift
