#include "common/json_file.hpp"

#include <cerrno>
#include <fstream>
#include <unordered_set>
#include <vector>

#include "common/error.hpp"
#include "common/system_reason.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxShown = 80;

// Cut at a UTF-8 boundary, so that a message stays valid text.
std::string cut(std::string text, std::size_t limit) {
  if (text.size() <= limit) {
    return text;
  }
  std::size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end;
  }
  text.resize(end);
  return text + "…";
}

// What nlohmann's parser does not refuse. A pass of its own: its parser with a callback looks, at the end of
// each object, at all members of the one around it, which takes minutes for a header of 100000 tensors.
class Check : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Check(const std::string& where) : where_(where) {}
  const std::string& fault() const { return fault_; }

  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return true; }
  bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return true; }
  bool string(string_t& /*value*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }
  bool start_object(std::size_t /*members*/) override {
    keys_.emplace_back();
    return deeper();
  }
  bool key(string_t& value) override {
    if (!keys_.back().insert(value).second)
      throw bad_data("{}: key {} appears twice in one object", where_, shown(value));
    return true;
  }
  bool end_object() override {
    keys_.pop_back();
    --depth_;
    return true;
  }
  bool start_array(std::size_t /*elements*/) override { return deeper(); }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::json::exception& error) override {
    fault_ = error.what();
    return false;
  }

 private:
  bool deeper() {
    if (++depth_ > kMaxDepth) throw bad_data("{}: JSON nested deeper than {} levels", where_, kMaxDepth);
    return true;
  }

  const std::string& where_;
  std::string fault_;
  std::size_t depth_ = 0;
  std::vector<std::unordered_set<std::string>> keys_;  // of the objects being read, outermost first
};

}  // namespace

std::string read_text_file(const std::filesystem::path& path, std::size_t max_bytes) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    const bool absent = !error || error == std::errc::no_such_file_or_directory;
    throw bad_data("{}: {}", path.string(), absent ? "no such file" : "cannot be read: " + error.message());
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw bad_data("{}: not a regular file", path.string());
  }
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const auto size = file ? static_cast<std::streamoff>(file.tellg()) : -1;
  if (size < 0) {
    throw bad_data("{}: cannot be read: {}", path.string(), system_reason(errno));
  }
  if (static_cast<std::size_t>(size) > max_bytes) {
    throw bad_data("{}: {} bytes, more than the {} that such a file may have", path.string(), size,
                   max_bytes);
  }
  std::string text(static_cast<std::size_t>(size), '\0');
  file.seekg(0);
  file.read(text.data(), size);
  if (file.gcount() != size) {
    throw bad_data("{}: only {} of {} bytes could be read", path.string(), file.gcount(), size);
  }
  return text;
}

nlohmann::json parse_json_object(std::string_view text, const std::string& where) {
  using Json = nlohmann::json;
  // nlohmann takes a zero byte for the end and would not look at what follows.
  if (const auto zero = text.find('\0'); zero != std::string_view::npos) {
    throw bad_data("{}: not valid JSON: a zero byte at offset {}", where, zero);
  }
  Check check(where);
  if (!Json::sax_parse(text, &check)) {
    // Without the library's own "[json.exception.parse_error.101] ".
    const std::string_view what = check.fault();
    const auto end = what.find("] ");
    throw bad_data("{}: not valid JSON: {}", where,
                   cut(std::string(end == std::string_view::npos ? what : what.substr(end + 2)), 200));
  }
  auto parsed = Json::parse(text);
  if (!parsed.is_object()) {
    throw bad_data("{}: a JSON object is expected, found {}", where, shown(parsed));
  }
  return parsed;
}

std::string shown(const nlohmann::json& value) {
  // Long arrays and objects are not spelled out only to be cut.
  if (value.is_structured() && value.size() > 16) {
    return fmt::format("{} of {} elements", value.is_array() ? "an array" : "an object", value.size());
  }
  return cut(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), kMaxShown);
}

std::string shown(std::string_view text) {
  return shown(nlohmann::json(std::string(text)));
}

const nlohmann::json* member(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

}  // namespace shardrift
