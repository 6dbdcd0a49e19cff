// Command lines made of tables of fields: what describes and reads the flags of shardrift-run's commands.
#pragma once
#include <boost/program_options.hpp>

#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "common/field_text.hpp"
#include "common/flag_field.hpp"
#include "parallel/plan/plan.hpp"

namespace shardrift {

using GivenFlags = boost::program_options::variables_map;
using FlagGroups = std::vector<boost::program_options::options_description>;

inline constexpr auto every_flag = [](std::string_view) { return true; };

// The flags of a table that are `kept`, by their keys, under the headings their rows say. Values are read as
// texts (field_text.hpp).
template <typename Value, typename Kept>
void describe_fields(const Value& value, FlagGroups& groups, const Kept& kept) {
  namespace po = boost::program_options;
  for_each_field(value, [&](const auto& row, const auto& field) {
    if (!kept(row.key)) return;
    auto* const semantic = std::is_same_v<decltype(field), const bool&>
                               ? static_cast<po::value_semantic*>(po::bool_switch())
                               : po::value<std::string>();
    groups[static_cast<std::size_t>(row.group)].add_options()(flag_of(row.key).c_str(), semantic,
                                                              std::string(row.help).c_str());
  });
}

// What the flag says; nullopt where it is not there.
std::optional<std::string> text_given(const GivenFlags& given, const std::string& flag);

template <typename Value, typename Kept>
void read_fields(const GivenFlags& given, Value& value, const Kept& kept) {
  for_each_field(value, [&](const auto& row, auto& field) {
    if (!kept(row.key)) return;
    const auto flag = flag_of(row.key);
    if constexpr (std::is_same_v<decltype(field), bool&>)
      field = given[flag].template as<bool>();
    else if (const auto text = text_given(given, flag))
      read_text("--" + flag, *text, field);
  });
}

// All flags of a table that has one heading (own_flag.hpp).
template <typename Value>
boost::program_options::options_description describe_own(const std::string& heading, const Value& value) {
  boost::program_options::options_description own(heading);
  for_each_field(value, [&](const auto& row, const auto&) {
    own.add_options()(flag_of(row.key).c_str(), boost::program_options::value<std::string>(),
                      std::string(row.help).c_str());
  });
  return own;
}

FlagGroups flag_groups();  // empty, one a heading
void describe_plan(FlagGroups& groups);
using FlagFilter = bool (*)(std::string_view key);
// Of a command that takes a plan, and not all that a run does: `own`, then what it takes of a plan's flags
// and of a run's, and --help.
boost::program_options::options_description describe_command(
    const boost::program_options::options_description& own, FlagFilter of_plan, FlagFilter of_run);
// With the defaults that follow from other flags.
Plan plan_from(GivenFlags given);
// Applied by main.cpp before MPI starts, so only on the command line; here they are checked and described.
boost::program_options::options_description describe_pinning();
// Throws usage_error that names `command`'s help. file: flags that --config's file may have as well.
GivenFlags parse_flags(const std::vector<std::string>& arguments,
                       const boost::program_options::options_description& accepted,
                       const boost::program_options::options_description& file, std::string_view command);

}  // namespace shardrift
