// The keys and values of a GGUF file, read where they lie in it: nothing is copied or allocated before it is
// asked for, whatever counts the file claims.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shardrift {

enum class GgufKind : std::uint32_t {
  uint8,
  int8,
  uint16,
  int16,
  uint32,
  int32,
  float32,
  boolean,
  string,
  array,
  uint64,
  int64,
  float64
};

// A value whose bytes were found to lie in the file.
struct GgufValue {
  GgufKind kind = GgufKind::uint8;
  GgufKind element = GgufKind::uint8;  // of an array
  std::uint64_t count = 0;             // of an array
  std::string_view bytes;              // a string: without its length; an array: its elements
};

class GgufMetadata {
 public:
  explicit GgufMetadata(std::string file = {}) : file_(std::move(file)) {}
  bool add(std::string key, const GgufValue& value);  // false: there is one of that name
  bool has(const std::string& key) const { return values_.contains(key); }
  const std::string& file() const { return file_; }

  // Nothing where the key is absent. Throw bad_data naming file, key and value: of another kind, texts that
  // are no UTF-8, numbers that are not finite or do not fit.
  std::optional<std::int64_t> integer(const std::string& key) const;
  // One number, or a list of one a layer: all have to be the same.
  std::optional<std::int64_t> integer_of_layers(const std::string& key) const;
  // float32, as the shortest decimal that gives just it: 1e-05, where the model's own config had that.
  std::optional<double> number(const std::string& key) const;
  std::optional<bool> flag(const std::string& key) const;
  std::optional<std::string> text(const std::string& key) const;
  std::optional<std::vector<std::int64_t>> integers(const std::string& key) const;  // of flags, too
  std::optional<std::vector<double>> numbers(const std::string& key) const;         // as stored
  std::optional<std::vector<std::string_view>> texts(const std::string& key) const;
  bool is_array(const std::string& key) const;

 private:
  const GgufValue* find(const std::string& key) const;
  std::string where(const std::string& key) const;

  std::string file_;
  std::map<std::string, GgufValue> values_;
};

// Bytes of one value of a kind; 0: strings and arrays, which have their own.
std::size_t size_of(GgufKind kind);
// The shortest decimal of a float32, as a number.
double shortest(float value);

}  // namespace shardrift
