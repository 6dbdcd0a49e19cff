// From tokens back to text: tokenizer.json's decoder.
#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace shardrift {

class Decoder {
 public:
  // `json` may be null: tokens with a space between them, as `tokenizers` has it. Throws bad_data naming what
  // this version does not compute.
  static Decoder from_json(const nlohmann::json* json, const std::string& where);
  // Bytes that are no UTF-8 are U+FFFD.
  std::string text_of(std::vector<std::string> tokens) const;
  // What one token adds to a text that goes on: a space at its beginning stays, which text_of takes away.
  std::string text_inside(std::string token) const;

 private:
  struct Step {
    std::function<void(std::vector<std::string>&, bool inside)> run;
  };
  void add(const nlohmann::json& json, const std::string& where);
  std::string joined(std::vector<std::string> tokens, bool inside) const;

  std::vector<Step> steps_;
  bool none_ = false;
};

}  // namespace shardrift
