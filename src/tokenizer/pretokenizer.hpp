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
  // `json` may be null: a text is one word. Throws bad_data naming what this version does not compute.
  static PreTokenizer from_json(const nlohmann::json* json, const std::string& where);
  // The words of `text` (UTF-8), none of them empty. `first`: it is the beginning of what is encoded.
  std::vector<std::string> split(std::string_view text, bool first) const;

  struct Word {
    std::string text;
    bool first;
  };
  class Step;  // one of tokenizer.json's kinds

 private:
  std::vector<std::shared_ptr<const Step>> steps_;
};

}  // namespace shardrift
