// Text for a terminal: aligned columns, escaped strings.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace shardrift {

enum class Align { left, right };

class TextColumns {
 public:
  struct Column {
    std::string head;
    Align align;
  };
  explicit TextColumns(std::vector<Column> columns);
  void add(std::vector<std::string> cells);  // one a column
  // Head and rows, two blanks between columns, none at line ends.
  std::string str() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Characters of UTF-8 text: code points, so accents and arrows count once.
std::size_t characters(const std::string& text);

// Names of files and what files say, for a terminal: control characters, those that turn the direction of
// writing, line separators and invalid UTF-8 escaped ("\x1B", "\u{202E}").
enum class Newlines { escaped, kept };
std::string legible(const std::string& text, Newlines newlines = Newlines::escaped);

// Quoted, likewise escaped, at most `width` characters.
std::string quoted(const std::string& token, std::size_t width);

}  // namespace shardrift
