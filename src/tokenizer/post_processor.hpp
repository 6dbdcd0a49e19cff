// The special tokens put around a prompt: tokenizer.json's post_processor, for single texts.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace shardrift {

struct PostProcessor {
  std::vector<std::int32_t> before;
  std::vector<std::int32_t> after;
  // `json` may be null: nothing is added. Throws bad_data naming what this version does not
  // compute.
  static PostProcessor from_json(const nlohmann::json* json, const std::string& where);
};

}  // namespace shardrift
