// Another value for one field, whatever its type: tests that walk a table of fields change each field alone.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "common/named_enum.hpp"

namespace shardrift {

inline void change(std::string& text) {
  text += "another";
}
inline void change(std::filesystem::path& path) {
  path = path.string() + "another";
}
inline void change(bool& value) {
  value = !value;
}
template <typename T>
requires std::is_arithmetic_v<T>
void change(T& value) {
  value = static_cast<T>(value + 3);
}
template <NamedEnum E>
void change(E& value) {  // to the one before it
  constexpr auto count = names_of(E{}).size();
  value = static_cast<E>((static_cast<std::size_t>(value) + count - 1) % count);
}
inline void change(std::vector<int>& values) {
  values.insert(values.end(), {7, 23});
}
inline void change(std::vector<std::string>& texts) {
  texts.emplace_back("another");
}
}  // namespace shardrift
