// shardrift inspect FILE
#include <filesystem>

#include "analysis/inspect/inspect_presenters.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/output_file.hpp"

namespace shardrift::cli {
namespace {

constexpr const char* kHelp = R"(usage: shardrift inspect FILE [options]

Prints what a file of shardrift-run holds: the run, its plan, the devices and
libraries it ran on, its prompts, and which comparisons of it are kept. FILE is
OUT.h5, the OUT.h5.parts of a run that has not finished, or a metrics file that
compare keeps.

  shardrift inspect tp2.h5
  shardrift inspect tp2.h5 --json tp2.json      the same for a script
  shardrift inspect tp2.h5 --csv prompts.csv    one line a prompt
  shardrift inspect tp2.vs.one.metrics
)";

}  // namespace

ExitCode inspect(const std::vector<std::string>& arguments) {
  std::string json_path;
  std::string csv_path;
  std::vector<std::string> files;
  Arguments known("inspect", kHelp);
  known.files(files)
      .option("json", json_path, "FILE", "write the same as JSON")
      .option("csv", csv_path, "FILE", "write the table of prompts");
  if (!known.read(arguments)) return ExitCode::ok;
  if (files.size() != 1) throw usage_error("inspect: needs one file: shardrift inspect FILE.h5");
  const std::filesystem::path path = files.front();
  const bool is_metrics = path.extension() == ".metrics";
  if (is_metrics && !csv_path.empty())
    throw usage_error("inspect: --csv is the table of a record's prompts; {} holds a comparison",
                      path.string());
  OutputFile json("--json", json_path, files);
  OutputFile csv("--csv", csv_path, files);
  if (is_metrics) {
    const auto kept = analysis::read_metrics(path);
    print(analysis::inspect_text(path, kept));
    if (json.wanted()) json.stream() << analysis::inspect_json(path, kept);
  } else {
    const auto reader = record::Reader::open(path);
    print(analysis::inspect_text(reader));
    if (json.wanted()) json.stream() << analysis::inspect_json(reader);
    if (csv.wanted()) analysis::write_inspect_csv(csv.stream(), reader);
  }
  json.close();
  csv.close();
  return ExitCode::ok;
}

}  // namespace shardrift::cli
