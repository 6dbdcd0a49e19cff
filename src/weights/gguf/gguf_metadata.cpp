#include "weights/gguf/gguf_metadata.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/utf8.hpp"

namespace shardrift {
namespace {

template <typename T>
T read(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

bool is_integer(GgufKind kind) {
  return kind != GgufKind::float32 && kind != GgufKind::float64 && kind != GgufKind::string &&
         kind != GgufKind::array;
}
bool is_float(GgufKind kind) {
  return kind == GgufKind::float32 || kind == GgufKind::float64;
}

// Of an integer or a boolean; nothing beyond 2^63-1.
std::optional<std::int64_t> integer_of(GgufKind kind, std::string_view bytes) {
  switch (kind) {
    case GgufKind::uint8:
    case GgufKind::boolean:
      return read<std::uint8_t>(bytes);
    case GgufKind::int8:
      return read<std::int8_t>(bytes);
    case GgufKind::uint16:
      return read<std::uint16_t>(bytes);
    case GgufKind::int16:
      return read<std::int16_t>(bytes);
    case GgufKind::uint32:
      return read<std::uint32_t>(bytes);
    case GgufKind::int32:
      return read<std::int32_t>(bytes);
    case GgufKind::int64:
      return read<std::int64_t>(bytes);
    default:
      break;
  }
  const auto value = read<std::uint64_t>(bytes);
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

double float_of(GgufKind kind, std::string_view bytes) {
  return kind == GgufKind::float32 ? static_cast<double>(read<float>(bytes)) : read<double>(bytes);
}

}  // namespace

std::size_t size_of(GgufKind kind) {
  switch (kind) {
    case GgufKind::uint8:
    case GgufKind::int8:
    case GgufKind::boolean:
      return 1;
    case GgufKind::uint16:
    case GgufKind::int16:
      return 2;
    case GgufKind::uint32:
    case GgufKind::int32:
    case GgufKind::float32:
      return 4;
    case GgufKind::uint64:
    case GgufKind::int64:
    case GgufKind::float64:
      return 8;
    case GgufKind::string:
    case GgufKind::array:
      break;
  }
  return 0;
}

double shortest(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double number = 0;
  std::from_chars(text, end, number);
  return number;
}

bool GgufMetadata::add(std::string key, const GgufValue& value) {
  return values_.emplace(std::move(key), value).second;
}

const GgufValue* GgufMetadata::find(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

std::string GgufMetadata::where(const std::string& key) const {
  return fmt::format("{}: key {}", file_, shown(key));
}

bool GgufMetadata::is_array(const std::string& key) const {
  const auto* value = find(key);
  return value != nullptr && value->kind == GgufKind::array;
}

std::optional<std::int64_t> GgufMetadata::integer(const std::string& key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!is_integer(value->kind)) throw bad_data("{}: an integer is expected", where(key));
  const auto number = integer_of(value->kind, value->bytes);
  if (!number) throw bad_data("{}: {} is too large", where(key), read<std::uint64_t>(value->bytes));
  return number;
}

std::optional<std::int64_t> GgufMetadata::integer_of_layers(const std::string& key) const {
  if (!is_array(key)) return integer(key);
  const auto values = *integers(key);
  if (values.empty() ||
      std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) != values.end())
    throw bad_data("{} differs from layer to layer, which this version does not compute", where(key));
  return values.front();
}

std::optional<double> GgufMetadata::number(const std::string& key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (is_integer(value->kind)) return static_cast<double>(*integer(key));
  if (!is_float(value->kind)) throw bad_data("{}: a number is expected", where(key));
  const double number = float_of(value->kind, value->bytes);
  if (!std::isfinite(number)) throw bad_data("{}: {} is no finite number", where(key), number);
  return value->kind == GgufKind::float32 ? shortest(static_cast<float>(number)) : number;
}

std::optional<bool> GgufMetadata::flag(const std::string& key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != GgufKind::boolean) throw bad_data("{}: a boolean is expected", where(key));
  return value->bytes.front() != 0;
}

std::optional<std::string> GgufMetadata::text(const std::string& key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != GgufKind::string) throw bad_data("{}: a string is expected", where(key));
  if (utf8_valid_prefix(value->bytes) != value->bytes.size())
    throw bad_data("{}: {} is no UTF-8", where(key), shown(std::string(value->bytes)));
  return std::string(value->bytes);
}

std::optional<std::vector<std::int64_t>> GgufMetadata::integers(const std::string& key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != GgufKind::array || !is_integer(value->element))
    throw bad_data("{}: an array of integers is expected", where(key));
  std::vector<std::int64_t> integers;
  const std::size_t size = size_of(value->element);
  for (std::size_t at = 0; at < value->bytes.size(); at += size) {
    const auto number = integer_of(value->element, value->bytes.substr(at));
    if (!number) throw bad_data("{}: element {} is too large", where(key), at / size);
    integers.push_back(*number);
  }
  return integers;
}

std::optional<std::vector<double>> GgufMetadata::numbers(const std::string& key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != GgufKind::array || !is_float(value->element))
    throw bad_data("{}: an array of floating-point numbers is expected", where(key));
  std::vector<double> numbers;
  const std::size_t size = size_of(value->element);
  for (std::size_t at = 0; at < value->bytes.size(); at += size)
    numbers.push_back(float_of(value->element, value->bytes.substr(at)));
  return numbers;
}

std::optional<std::vector<std::string_view>> GgufMetadata::texts(const std::string& key) const {
  const auto* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != GgufKind::array || value->element != GgufKind::string)
    throw bad_data("{}: an array of strings is expected", where(key));
  std::vector<std::string_view> texts;
  for (std::size_t at = 0; at < value->bytes.size();) {  // lengths were checked when the file was opened
    const auto length = static_cast<std::size_t>(read<std::uint64_t>(value->bytes.substr(at)));
    at += sizeof(std::uint64_t);
    texts.push_back(value->bytes.substr(at, length));
    if (utf8_valid_prefix(texts.back()) != texts.back().size())
      throw bad_data("{}: element {} is no UTF-8: {}", where(key), texts.size() - 1,
                     shown(std::string(texts.back())));
    at += length;
  }
  return texts;
}

}  // namespace shardrift
