#include "options/table_flags.hpp"

#include <fstream>

#include "common/error.hpp"
#include "options/pinning.hpp"
#include "options/run_options.hpp"
#include "parallel/plan/plan_fields.hpp"

namespace shardrift {
namespace po = boost::program_options;

std::optional<std::string> text_given(const GivenFlags& given, const std::string& flag) {
  if (given.count(flag) == 0) return std::nullopt;
  return given[flag].as<std::string>();
}

FlagGroups flag_groups() {
  FlagGroups groups;
  for (const auto title : all_names<FlagGroup>()) groups.emplace_back(std::string(title));
  return groups;
}

void describe_plan(FlagGroups& groups) {
  describe_fields(Plan(), groups, every_flag);
}

po::options_description describe_command(const po::options_description& own, FlagFilter of_plan,
                                         FlagFilter of_run) {
  auto groups = flag_groups();
  describe_fields(Plan(), groups, of_plan);
  describe_fields(RunOptions(), groups, of_run);
  groups[static_cast<std::size_t>(FlagGroup::files)].add_options()("help", "this text");
  po::options_description all;
  all.add(own);
  for (const auto& group : groups)
    if (!group.options().empty()) all.add(group);
  return all;
}

po::options_description describe_pinning() {
  return describe_own("Collectives, pinned (default: the library's choice; command line only)", Pinning());
}

Plan plan_from(GivenFlags given) {
  // "model" is the word for what follows from the dtype anyway.
  if (text_given(given, "logits-dtype") == "model") given.erase("logits-dtype");
  Plan plan;
  read_fields(given, plan, every_flag);
  if (given.count("logits-dtype") == 0) plan.logits_dtype = storage_of(plan.dtype);
  if (given.count("launch") == 0 && plan.device == Device::cuda) plan.launch = Launch::automatic;
  if (given.count("shards") == 0) plan.shards = plan.tensor_parallel;
  // gather sums nothing: its plan says Reduction(), whatever the number of shards.
  const bool native = plan.shards == plan.tensor_parallel || plan.row_linear == RowLinear::gather;
  if (given.count("reduction") == 0)
    plan.reduction.order = native ? ReductionOrder::native : ReductionOrder::linear;
  return plan;
}

GivenFlags parse_flags(const std::vector<std::string>& arguments, const po::options_description& accepted,
                       const po::options_description& file, std::string_view command) {
  GivenFlags given;
  try {
    po::store(po::command_line_parser(arguments)
                  .options(accepted)
                  .style(po::command_line_style::unix_style ^ po::command_line_style::allow_guessing)
                  .positional({})
                  .run(),
              given);
    if (given.count("help") != 0) return given;
    if (const auto path = text_given(given, "config")) {
      std::ifstream stream(*path);
      if (!stream) throw usage_error("--config {}: cannot be read", *path);
      po::store(po::parse_config_file(stream, file), given);
    }
  } catch (const po::error& error) {
    throw usage_error("{}; see shardrift-run {} --help", error.what(), command);
  }
  return given;
}

}  // namespace shardrift
