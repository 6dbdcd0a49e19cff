// Taking text apart: lists, numbers.
#pragma once
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace shardrift {

// The parts between separators: "a,,b" has three, "a,b," and "a,b" two, "" none.
std::vector<std::string> split(std::string_view text, char separator);

// Likewise, without blanks around the parts and without parts that are blank.
std::vector<std::string> split_words(std::string_view text, char separator);

std::string_view trimmed(std::string_view text);  // without spaces, tabs and carriage returns at its ends
std::string bytes_text(double bytes);             // "1.4 GB"
// "FILE:LINE"; "FILE" where the line is 0: not known, or the command line's.
std::string place_in(const std::string& file, int line);
inline bool is_blank(std::string_view text) {
  return trimmed(text).empty();
}

// Nothing where the whole text is not one number, or one that T cannot hold.
template <typename T>
std::optional<T> number_from(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace shardrift
