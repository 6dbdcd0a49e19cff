#include "tokenizer/regex.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "tokenizer/utf8.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kMaxPattern = 1 << 16;

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, Free> code;
  std::string shown;  // the pattern and where it was written, for messages
};

Regex::Regex(std::string_view pattern, const std::string& where)
    : Regex(translate_regex(pattern, where), pattern, where) {}

Regex Regex::literal(std::string_view text, const std::string& where) {
  std::string pattern;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool punctuation =
        byte < 0x80 && std::string_view("\\^$.[]|()?*+{}-#&~").find(c) != std::string_view::npos;
    pattern.append(punctuation ? "\\" : "").push_back(c);
  }
  return {pattern, text, where};
}

Regex::Regex(std::string_view compiled_pattern, std::string_view shown_pattern, const std::string& where) {
  auto code = std::make_shared<Code>();
  code->shown = fmt::format("{}: the regular expression {}", where, shown(std::string(shown_pattern)));
  if (compiled_pattern.size() > kMaxPattern) {
    throw bad_data("{} is longer than {} bytes", code->shown, kMaxPattern);
  }
  const std::unique_ptr<pcre2_compile_context, Free> context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code->code.reset(pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(compiled_pattern.data()), compiled_pattern.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset, context.get()));
  if (!code->code) {
    throw bad_data("{} cannot be compiled: {}", code->shown, message_of(error));
  }
  // Without JIT support in the library the interpreter does the same, more slowly.
  pcre2_jit_compile(code->code.get(), PCRE2_JIT_COMPLETE);
  code_ = std::move(code);
}

std::vector<Range> Regex::find_all(std::string_view text) const {
  const std::unique_ptr<pcre2_match_data, Free> data(pcre2_match_data_create(1, nullptr));
  std::vector<Range> matches;
  std::size_t from = 0;
  while (from <= text.size()) {
    const auto match = [&](std::uint32_t options) {
      return pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                         PCRE2_NO_UTF_CHECK | options, data.get(), nullptr);
    };
    int result = match(0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
      result = match(PCRE2_NO_JIT);  // the interpreter's stack is on the heap
    }
    if (result == PCRE2_ERROR_NOMATCH) {
      break;
    }
    if (result < 0) {
      throw bad_data("{} cannot be matched in a text of {} bytes: {}", code_->shown, text.size(),
                     message_of(result));
    }
    const auto* found = pcre2_get_ovector_pointer(data.get());
    const Range range{found[0], found[1]};
    // As Oniguruma's iterator does: an empty match right behind a match is none, the search goes on one
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
