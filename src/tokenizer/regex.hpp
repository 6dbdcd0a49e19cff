// The regular expressions of tokenizer.json (Oniguruma's, as `tokenizers` uses it), matched by PCRE2.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shardrift {

using Range = std::pair<std::size_t, std::size_t>;  // begin and end, in bytes

// PCRE2's spelling of an Oniguruma pattern: what both write alike but mean differently is rewritten (\s, \w,
// scripts) or refused by name (bad_data, starting with `where`). `^` and `$` need PCRE2_MULTILINE to mean the
// same. Not covered: characters assigned after the Unicode version of the PCRE2 library are no letters to it
// yet.
std::string translate_regex(std::string_view pattern, const std::string& where);

class Regex {
 public:
  // Throws bad_data starting with `where`: refused by translate_regex, or no regular expression.
  Regex(std::string_view pattern, const std::string& where);
  static Regex literal(std::string_view text, const std::string& where);  // matches `text` itself
  // All matches from left to right. `text` must be UTF-8. May be called from several threads.
  // Throws bad_data where the pattern backtracks beyond PCRE2's limits.
  std::vector<Range> find_all(std::string_view text) const;

 private:
  struct Code;
  Regex(std::string_view compiled_pattern, std::string_view shown_pattern, const std::string& where);
  std::shared_ptr<const Code> code_;
};

}  // namespace shardrift
