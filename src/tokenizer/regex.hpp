// The regular expressions of tokenizer.json, matched by the library they are written for, as `tokenizers`
// does.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shardrift {

using Range = std::pair<std::size_t, std::size_t>;  // begin and end, in bytes

class Regex {
 public:
  // Throws bad_data starting with `where`: no regular expression of Oniguruma's syntax.
  Regex(std::string_view pattern, const std::string& where);
  static Regex literal(std::string_view text, const std::string& where);  // matches `text` itself
  // All matches from left to right. `text` must be UTF-8. May be called from several threads.
  // Throws bad_data where the pattern backtracks beyond the limits of regex.cpp.
  std::vector<Range> find_all(std::string_view text) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code);
  std::shared_ptr<const Code> code_;
};

}  // namespace shardrift
