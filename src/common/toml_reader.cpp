#include "common/toml_reader.hpp"

#include <fmt/ranges.h>

#include <algorithm>

namespace shardrift {

int line_of(const toml::node& node) {
  return static_cast<int>(node.source().begin.line);
}

std::string type_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::table:
      return "a table";
    default:
      return "a date or time";
  }
}

toml::table parse_toml(std::string_view text, const std::string& file) {
  try {
    return toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    throw error_at(file, static_cast<int>(error.source().begin.line), "not valid TOML: {}",
                   error.description());
  }
}

Error TomlTable::wrong(std::string_view key, const toml::node& node, std::string_view expected) const {
  return error_at(file_, line_of(node), "{} of {} is {}; {} is expected", key, title_, type_of(node),
                  expected);
}

const toml::node* TomlTable::get(std::string_view key) {
  asked_.emplace(key);
  return table_.get(key);
}

std::optional<std::string> TomlTable::text(std::string_view key) {
  const auto* node = get(key);
  if (node == nullptr) return std::nullopt;
  const auto* value = node->as_string();
  if (value == nullptr) throw wrong(key, *node, "a string");
  return value->get();
}

std::optional<std::int64_t> TomlTable::integer(std::string_view key, std::int64_t lowest,
                                               std::int64_t highest) {
  const auto* node = get(key);
  if (node == nullptr) return std::nullopt;
  const auto* value = node->as_integer();
  const auto expected = fmt::format("an integer from {} to {}", lowest, highest);
  if (value == nullptr) throw wrong(key, *node, expected);
  if (value->get() < lowest || value->get() > highest)
    throw error_at(file_, line_of(*node), "{} of {} is {}; {} is expected", key, title_, value->get(),
                   expected);
  return value->get();
}

std::optional<double> TomlTable::number(std::string_view key, double lowest, double highest) {
  const auto* node = get(key);
  if (node == nullptr) return std::nullopt;
  const auto value = node->value<double>();  // of an integer or a number only
  const auto expected = fmt::format("a number from {} to {}", lowest, highest);
  if (!value || !node->is_number()) throw wrong(key, *node, expected);
  if (!(*value >= lowest && *value <= highest))
    throw error_at(file_, line_of(*node), "{} of {} is {}; {} is expected", key, title_, *value, expected);
  return value;
}

std::optional<bool> TomlTable::boolean(std::string_view key) {
  const auto* node = get(key);
  if (node == nullptr) return std::nullopt;
  const auto* value = node->as_boolean();
  if (value == nullptr) throw wrong(key, *node, "true or false");
  return value->get();
}

std::optional<TomlTable> TomlTable::table(std::string_view key, std::string title) {
  const auto* node = get(key);
  if (node == nullptr) return std::nullopt;
  const auto* value = node->as_table();
  if (value == nullptr) throw wrong(key, *node, "a table");
  return TomlTable(*value, file_, std::move(title));
}

std::vector<TomlTable> TomlTable::tables(std::string_view key, const std::string& title) {
  const auto* node = get(key);
  std::vector<TomlTable> list;
  if (node == nullptr) return list;
  if (const auto* one = node->as_table()) {
    list.emplace_back(*one, file_, title);
    return list;
  }
  const auto* array = node->as_array();
  if (array == nullptr) throw wrong(key, *node, "a table or a list of tables");
  for (const auto& item : *array) {
    const auto* one = item.as_table();
    if (one == nullptr) throw wrong(key, item, "a list of tables");
    list.emplace_back(*one, file_, title);
  }
  return list;
}

std::vector<std::string> TomlTable::left() const {
  struct Key {
    toml::source_position at;
    std::string name;
  };
  std::vector<Key> keys;
  for (const auto& [key, node] : table_)
    if (!asked_.contains(key.str())) keys.push_back({node.source().begin, std::string(key.str())});
  std::sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) { return a.at < b.at; });
  std::vector<std::string> names;
  names.reserve(keys.size());
  for (auto& key : keys) names.push_back(std::move(key.name));
  return names;
}

void TomlTable::done() const {
  const auto unknown = left();
  if (unknown.empty()) return;
  throw error_at(file_, line_of(*table_.get(unknown.front())), "{} knows no key '{}'; it has {}", title_,
                 unknown.front(), fmt::join(asked_, ", "));
}

}  // namespace shardrift
