// Objects of a JSON file with errors that name file, key and value, in the manner of TomlTable. Files are
// read and parsed by json_file.hpp.
#pragma once
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.hpp"
#include "common/named_enum.hpp"

namespace shardrift {

// One object. Getters throw bad_data where a value is of another kind than asked for, and where it is missing
// and no `otherwise` is given; null counts as missing. Keys are fetched by name; done() refuses those that
// nobody asked for.
class JsonObject {
 public:
  // where: how messages begin, "config.json" or "profile.json: probed[3]". Throws bad_data for what is no
  // object. The value must outlive this view of it.
  JsonObject(const nlohmann::json& value, std::string where);

  const nlohmann::json& json() const { return *value_; }
  const std::string& where() const { return where_; }

  bool has(const char* key) const;                        // also where it is null
  const nlohmann::json* get(const char* key) const;       // nullptr where absent or null
  const nlohmann::json* nullable(const char* key) const;  // nullptr where null; throws where absent
  const nlohmann::json& required(const char* key) const;

  std::string text(const char* key, std::optional<std::string> otherwise = {}) const;
  std::int64_t integer(const char* key, std::int64_t lowest, std::int64_t highest,
                       std::optional<std::int64_t> otherwise = {}) const;
  // A dimension of a model, 1 to 2^28: far above any there is, far below where a product of two would
  // overflow.
  std::int64_t size(const char* key, std::optional<std::int64_t> otherwise = {}) const;
  double number(const char* key, std::optional<double> otherwise = {}) const;
  double positive(const char* key, std::optional<double> otherwise = {}) const;  // finite
  bool flag(const char* key, bool otherwise = false) const;

  std::optional<JsonObject> object(const char* key) const;
  JsonObject required_object(const char* key) const;
  const nlohmann::json& list(const char* key, std::size_t fewest = 0,
                             std::size_t most = std::numeric_limits<std::size_t>::max()) const;
  std::vector<JsonObject> objects(const char* key) const;  // a list of objects; `where` says which one
  std::vector<std::string> texts(const char* key) const;   // a list of strings

  template <NamedEnum E>
  E choice(const char* key) const {
    return choice_of<E>(key, required(key));
  }

  // Likewise of an item of a list, which counts as a value of `key`.
  std::int64_t integer_of(const char* key, const nlohmann::json& item, std::int64_t lowest,
                          std::int64_t highest) const;
  std::string text_of(const char* key, const nlohmann::json& item) const;
  template <NamedEnum E>
  E choice_of(const char* key, const nlohmann::json& item) const {
    if (const auto value = from_name<E>(text_of(key, item))) return *value;
    throw wrong(key, item, listed_names<E>() + " is expected");
  }
  // What `from_text`, such as tree_from_string, makes of a text; its own error then names file and key.
  template <typename FromText>
  auto read_of(const char* key, const nlohmann::json& item, FromText&& from_text) const {
    const auto text = text_of(key, item);
    try {
      return from_text(text);
    } catch (const Error& error) {
      throw bad_data("{}: {}: {}", where_, key, error.what());
    }
  }

  void done() const;

  // "FILE: KEY is VALUE; EXPECTED", "FILE: KEY is missing"
  Error wrong(const char* key, const nlohmann::json& value, std::string_view expected) const;
  Error missing(const char* key) const;

 private:
  const nlohmann::json* value_;
  std::string where_;
  mutable std::set<std::string, std::less<>> asked_;  // for done() alone
};

}  // namespace shardrift
