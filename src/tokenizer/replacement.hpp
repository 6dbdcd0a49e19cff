// A pattern of tokenizer.json and what stands in the place of its matches: the Replace of normalizers and
// decoders.
#pragma once
#include <string>
#include <string_view>

#include "tokenizer/regex.hpp"

namespace shardrift {
class JsonObject;

// The member "pattern", {"Regex": "…"} or {"String": "…"}. Throws bad_data naming the key.
Regex read_pattern(const JsonObject& json);

class Replacement {
 public:
  // "pattern" and "content".
  explicit Replacement(const JsonObject& json);
  // Throws bad_data where the text grows beyond all use.
  std::string in(std::string_view text) const;

 private:
  std::string where_;
  Regex pattern_;
  std::string content_;
};

}  // namespace shardrift
