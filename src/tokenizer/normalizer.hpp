// What is done to a text before it is cut into words: tokenizer.json's normalizer.
#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace shardrift {

class Normalizer {
 public:
  // `json` may be null: nothing is done. Throws bad_data naming what this version does not compute.
  static Normalizer from_json(const nlohmann::json* json, const std::string& where);
  std::string normalized(std::string_view text) const;  // `text` must be UTF-8

 private:
  using Step = std::function<std::string(std::string_view)>;
  void add(const nlohmann::json& json, const std::string& where);

  std::vector<Step> steps_;
};

}  // namespace shardrift
