#include "tokenizer/regex.hpp"

#include <oniguruma.h>

#include <algorithm>
#include <mutex>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/utf8.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kMaxPattern = 1 << 16;
constexpr unsigned kMaxDepth = 256;  // of groups in groups; the compiler calls itself for each
// What a match may cost. Oniguruma gives up after kRetriesInMatch by itself, as `tokenizers` has it; it does
// not count over one search, where a pattern that fails at every place would otherwise run for hours.
constexpr unsigned long kRetriesInMatch = 10'000'000;
constexpr unsigned long kRetriesInSearch = 100'000'000;
constexpr unsigned kStackEntries = 1 << 24;

struct Free {
  void operator()(OnigRegex regex) const { onig_free(regex); }
  void operator()(OnigRegion* region) const { onig_region_free(region, 1); }
  void operator()(OnigMatchParam* param) const { onig_free_match_param(param); }
};

const OnigUChar* begin_of(std::string_view text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

std::string message_of(int code, OnigErrorInfo* info = nullptr) {
  OnigUChar buffer[ONIG_MAX_ERROR_MESSAGE_LEN];
  const int length =
      info != nullptr ? onig_error_code_to_str(buffer, code, info) : onig_error_code_to_str(buffer, code);
  return {reinterpret_cast<const char*>(buffer), static_cast<std::size_t>(std::max(0, length))};
}

OnigRegex compiled(std::string_view pattern, OnigSyntaxType* syntax, const std::string& shown_pattern) {
  static std::mutex mutex;  // onig_new fills tables that all patterns share
  const std::lock_guard lock(mutex);
  static const int initialized = [] {
    OnigEncoding utf8 = ONIG_ENCODING_UTF8;
    onig_set_parse_depth_limit(kMaxDepth);
    return onig_initialize(&utf8, 1);
  }();
  if (initialized != ONIG_NORMAL) {
    throw failure("Oniguruma cannot be used: {}", message_of(initialized));
  }
  OnigRegex regex = nullptr;
  OnigErrorInfo info{};
  const auto* begin = begin_of(pattern);
  const int code =
      onig_new(&regex, begin, begin + pattern.size(), ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, syntax, &info);
  if (code != ONIG_NORMAL) {
    throw bad_data("{} cannot be compiled: {}", shown_pattern, message_of(code, &info));
  }
  return regex;
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<OnigRegexType, Free> regex;
  std::string shown;  // the pattern and where it was written, for messages

  Code(std::string_view pattern, OnigSyntaxType* syntax, const std::string& where)
      : shown(fmt::format("{}: the regular expression {}", where, shardrift::shown(std::string(pattern)))) {
    if (pattern.size() > kMaxPattern) {
      throw bad_data("{} is longer than {} bytes", shown, kMaxPattern);
    }
    regex.reset(compiled(pattern, syntax, shown));
  }
};

Regex::Regex(std::string_view pattern, const std::string& where)
    : code_(std::make_shared<Code>(pattern, ONIG_SYNTAX_DEFAULT, where)) {}

Regex::Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}

Regex Regex::literal(std::string_view text, const std::string& where) {
  return Regex(std::make_shared<Code>(text, ONIG_SYNTAX_ASIS, where));
}

std::vector<Range> Regex::find_all(std::string_view text) const {
  const std::unique_ptr<OnigRegion, Free> region(onig_region_new());
  const std::unique_ptr<OnigMatchParam, Free> limits(onig_new_match_param());
  if (!region || !limits) throw failure("no memory for a regular expression's match");
  onig_initialize_match_param(limits.get());
  onig_set_retry_limit_in_match_of_match_param(limits.get(), kRetriesInMatch);
  onig_set_retry_limit_in_search_of_match_param(limits.get(), kRetriesInSearch);
  onig_set_match_stack_limit_size_of_match_param(limits.get(), kStackEntries);
  const auto* begin = begin_of(text);
  const auto* end = begin + text.size();
  std::vector<Range> matches;
  std::size_t from = 0;
  while (from <= text.size()) {
    const int found = onig_search_with_param(code_->regex.get(), begin, end, begin + from, end, region.get(),
                                             ONIG_OPTION_NONE, limits.get());
    if (found == ONIG_MISMATCH) {
      break;
    }
    if (found < 0) {
      throw bad_data("{} cannot be matched in a text of {} bytes: {}", code_->shown, text.size(),
                     message_of(found));
    }
    const Range range{static_cast<std::size_t>(region->beg[0]), static_cast<std::size_t>(region->end[0])};
    // As `tokenizers`' iterator does: an empty match right behind a match is none, the search goes on one
    // character on.
    if (range.first == range.second && !matches.empty() && matches.back().second == range.second) {
      from += std::max<std::size_t>(1, utf8_length(text, from));
      continue;
    }
    matches.push_back(range);
    from = range.second;
  }
  return matches;
}

}  // namespace shardrift
