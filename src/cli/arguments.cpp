#include "cli/arguments.hpp"

#include <sstream>

#include "cli/commands.hpp"

namespace shardrift::cli {

namespace po = boost::program_options;

po::variables_map read_arguments(const std::string& command, const std::vector<std::string>& arguments,
                                 const po::options_description& options, std::vector<std::string>* files,
                                 int most) {
  po::options_description all;
  all.add(options);
  po::positional_options_description positional;
  if (files != nullptr) {
    all.add_options()("file", po::value(files));
    positional.add("file", most);
  }
  po::variables_map values;
  try {
    po::store(po::command_line_parser(arguments).options(all).positional(positional).run(), values);
    po::notify(values);
  } catch (const po::error& error) {
    throw usage_error("{}: {}: see shardrift {} --help", command, error.what(), command);
  }
  return values;
}

bool showed_help(const po::variables_map& values, const std::string& head,
                 const po::options_description& options, const std::string& foot) {
  if (values.count("help") == 0) return false;
  std::ostringstream text;
  text << head << "\n" << options << foot;
  print(text.str());
  return true;
}

std::string command_line(const std::string& command, const std::vector<std::string>& arguments) {
  std::string text = "shardrift " + command;
  for (const auto& argument : arguments)
    text += argument.find(' ') == std::string::npos ? " " + argument : " '" + argument + "'";
  return text;
}

std::vector<std::string> names_in(const std::string& list) {
  std::vector<std::string> names;
  std::istringstream stream(list);
  for (std::string name; std::getline(stream, name, ',');)
    if (!name.empty()) names.push_back(name);
  return names;
}

}  // namespace shardrift::cli
