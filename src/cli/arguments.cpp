#include "cli/arguments.hpp"

#include <algorithm>
#include <boost/program_options.hpp>
#include <filesystem>
#include <sstream>
#include <utility>

#include "cli/commands.hpp"
#include "common/text.hpp"
#include "options/flag_value.hpp"

namespace shardrift::cli {
namespace {

namespace po = boost::program_options;

// The word after an option is its value, whatever it is: "--json --csv c.csv" would write a file "--csv". An
// empty one, as of "$UNSET", would be no option at all: --verify "" would check nothing.
void require_values(const po::parsed_options& parsed) {
  for (const auto& option : parsed.options) {
    if (option.position_key < 0 && !option.value.empty() && option.value.front().empty())
      throw po::error(fmt::format(
          "the argument of option '{}' is empty",
          option.original_tokens.empty() ? "--" + option.string_key : option.original_tokens.front()));
    if (option.original_tokens.size() == 2 && option.original_tokens[1].starts_with("--"))
      throw po::error(fmt::format("the required argument for option '{}' is missing: next comes {}",
                                  option.original_tokens[0], option.original_tokens[1]));
  }
}

}  // namespace

struct Arguments::Declared {
  std::string command;
  std::string usage;
  std::string foot;
  std::vector<std::pair<std::string, po::options_description>> groups;
  std::vector<std::string>* files = nullptr;
  int most_files = 0;
  po::variables_map values;

  po::options_description& group() { return groups.back().second; }
};

Arguments::Arguments(std::string command, std::string usage) : declared_(std::make_unique<Declared>()) {
  declared_->command = std::move(command);
  declared_->usage = std::move(usage);
  group("options");
}

Arguments::~Arguments() = default;

Arguments& Arguments::files(std::vector<std::string>& files, int most) {
  declared_->files = &files;
  declared_->most_files = most;
  return *this;
}

Arguments& Arguments::flag(const char* name, bool& value, const char* meaning) {
  declared_->group().add_options()(name, po::bool_switch(&value), meaning);
  return *this;
}

template <typename Value>
Arguments& Arguments::option(const char* name, Value& value, const char* placeholder, const char* meaning) {
  declared_->group().add_options()(name, taken_into(value)->value_name(placeholder), meaning);
  return *this;
}

template Arguments& Arguments::option(const char*, std::string&, const char*, const char*);
template Arguments& Arguments::option(const char*, std::filesystem::path&, const char*, const char*);
template Arguments& Arguments::option(const char*, int&, const char*, const char*);
template Arguments& Arguments::option(const char*, std::int64_t&, const char*, const char*);
template Arguments& Arguments::option(const char*, std::optional<std::string>&, const char*, const char*);
template Arguments& Arguments::option(const char*, std::optional<int>&, const char*, const char*);
template Arguments& Arguments::option(const char*, std::optional<double>&, const char*, const char*);
template Arguments& Arguments::option(const char*, std::vector<std::string>&, const char*, const char*);

Arguments& Arguments::group(std::string heading) {
  declared_->groups.emplace_back(heading, po::options_description(heading));
  return *this;
}

Arguments& Arguments::foot(std::string text) {
  declared_->foot = std::move(text);
  return *this;
}

bool Arguments::read(const std::vector<std::string>& words) {
  Declared& known = *declared_;
  known.groups.front().second.add_options()("help,h", "this text");
  po::options_description shown;
  for (const auto& [heading, options] : known.groups) shown.add(options);
  std::vector<std::string> files;
  po::options_description all;
  all.add(shown).add_options()("file", po::value(&files));
  po::positional_options_description positional;
  positional.add("file", -1);
  try {
    const auto parsed = po::command_line_parser(words).options(all).positional(positional).run();
    require_values(parsed);
    po::store(parsed, known.values);
    po::notify(known.values);
  } catch (const po::error& error) {
    throw usage_error("{}: {}: see shardrift {} --help", known.command, error.what(), known.command);
  }
  if (known.values.count("help") == 0) {
    const auto most = known.files == nullptr ? 0 : known.most_files;
    if (most >= 0 && files.size() > static_cast<std::size_t>(most))
      throw usage_error("{}: '{}' is not understood: see shardrift {} --help", known.command,
                        files[static_cast<std::size_t>(most)], known.command);
    if (known.files != nullptr) *known.files = std::move(files);
    return true;
  }
  std::ostringstream text;
  text << known.usage << shown << known.foot;
  print(text.str());
  return false;
}

std::optional<std::string> Arguments::given_of(const std::string& heading) const {
  const auto& groups = declared_->groups;
  const auto group =
      std::find_if(groups.begin(), groups.end(), [&](const auto& one) { return one.first == heading; });
  if (group == groups.end()) return std::nullopt;
  for (const auto& option : group->second.options()) {
    const auto& name = option->long_name();
    if (declared_->values.count(name) != 0 && !declared_->values[name].defaulted()) return name;
  }
  return std::nullopt;
}

std::string command_line(const std::string& command, const std::vector<std::string>& arguments) {
  std::string text = "shardrift " + command;
  for (const auto& argument : arguments)
    text += argument.find(' ') == std::string::npos ? " " + argument : " '" + argument + "'";
  return text;
}

}  // namespace shardrift::cli
