#pragma once
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "common/error.hpp"
#include "common/json_file.hpp"

namespace shardrift {

// Far above any model there is, far below where a product of two sizes would overflow.
inline constexpr std::int64_t kMaxSize = std::int64_t{1} << 28;

// One JSON object of one file: every error names both.
class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {}

  const nlohmann::json* get(const char* key) const { return member(object_, key); }
  bool has(const char* key) const { return object_.contains(key); }  // also where it is null
  const std::string& where() const { return where_; }

  Error wrong(const char* key, const nlohmann::json& value, std::string_view expected) const {
    return bad_data("{}: {} is {}; {}", where_, key, shown(value), expected);
  }
  Error missing(const char* key) const { return bad_data("{}: {} is missing", where_, key); }

  std::int64_t size(const char* key, std::optional<std::int64_t> otherwise = {}) const {
    const auto* value = get(key);
    if (value == nullptr) {
      if (!otherwise) {
        throw missing(key);
      }
      return *otherwise;
    }
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() < 1 ||
        value->get<std::uint64_t>() > static_cast<std::uint64_t>(kMaxSize)) {
      throw wrong(key, *value, fmt::format("an integer from 1 to {} is expected", kMaxSize));
    }
    return value->get<std::int64_t>();
  }

  double positive(const char* key, std::optional<double> otherwise = {}) const {
    const auto* value = get(key);
    if (value == nullptr) {
      if (!otherwise) {
        throw missing(key);
      }
      return *otherwise;
    }
    if (!value->is_number() || !(value->get<double>() > 0) || !std::isfinite(value->get<double>())) {
      throw wrong(key, *value, "a positive number is expected");
    }
    return value->get<double>();
  }

  bool flag(const char* key) const {  // absent: false
    const auto* value = get(key);
    if (value != nullptr && !value->is_boolean()) {
      throw wrong(key, *value, "true or false is expected");
    }
    return value != nullptr && value->get<bool>();
  }

  std::string text(const char* key, const char* otherwise) const {
    const auto* value = get(key);
    if (value != nullptr && !value->is_string()) {
      throw wrong(key, *value, "a string is expected");
    }
    return value == nullptr ? otherwise : value->get<std::string>();
  }

  const nlohmann::json* object(const char* key) const {
    const auto* value = get(key);
    if (value != nullptr && !value->is_object()) {
      throw wrong(key, *value, "an object or null is expected");
    }
    return value;
  }

 private:
  const nlohmann::json& object_;
  std::string where_;
};

}  // namespace shardrift
