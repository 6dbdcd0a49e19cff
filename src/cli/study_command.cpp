// shardrift study FILE
#include <algorithm>
#include <boost/program_options.hpp>
#include <sstream>

#include "cli/commands.hpp"
#include "cli/study_overrides.hpp"
#include "cli/study_run.hpp"

namespace shardrift::cli {
namespace {

namespace po = boost::program_options;

constexpr const char* kHelp = R"(usage: shardrift study FILE.toml [options]

From one file to a finished comparison: checks every run that the study asks for,
prints the plan with its cost, runs what is missing, compares, and reports.
Interrupted or killed, the same command goes on where it stopped; finished runs
are never repeated. One run that fails does not stop the others.

  shardrift study experiments/studies/scale-out.toml --dry-run
  shardrift study experiments/studies/scale-out.toml --jobs 4
  shardrift study mine.toml --model DIR --prompts FILE --set max-new-tokens=256
  shardrift study mine.toml --only reference,tp2

Plans with more ranks than this machine has devices are computed as shards on
fewer devices where the result has the same bits, and marked "predicted".
The file's keys: docs/studies.md

exit code: 0 all runs are done, 70 some failed, 75 interrupted (run it again),
64 usage, 65 a study that cannot be; with --no-run: 2 some runs have no record
)";

struct Arguments {
  StudyFlags flags;
  std::string file;
  study::Overrides overrides;
  bool help = false;
};

Arguments parse(const std::vector<std::string>& arguments, std::string& help) {
  Arguments out;
  OverrideFlags overrides;
  auto options = study_options(out.flags);
  add_override_options(options, overrides);
  po::options_description all;
  all.add(options).add_options()("file", po::value(&out.file));
  po::positional_options_description positional;
  positional.add("file", 1);
  try {
    po::variables_map values;
    po::store(po::command_line_parser(arguments).options(all).positional(positional).run(), values);
    po::notify(values);
    out.help = values.count("help") != 0;
  } catch (const po::error& error) {
    throw usage_error("study: {}: see shardrift study --help", error.what());
  }
  std::ostringstream text;
  text << kHelp << "\n" << options;
  help = text.str();
  out.overrides = overrides_of(overrides);
  return out;
}

// [run]'s own device, where the command line leaves the choice.
std::string device_of(const study::Study& study) {
  std::string device;
  for (const auto& entry : study.entries) {
    const auto found = entry.settings.find("device");
    const std::string one = found == entry.settings.end() ? "auto" : found->second.text;
    if (device.empty()) device = one;
    if (device != one) return "auto";
  }
  return device == "cpu" || device == "cuda" ? device : "auto";
}

}  // namespace

ExitCode study(const std::vector<std::string>& arguments) {
  std::string help;
  Arguments wanted = parse(arguments, help);
  if (wanted.help) {
    print(help);
    return ExitCode::ok;
  }
  if (wanted.file.empty()) throw usage_error("study: needs a file: shardrift study FILE.toml");
  const auto loaded = study::load_study(wanted.file, wanted.overrides);
  if (wanted.flags.device == "auto") wanted.flags.device = device_of(loaded);
  return run_study([&](const study::Machine&) -> study::Study { return loaded; }, wanted.flags);
}

}  // namespace shardrift::cli
