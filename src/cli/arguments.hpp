// The words after a command's name: what a command takes is declared once, and read, checked and shown by
// --help from that. The one place of the light program that knows which library parses.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace shardrift::cli {

class Arguments {
 public:
  // usage: what --help says above the options.
  Arguments(std::string command, std::string usage);
  ~Arguments();
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  // Words that are no option, `most` of them (-1: any number). Without this none is allowed.
  Arguments& files(std::vector<std::string>& files, int most = -1);
  // --name: true where it is there.
  Arguments& flag(const char* name, bool& value, const char* meaning);
  // --name VALUE or --name=VALUE ("name,n": -n as well). value: text, a path (blanks and all), a number, an
  // optional of these, or a vector of texts, which may be given several times. Left as it is where the option
  // is not there.
  template <typename Value>
  Arguments& option(const char* name, Value& value, const char* placeholder, const char* meaning);
  // What is declared from here on stands under this heading in --help (at first: "options").
  Arguments& group(std::string heading);
  // Below the options in --help.
  Arguments& foot(std::string text);

  // Fills the declared values. False: --help was among the words, and was shown. Throws usage_error naming
  // the command, the word and --help.
  bool read(const std::vector<std::string>& words);
  // After read(): an option or flag of this group that is there, by its long name.
  std::optional<std::string> given_of(const std::string& heading) const;

 private:
  struct Declared;
  std::unique_ptr<Declared> declared_;
};

// As it was typed, but for the quotes: "shardrift report one.h5 --title 'two words'".
std::string command_line(const std::string& command, const std::vector<std::string>& arguments);

}  // namespace shardrift::cli
