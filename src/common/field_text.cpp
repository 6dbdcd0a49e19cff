#include "common/field_text.hpp"

#include <fmt/ranges.h>

#include "common/error.hpp"
#include "common/text.hpp"

namespace shardrift {

std::string text_of(const std::vector<int>& values) {
  return fmt::format("{}", fmt::join(values, ","));
}

void read_text(std::string_view flag, const std::string& text, int& value) {
  const auto number = number_from<int>(text);
  if (!number) throw usage_error("{} {}: is not a whole number", flag, text);
  value = *number;
}

void read_text(std::string_view flag, const std::string& text, std::vector<int>& values) {
  values.clear();
  if (text.empty()) return;
  for (const auto& part : split(text + ",", ',')) {  // a comma at the end is one too many
    const auto number = number_from<int>(part);
    if (!number) throw usage_error("{} {}: '{}' is not a number", flag, text, part);
    values.push_back(*number);
  }
}

}  // namespace shardrift
