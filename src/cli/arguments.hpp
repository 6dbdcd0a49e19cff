// The words after a command's name, and how its --help is printed.
#pragma once
#include <boost/program_options.hpp>
#include <string>
#include <vector>

namespace shardrift::cli {

// Fills the variables that `options` name. Words that are no flag go to `files`, `most` of them (-1: any
// number; without `files` none is allowed). Throws usage_error that names the command and its --help.
boost::program_options::variables_map read_arguments(
    const std::string& command, const std::vector<std::string>& arguments,
    const boost::program_options::options_description& options, std::vector<std::string>* files = nullptr,
    int most = -1);

// True where --help is among the words; `head` and `options` are printed then.
bool showed_help(const boost::program_options::variables_map& values, const std::string& head,
                 const boost::program_options::options_description& options, const std::string& foot = "");

// As it was typed, but for the quotes: "shardrift report one.h5 --title 'two words'".
std::string command_line(const std::string& command, const std::vector<std::string>& arguments);

// "reference,tp2": its names.
std::vector<std::string> names_in(const std::string& list);

}  // namespace shardrift::cli
