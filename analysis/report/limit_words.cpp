#include "analysis/report/limit_words.hpp"

#include <fmt/core.h>

#include <cctype>

#include "analysis/verdict/thresholds.hpp"

namespace shardrift::report {
namespace {

// What may stand in a name: `tp2-kl_mean` is a candidate's and no key.
bool in_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '/';
}

const verdict::LimitKind* kind_called(std::string_view word) {
  if (word.find('_') == std::string_view::npos) return nullptr;
  for (const auto& kind : verdict::limit_kinds())
    if (kind.name == word) return &kind;
  return nullptr;
}

template <typename Say>
std::string replaced(std::string_view text, Say say) {
  std::string out;
  while (!text.empty()) {
    std::size_t length = 0;
    while (length < text.size() && in_name(text[length])) ++length;
    const auto* kind = kind_called(text.substr(0, length));
    // "kl_mean.h5" is a file; "kl_mean." ends a sentence.
    if (kind != nullptr && length + 1 < text.size() && text[length] == '.' && in_name(text[length + 1]))
      kind = nullptr;
    if (kind != nullptr)
      out += say(*kind);
    else
      out += text.substr(0, length);
    text.remove_prefix(length);
    while (!text.empty() && !in_name(text.front())) {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

}  // namespace

std::string in_words(std::string_view text) {
  return replaced(text, [](const verdict::LimitKind& kind) { return std::string(kind.words); });
}

std::string in_words_html(std::string_view html) {
  return replaced(html, [](const verdict::LimitKind& kind) {
    return fmt::format("<span class=\"key\" title=\"{}\">{}</span>", kind.name, kind.words);
  });
}

}  // namespace shardrift::report
