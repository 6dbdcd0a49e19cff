// Oniguruma (Ruby syntax) to PCRE2, for the subset that pre-tokenizers use.
#include <optional>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "tokenizer/regex.hpp"

namespace shardrift {
namespace {

// Members of a character class. PCRE2's own \s counts U+180E as a space, Oniguruma and Unicode do not.
constexpr std::string_view kSpace = R"(\p{Z}\x{09}-\x{0D}\x{85})";
// The complement, spelled out because a class cannot hold a negated class.
constexpr std::string_view kNoSpace =
    R"(\p{L}\p{M}\p{N}\p{P}\p{S}\p{Cf}\p{Co}\p{Cn}\x{00}-\x{08}\x{0E}-\x{1F}\x{7F}-\x{84}\x{86}-\x{9F})";
// Letters, marks, decimal and letter numbers, connectors, the symbols that are alphabetic, and of all other
// numbers Latin-1's six (superscripts and fractions), which Oniguruma has from its tables of single bytes.
// PCRE2 before 10.43 leaves marks out.
constexpr std::string_view kWord =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})"
    R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";
constexpr int kMaxDepth = 8;  // of classes inside classes

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_alphanumeric(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : in_(pattern), where_(where) {}

  std::string run() {
    while (at_ < in_.size()) {
      if (in_[at_] == '\\') {
        escape();
      } else {
        outside();
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw bad_data("{}: the regular expression {} uses {}, which this version does not compute", where_,
                   shown(std::string(in_)), what);
  }
  char peek(std::size_t ahead) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }
  void copy(std::size_t count) {
    out_.append(in_.substr(at_, count));
    at_ += count;
  }

  void outside() {
    switch (in_[at_]) {
      case '[':
        out_.append(char_class().test);
        return;
      case '(':
        return group();
      case '{':
        return interval();
      default:
        return copy(1);
    }
  }

  // What one side of && takes: plain members, and tests that are no members of a PCRE2 class.
  struct Side {
    std::string members;
    std::vector<std::string> tests;

    std::string test() const {
      const std::string plain = members.empty() ? "" : "[" + members + "]";
      if (tests.empty()) return plain;
      std::string any = "(?:" + plain;
      for (const auto& one : tests) any.append(any.size() > 3 ? "|" : "").append(one);
      return any + ")";
    }
  };
  // `test` matches one character of the class. Members: of a class that is nothing but them.
  struct CharClass {
    std::optional<std::string> members;
    std::string test;
  };

  // A class whose bracket is next. Oniguruma's hold other classes and intersections; PCRE2's hold members
  // alone, so all else becomes a group that takes one character.
  CharClass char_class() {
    if (++depth_ > kMaxDepth) {
      refuse(fmt::format("classes nested deeper than {}", kMaxDepth));
    }
    const bool negated = peek(1) == '^';
    at_ += negated ? 2 : 1;
    if (peek(0) == ']') {
      refuse("an empty class");
    }
    std::string outside = std::exchange(out_, {});
    std::vector<std::string> outside_tests = std::exchange(tests_, {});
    std::vector<Side> sides;
    const auto end_side = [&] {
      sides.push_back({std::exchange(out_, {}), std::exchange(tests_, {})});
      if (sides.back().test().empty()) {
        refuse("an intersection (&&) with nothing");
      }
    };
    while (peek(0) != ']') {
      if (at_ >= in_.size()) {
        refuse("a class without its closing bracket");
      }
      if (in_.substr(at_, 2) == "&&") {
        end_side();
        at_ += 2;
      } else {
        class_item();
      }
    }
    ++at_;
    end_side();
    out_ = std::move(outside);
    tests_ = std::move(outside_tests);
    --depth_;

    if (sides.size() == 1 && sides[0].tests.empty()) {
      const auto& members = sides[0].members;
      if (negated) {
        return {{}, "[^" + members + "]"};
      }
      return {members, "[" + members + "]"};
    }
    std::string test;
    for (std::size_t i = 0; i + 1 < sides.size(); ++i) {
      test.append("(?=").append(sides[i].test()).append(")");
    }
    test.append(sides.back().test());
    return {{}, negated ? "(?:(?!" + test + ")(?s:.))" : "(?:" + test + ")"};
  }

  void class_item() {
    const char c = in_[at_];
    if (c == '\\') {
      return escape();
    }
    if (c == '[') {
      if (peek(1) == ':') {
        refuse("a POSIX class ([:)");
      }
      const auto inner = char_class();
      if (inner.members) {
        out_.append(*inner.members);
      } else {
        tests_.push_back(inner.test);
      }
      return after_set();
    }
    if (c == '-' && (peek(1) == '[' || peek(1) == '&')) {
      refuse("a range that ends with a class");
    }
    // Signs by themselves stay so wherever the members are put.
    if (c == '^' || (c == '-' && (out_.empty() || peek(1) == ']'))) {
      out_.push_back('\\');
    }
    copy(1);
  }

  void after_set() const {
    if (peek(0) == '-' && peek(1) != ']') {
      refuse("a range that begins with a set");
    }
  }

  void group() {
    if (peek(1) == '*') {
      refuse("(*");
    }
    if (peek(1) != '?') {
      return copy(1);
    }
    for (const std::string_view known : {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:"}) {
      if (in_.substr(at_, known.size()) == known) {
        if (known == "(?i:") {
          check_caseless();
        }
        return copy(known.size());
      }
    }
    refuse(in_.substr(at_, 3));  // options and names mean other things to the two libraries
  }

  // Without case, Oniguruma also takes one character for several (U+FB01 for "fi"), PCRE2 does not. The pairs
  // below are all that ASCII letters alone can spell in that way.
  void check_caseless() const {
    const auto end = in_.find(')', at_);
    std::string text(in_.substr(at_ + 4, end == std::string_view::npos ? end : end - at_ - 4));
    bool in_class = false;
    for (char& c : text) {
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      if (!letter && std::string_view("'|[] ?+*").find(c) == std::string_view::npos) {
        refuse("(?i: around more than ASCII letters");
      }
      in_class = c == '[' || (in_class && c != ']');
      c = in_class ? '[' : static_cast<char>(letter ? c | 0x20 : c);
    }
    for (const auto* pair : {"ff", "fi", "fl", "ss", "st"}) {
      if (text.find(pair) != std::string::npos) {
        refuse(fmt::format("{} inside (?i:", pair));
      }
    }
  }

  void interval() {
    std::size_t ahead = 1;
    while (is_digit(peek(ahead)) || peek(ahead) == ',') {
      ++ahead;
    }
    const bool closed = peek(ahead) == '}' && ahead > 1;
    const auto text = in_.substr(at_, ahead + 1);
    if (closed && text[1] == ',') {
      refuse("an interval without a lower bound");
    }
    const bool range = text.find(',') != std::string_view::npos;
    if (closed && (peek(ahead + 1) == '+' || (peek(ahead + 1) == '?' && !range))) {
      refuse("a possessive or lazy sign after an interval");  // Ruby: a second quantifier
    }
    copy(closed ? ahead + 1 : 1);
  }

  // A set of characters: as it stands inside a class, in brackets outside.
  void set(std::string_view members, std::string_view complement, bool negated) {
    at_ += 2;
    const auto alone = std::string(negated ? "[^" : "[").append(members).append("]");
    if (depth_ == 0) {
      out_.append(alone);
      return;
    }
    if (negated && complement.empty()) {
      tests_.push_back(alone);
    } else {
      out_.append(negated ? complement : members);
    }
    after_set();
  }

  void property() {
    const auto end = in_.find('}', at_);
    if (peek(2) != '{' || end == std::string_view::npos) {
      refuse("\\p without braces");
    }
    auto name = in_.substr(at_ + 3, end - at_ - 3);
    out_.append(in_.substr(at_, 3));
    if (!name.empty() && name.front() == '^') {
      out_.push_back('^');
      name.remove_prefix(1);
    }
    for (const char c : name) {
      if (!is_alphanumeric(c) && c != '_') {
        refuse(in_.substr(at_, end + 1 - at_));
      }
    }
    // By itself a script's name means Script_Extensions to PCRE2 and Script to Oniguruma.
    out_.append(name.size() > 2 && name != "Any" ? "sc:" : "").append(name).append("}");
    at_ = end + 1;
  }

  void escape() {
    const char c = peek(1);
    switch (c) {
      case 's':
      case 'S':
        return set(kSpace, kNoSpace, c == 'S');
      case 'w':
      case 'W':
        return set(kWord, {}, c == 'W');
      case 'p':
      case 'P':
        return property();
      case 'A':  // both are errors inside a class
      case 'z':
      case 'd':
      case 'D':
      case 'n':
      case 'r':
      case 't':
      case 'f':
        return copy(2);
      case 'x':
        if (peek(2) == '{') {
          return copy(3);
        }
        if (peek(2) >= '0' && peek(2) <= '7' && is_hex(peek(3))) {
          return copy(4);  // from 80 on Oniguruma reads a raw byte of UTF-8
        }
        refuse("\\x");
      case 'u':
        for (std::size_t i = 2; i < 6; ++i) {
          if (!is_hex(peek(i))) {
            refuse("\\u");
          }
        }
        out_.append("\\x{").append(in_.substr(at_ + 2, 4)).append("}");
        at_ += 6;
        return;
      case '\0':
        refuse("a lone \\ at its end");
      default:
        if (is_alphanumeric(c)) {
          refuse(in_.substr(at_, 2));
        }
        copy(2);  // punctuation; the rest of a longer character follows as it is
    }
  }

  std::string_view in_;
  const std::string& where_;
  std::string out_;
  std::size_t at_ = 0;
  int depth_ = 0;                   // of the class that at_ is in; 0: none
  std::vector<std::string> tests_;  // of the side of the class that at_ is in
};

}  // namespace

std::string translate_regex(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).run();
}

}  // namespace shardrift
