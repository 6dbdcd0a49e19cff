// JSON files that nobody vouches for: read whole, parsed strictly, values fetched with errors a user can act
// on.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace shardrift {

// The whole file. Throws bad_data: missing, unreadable, no regular file, longer than max_bytes.
std::string read_text_file(const std::filesystem::path& path, std::size_t max_bytes);

// Throws bad_data starting with `where`: no JSON, no UTF-8, nested deeper than 64, a key twice in one object
// (JSON parsers disagree on which of the two counts), or anything but an object at the top.
nlohmann::json parse_json_object(std::string_view text, const std::string& where);

// A value or a name (strings convert) as an error message quotes it: JSON spelling, cut to about 80 bytes.
std::string shown(const nlohmann::json& value);

// The member `key`, nullptr where it is absent or null.
const nlohmann::json* member(const nlohmann::json& object, const char* key);

}  // namespace shardrift
