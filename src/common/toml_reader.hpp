// Tables of a TOML file with errors that name file, line and key. Private to whoever reads TOML: the
// library's header is large.
#pragma once
// toml++ 3.3 asserts that a key begins with a letter before it looks, and says what is wrong only after that
// ("[# a]"): no assertion, so that a bad file is an error in every build.
#define TOML_ASSERT(expr) static_cast<void>(0)
#include <toml++/toml.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.hpp"
#include "common/text.hpp"

namespace shardrift {

// bad_data "FILE:LINE: text"; of line 0, which nothing of the file is at, "FILE: text".
template <typename... Args>
Error error_at(const std::string& file, int line, fmt::format_string<Args...> text, Args&&... args) {
  return bad_data("{}: {}", place_in(file, line), fmt::format(text, std::forward<Args>(args)...));
}

int line_of(const toml::node& node);
std::string type_of(const toml::node& node);  // "a string", "a list", for messages

// Throws bad_data "FILE:LINE: …" for what is no TOML.
toml::table parse_toml(std::string_view text, const std::string& file);

// One table. Keys are fetched by name; done() refuses those that nobody asked for.
class TomlTable {
 public:
  // title: how messages call it, e.g. "[run]".
  TomlTable(const toml::table& table, std::string file, std::string title)
      : table_(table), file_(std::move(file)), title_(std::move(title)) {}

  const std::string& file() const { return file_; }
  const std::string& title() const { return title_; }
  int line() const { return line_of(table_); }
  const toml::node* get(std::string_view key);  // nullptr where absent; the key counts as asked for
  std::optional<std::string> text(std::string_view key);
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t lowest, std::int64_t highest);
  // Integers count as numbers; nan and inf are refused.
  std::optional<double> number(std::string_view key, double lowest, double highest);
  std::optional<bool> boolean(std::string_view key);
  std::optional<TomlTable> table(std::string_view key, std::string title);
  // A list of tables ([[key]]) or one table ([key]), which counts as a list of one.
  std::vector<TomlTable> tables(std::string_view key, const std::string& title);
  std::vector<std::string> left() const;  // keys that were not asked for, in the file's order
  void done() const;

  Error wrong(std::string_view key, const toml::node& node, std::string_view expected) const;

 private:
  const toml::table& table_;
  std::string file_;
  std::string title_;
  std::set<std::string, std::less<>> asked_;
};

}  // namespace shardrift
