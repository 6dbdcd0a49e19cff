#include "common/text_columns.hpp"

#include <algorithm>

#include "common/error.hpp"

namespace shardrift {
namespace {

// Bytes of the UTF-8 sequence that starts at i; 0 where there is none (stray or overlong bytes, surrogates).
std::size_t sequence_length(const std::string& text, std::size_t i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned char first = byte(i);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 && first <= 0xF4  ? 4
                             : first >= 0xE0 && first < 0xF0 ? 3
                             : first >= 0xC2 && first < 0xE0 ? 2
                                                             : 0;
  if (length == 0 || i + length > text.size()) return 0;
  for (std::size_t k = 1; k < length; ++k)
    if ((byte(i + k) & 0xC0U) != 0x80U) return 0;
  const unsigned char second = byte(i + 1);
  const bool wrong = (first == 0xE0 && second < 0xA0) || (first == 0xED && second >= 0xA0) ||
                     (first == 0xF0 && second < 0x90) || (first == 0xF4 && second >= 0x90);
  return wrong ? 0 : length;
}

std::string escaped(const std::string& text, std::size_t i, std::size_t length) {
  const auto byte = static_cast<unsigned char>(text[i]);
  if (length == 0) return fmt::format("\\x{:02X}", byte);
  // U+0080 to U+009F: control characters that terminals obey
  if (length == 2 && byte == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0)
    return fmt::format("\\u{:04X}", static_cast<unsigned char>(text[i + 1]));
  if (length == 2 && text.compare(i, 2, "\xD8\x9C") == 0) return "\\u{061C}";  // Arabic letter mark
  if (length == 3 && byte == 0xE2) {
    // Marks, embeddings, overrides and isolates of direction; line and paragraph separators.
    const unsigned code = 0x2000U | (static_cast<unsigned char>(text[i + 1]) & 0x3FU) << 6U |
                          (static_cast<unsigned char>(text[i + 2]) & 0x3FU);
    if (code == 0x200E || code == 0x200F || (code >= 0x2028 && code <= 0x202E) ||
        (code >= 0x2066 && code <= 0x2069))
      return fmt::format("\\u{{{:04X}}}", code);
  }
  if (length > 1) return text.substr(i, length);
  if (byte == '\n') return "\\n";
  if (byte == '\t') return "\\t";
  if (byte == '\r') return "\\r";
  if (byte < 0x20 || byte == 0x7F) return fmt::format("\\x{:02X}", byte);
  return text.substr(i, 1);
}

}  // namespace

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string legible(const std::string& text, Newlines newlines) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(text, i);
    out += text[i] == '\n' && newlines == Newlines::kept ? "\n" : escaped(text, i, length);
    i += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string quoted(const std::string& token, std::size_t width) {
  std::string out;
  for (std::size_t i = 0; i < token.size();) {
    const std::size_t length = sequence_length(token, i);
    if (token[i] == '"' || token[i] == '\\') out += '\\';
    out += escaped(token, i, length);
    i += std::max<std::size_t>(length, 1);
    if (characters(out) > width && i < token.size()) return "\"" + out + "…\"";
  }
  return "\"" + out + "\"";
}

TextColumns::TextColumns(std::vector<Column> columns) : columns_(std::move(columns)) {
  std::vector<std::string> head;
  for (const auto& column : columns_) head.push_back(column.head);
  rows_.push_back(std::move(head));
}

void TextColumns::add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string TextColumns::str() const {
  std::vector<std::size_t> widths(columns_.size());
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], characters(row[i]));
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string pad(widths[i] - characters(row[i]), ' ');
      line += (i == 0 ? "" : "  ") + (columns_[i].align == Align::right ? pad + row[i] : row[i] + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace shardrift
