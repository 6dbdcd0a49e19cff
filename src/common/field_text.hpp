// One field as text: what a flag takes, what a listing shows. Types of their own bring an overload of text_of
// and read_text along, in their namespace.
#pragma once
#include <concepts>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/named_enum.hpp"

namespace shardrift {

inline std::string text_of(const std::string& text) {
  return text;
}
inline std::string text_of(const std::filesystem::path& path) {
  return path.string();
}
inline std::string text_of(bool value) {
  return value ? "true" : "false";
}
template <std::integral T>
requires(!std::same_as<T, bool>) std::string text_of(T value) {
  return std::to_string(value);
}
template <NamedEnum E>
std::string text_of(E value) {
  return std::string(name_of(value));
}
std::string text_of(const std::vector<int>& values);  // "7,23"

// The reverse. flag: "--batch", for the usage_error that any other text is.
inline void read_text(std::string_view, const std::string& text, std::string& value) {
  value = text;
}
inline void read_text(std::string_view, const std::string& text, std::filesystem::path& value) {
  value = text;
}
void read_text(std::string_view flag, const std::string& text, int& value);
void read_text(std::string_view flag, const std::string& text, std::vector<int>& value);
template <NamedEnum E>
void read_text(std::string_view flag, const std::string& text, E& value) {
  value = named<E>(flag, text);
}

}  // namespace shardrift
