#include "tokenizer/replacement.hpp"

#include "common/error.hpp"
#include "common/json_reader.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kMostGrowth = std::size_t{64} << 20;  // one replacement after another may double it

}  // namespace

Regex read_pattern(const JsonObject& json) {
  const auto& pattern = json.required("pattern");
  const bool one = pattern.is_object() && pattern.size() == 1 && pattern.front().is_string();
  const bool regex = one && pattern.contains("Regex");
  if (!one || (!regex && !pattern.contains("String")) ||
      pattern.front().get_ref<const std::string&>().empty()) {
    throw json.wrong("pattern", pattern, R"({"Regex": "…"} or {"String": "…"} is expected)");
  }
  const auto& text = pattern.front().get_ref<const std::string&>();
  return regex ? Regex(text, json.where()) : Regex::literal(text, json.where());
}

Replacement::Replacement(const JsonObject& json)
    : where_(json.where()), pattern_(read_pattern(json)), content_(json.text("content")) {}

std::string Replacement::in(std::string_view text) const {
  if (text.empty()) {
    return {};
  }
  std::string out;
  std::size_t done = 0;
  for (const auto& [begin, end] : pattern_.find_all(text)) {
    out.append(text.substr(done, begin - done)).append(content_);
    done = end;
    if (out.size() > text.size() + kMostGrowth) {
      throw bad_data("{}: makes more than {} bytes of {}", where_, out.size(), text.size());
    }
  }
  return out.append(text.substr(done));
}

}  // namespace shardrift
