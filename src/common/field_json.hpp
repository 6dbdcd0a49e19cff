// Values with a table of fields as JSON objects: a key for each row. Include it where JSON is read or
// written: the library's header is large.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>

#include "common/field_table.hpp"
#include "common/field_text.hpp"

namespace shardrift {

// What JSON spells as it is; everything else (names, paths, types of their own) is written as text.
template <typename T>
concept JsonValue = std::is_arithmetic_v<T> || std::same_as<T, std::string> ||
    std::same_as<T, std::vector<int>> || std::same_as<T, std::vector<std::string>>;

template <typename T>
nlohmann::json to_field_json(const T& field) {
  if constexpr (JsonValue<T>)
    return field;
  else
    return text_of(field);
}

// what: the key, for the usage_error of a name that is none; json's own exception for another type.
template <typename T>
void read_field_json(std::string_view what, const nlohmann::json& json, T& field) {
  if constexpr (JsonValue<T>)
    field = json.get<T>();
  else
    read_text(what, json.get<std::string>(), field);
}

// Json: nlohmann::json sorts the keys, nlohmann::ordered_json keeps the table's order.
template <typename Json = nlohmann::json, typename Value>
Json fields_to_json(const Value& value) {
  Json object = Json::object();
  for_each_field(value, [&](const auto& row, const auto& field) {
    object[std::string(row.key)] = to_field_json(field);
  });
  return object;
}

// Reads every row but those of Since::later that are not there. Unknown keys are ignored. Throws what
// nlohmann does for a missing key and a wrong type, usage_error for a name that is none.
template <typename Value>
void read_fields(const nlohmann::json& object, Value& value) {
  for_each_field(value, [&](const auto& row, auto& field) {
    const std::string key(row.key);
    if (row.since == Since::later && !object.contains(key)) return;
    read_field_json(key, object.at(key), field);
  });
}

// The same, where any row may be absent or null.
template <typename Value>
void take_fields(const nlohmann::json& object, Value& value) {
  for_each_field(value, [&](const auto& row, auto& field) {
    const auto found = object.find(std::string(row.key));
    if (found != object.end() && !found->is_null()) read_field_json(row.key, *found, field);
  });
}

}  // namespace shardrift
