// How a text is cut into the words that BPE then works on, one by one: tokenizer.json's pre_tokenizer.
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace shardrift {

class PreTokenizer {
 public:
  // Sequence, Split, Digits, Punctuation and ByteLevel; ByteLevel must be among them. Throws bad_data naming
  // what else there is.
  static PreTokenizer from_json(const nlohmann::json& json, const std::string& where);
  // The words of `text` (UTF-8), none of them empty, bytes spelled as byte_level.hpp says.
  std::vector<std::string> split(std::string_view text) const;

  class Step;  // one of the kinds above

 private:
  std::vector<std::shared_ptr<const Step>> steps_;
};

}  // namespace shardrift
