// What is done to a text before it is cut into words: tokenizer.json's normalizer. Unicode's composed form
// (NFC) as `tokenizers` computes it, or nothing.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace shardrift {

class Normalizer {
 public:
  // `json` may be null: nothing is done. NFC and Sequence of it; throws bad_data naming what else there is.
  static Normalizer from_json(const nlohmann::json* json, const std::string& where);
  std::string normalized(std::string_view text) const;  // `text` must be UTF-8

 private:
  bool composes_ = false;
};

}  // namespace shardrift
