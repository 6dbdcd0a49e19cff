#include "common/json_reader.hpp"

#include <cmath>

#include "common/json_file.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kMaxSize = std::int64_t{1} << 28;

}  // namespace

JsonObject::JsonObject(const nlohmann::json& value, std::string where)
    : value_(&value), where_(std::move(where)) {
  if (!value.is_object()) throw bad_data("{}: {} is no object", where_, shown(value));
}

Error JsonObject::wrong(const char* key, const nlohmann::json& value, std::string_view expected) const {
  return bad_data("{}: {} is {}; {}", where_, key, shown(value), expected);
}

Error JsonObject::missing(const char* key) const {
  return bad_data("{}: {} is missing", where_, key);
}

bool JsonObject::has(const char* key) const {
  asked_.emplace(key);
  return value_->contains(key);
}

const nlohmann::json* JsonObject::get(const char* key) const {
  asked_.emplace(key);
  return member(*value_, key);
}

const nlohmann::json* JsonObject::nullable(const char* key) const {
  if (!has(key)) throw missing(key);
  return get(key);
}

const nlohmann::json& JsonObject::required(const char* key) const {
  const auto* value = get(key);
  if (value == nullptr) throw missing(key);
  return *value;
}

std::string JsonObject::text_of(const char* key, const nlohmann::json& item) const {
  if (!item.is_string()) throw wrong(key, item, "a string is expected");
  return item.get<std::string>();
}

std::string JsonObject::text(const char* key, std::optional<std::string> otherwise) const {
  const auto* value = get(key);
  if (value == nullptr && otherwise) return *std::move(otherwise);
  return text_of(key, required(key));
}

std::int64_t JsonObject::integer_of(const char* key, const nlohmann::json& item, std::int64_t lowest,
                                    std::int64_t highest) const {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const bool fits = item.is_number_integer() &&
                    (!item.is_number_unsigned() || item.get<std::uint64_t>() <= kMost) &&
                    item.get<std::int64_t>() >= lowest && item.get<std::int64_t>() <= highest;
  if (!fits) throw wrong(key, item, fmt::format("an integer from {} to {} is expected", lowest, highest));
  return item.get<std::int64_t>();
}

std::int64_t JsonObject::integer(const char* key, std::int64_t lowest, std::int64_t highest,
                                 std::optional<std::int64_t> otherwise) const {
  const auto* value = get(key);
  if (value == nullptr && otherwise) return *otherwise;
  return integer_of(key, required(key), lowest, highest);
}

std::int64_t JsonObject::size(const char* key, std::optional<std::int64_t> otherwise) const {
  return integer(key, 1, kMaxSize, otherwise);
}

double JsonObject::number(const char* key, std::optional<double> otherwise) const {
  const auto* value = get(key);
  if (value == nullptr && otherwise) return *otherwise;
  if (!required(key).is_number()) throw wrong(key, *value, "a number is expected");
  return value->get<double>();
}

double JsonObject::positive(const char* key, std::optional<double> otherwise) const {
  const auto* value = get(key);
  if (value == nullptr && otherwise) return *otherwise;
  if (!required(key).is_number() || !(value->get<double>() > 0) || !std::isfinite(value->get<double>()))
    throw wrong(key, *value, "a positive number is expected");
  return value->get<double>();
}

bool JsonObject::flag(const char* key, bool otherwise) const {
  const auto* value = get(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) throw wrong(key, *value, "true or false is expected");
  return value->get<bool>();
}

std::optional<JsonObject> JsonObject::object(const char* key) const {
  const auto* value = get(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) throw wrong(key, *value, "an object or null is expected");
  return JsonObject(*value, where_ + ": " + key);
}

JsonObject JsonObject::required_object(const char* key) const {
  const auto& value = required(key);
  if (!value.is_object()) throw wrong(key, value, "an object is expected");
  return {value, where_ + ": " + key};
}

const nlohmann::json& JsonObject::list(const char* key, std::size_t fewest, std::size_t most) const {
  const auto& value = required(key);
  if (!value.is_array()) throw wrong(key, value, "a list is expected");
  if (value.size() < fewest || value.size() > most)
    throw wrong(key, value, fmt::format("a list of {} to {} elements is expected", fewest, most));
  return value;
}

std::vector<JsonObject> JsonObject::objects(const char* key) const {
  std::vector<JsonObject> objects;
  for (const auto& item : list(key))
    objects.emplace_back(item, fmt::format("{}: {}[{}]", where_, key, objects.size()));
  return objects;
}

std::vector<std::string> JsonObject::texts(const char* key) const {
  std::vector<std::string> texts;
  for (const auto& item : list(key)) {
    if (!item.is_string()) throw wrong(key, *get(key), "a list of strings is expected");
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

void JsonObject::done() const {
  for (const auto& [key, unused] : value_->items())
    if (!asked_.contains(key)) throw bad_data("{}: unknown key {}", where_, shown(nlohmann::json(key)));
}

}  // namespace shardrift
