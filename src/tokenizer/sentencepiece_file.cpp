#include "tokenizer/sentencepiece_file.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "common/error.hpp"

namespace shardrift {
namespace {

// Numbers of fields in sentencepiece_model.proto.
constexpr std::uint64_t kTrainer = 2;
constexpr std::uint64_t kNormalizer = 3;
constexpr std::uint64_t kDenormalizer = 5;
constexpr std::uint64_t kModelType = 3;     // of the trainer
constexpr std::uint64_t kCharacterMap = 2;  // of a normalizer
constexpr std::array<const char*, 5> kTypes = {"0", "Unigram", "BPE", "Word", "Char"};

// The fields of a protocol buffer's message, one after the other.
class Fields {
 public:
  Fields(std::string_view message, const std::string& where) : rest_(message), where_(where) {}

  bool next() {
    if (rest_.empty()) {
      return false;
    }
    const auto key = varint();
    number = key >> 3;
    value = 0;
    bytes = {};
    switch (key & 7) {
      case 0:
        value = varint();
        break;
      case 1:
        bytes = take(8);
        break;
      case 2:
        bytes = take(varint());
        break;
      case 5:
        bytes = take(4);
        break;
      default:
        throw broken();
    }
    return true;
  }

  std::uint64_t number = 0;
  std::uint64_t value = 0;
  std::string_view bytes;

 private:
  Error broken() const {
    return bad_data("{}: no SentencePiece model, or one that is cut off: {} bytes at its end cannot be read",
                    where_, rest_.size());
  }
  std::uint64_t varint() {
    std::uint64_t read = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      read |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      if (byte < 0x80) {
        return read;
      }
    }
    throw broken();
  }
  std::string_view take(std::uint64_t count) {
    if (count > rest_.size()) {
      throw broken();
    }
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  std::string_view rest_;
  const std::string& where_;
};

// The table is a double-array trie (darts-clone) whose values are offsets into strings behind it. A step from
// a place goes to place ^ byte, whatever byte the text has, so all 256 of them must be there.
void check_character_map(std::string_view map, const std::string& where) {
  const auto refuse = [&](const char* what) {
    return bad_data("{}: precompiled_charsmap of {} bytes is damaged: {}", where, map.size(), what);
  };
  if (map.empty()) {
    return;
  }
  std::uint32_t trie_bytes = 0;
  if (map.size() < 4) {
    throw refuse("it has no length");
  }
  std::memcpy(&trie_bytes, map.data(), 4);
  if (trie_bytes == 0 || trie_bytes % 1024 != 0 || trie_bytes > map.size() - 4) {
    throw refuse("its trie has no length that can be");
  }
  std::vector<std::uint32_t> trie(trie_bytes / 4);
  std::memcpy(trie.data(), map.data() + 4, trie_bytes);
  const auto strings = map.substr(4 + trie_bytes);
  if (strings.empty() || strings.back() != '\0') {
    throw refuse("its strings do not end");
  }
  std::vector<bool> seen(trie.size());
  std::vector<std::uint32_t> places = {0};
  seen[0] = true;
  while (!places.empty()) {
    const auto place = places.back();
    places.pop_back();
    const auto unit = trie[place];
    const auto base = place ^ ((unit >> 10) << ((unit & (1U << 9)) >> 6));
    if ((base | 0xFFU) >= trie.size()) {
      throw refuse("its trie points behind its end");
    }
    if ((unit >> 8 & 1U) != 0 && (trie[base] & 0x7FFFFFFFU) >= strings.size()) {
      throw refuse("it points behind its strings");
    }
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const auto next = base ^ byte;
      if ((trie[next] & ((1U << 31) | 0xFFU)) == byte && !seen[next]) {
        seen[next] = true;
        places.push_back(next);
      }
    }
  }
}

}  // namespace

void check_sentencepiece(std::string_view bytes, const std::string& where) {
  std::optional<std::uint64_t> type;
  for (Fields model(bytes, where); model.next();) {
    if (model.number == kTrainer) {
      type = type.value_or(1);  // what the format says where the file does not
      for (Fields trainer(model.bytes, where); trainer.next();) {
        if (trainer.number == kModelType) type = trainer.value;
      }
    } else if (model.number == kNormalizer || model.number == kDenormalizer) {
      for (Fields normalizer(model.bytes, where); normalizer.next();) {
        if (normalizer.number == kCharacterMap) {
          check_character_map(normalizer.bytes, where);
        }
      }
    }
  }
  if (!type) {
    throw bad_data("{}: no SentencePiece model, or one that is cut off: it does not say of which type it is",
                   where);
  }
  if (*type != 2) {
    throw bad_data("{}: a SentencePiece model of type {}; this version computes BPE", where,
                   *type < kTypes.size() ? kTypes[*type] : std::to_string(*type));
  }
}

std::string without_dummy_prefix(std::string bytes) {
  // Of a message that comes twice the members are put together: normalizer_spec { add_dummy_prefix: false }.
  return bytes.append("\x1A\x02\x18\x00", 4);
}

}  // namespace shardrift
