// shardrift compare REF CAND…
#include <boost/program_options.hpp>
#include <fstream>
#include <iostream>
#include <sstream>

#include "analysis/measure/measure_runs.hpp"
#include "analysis/measure/totals.hpp"
#include "analysis/text/compare_report.hpp"
#include "cli/commands.hpp"
#include "record/reader.hpp"

namespace shardrift::cli {
namespace {

namespace po = boost::program_options;

constexpr const char* kHelp = R"(usage: shardrift compare REF CAND... [options]

Compares each candidate run with the reference: bit for bit, in numbers, and
token by token. REF and CAND are files of shardrift-run (OUT.h5), or the
OUT.h5.parts of a run that has not finished.

  shardrift compare one.h5 tp2.h5                    one candidate
  shardrift compare one.h5 tp2.h5 tp4.h5 pp4.h5      several, with a summary
  shardrift compare one.h5 tp2.h5 --prompt p3 --steps 40
  shardrift compare one.h5 tp2.h5 --json tp2.json    the same for a script

exit code: 0 all bit-equal, 1 something differs, 2 no difference but a file
is partial, 64 usage, 65 a file that cannot be used, 70 failure
)";

struct Arguments {
  std::vector<std::string> files;
  std::string json;
  analysis::TableChoice table;
  bool help = false;
};

Arguments parse(const std::vector<std::string>& arguments, const po::options_description& options) {
  po::positional_options_description positional;
  positional.add("file", -1);
  po::options_description all;
  all.add(options).add_options()("file", po::value<std::vector<std::string>>());
  po::variables_map values;
  try {
    po::store(po::command_line_parser(arguments).options(all).positional(positional).run(), values);
    po::notify(values);
  } catch (const po::error& error) {
    throw usage_error("compare: {}: see shardrift compare --help", error.what());
  }
  Arguments out;
  out.help = values.count("help") != 0;
  if (values.count("file") != 0) out.files = values["file"].as<std::vector<std::string>>();
  if (values.count("json") != 0) out.json = values["json"].as<std::string>();
  if (values.count("prompt") != 0) out.table.prompt = values["prompt"].as<std::string>();
  if (values.count("steps") != 0) out.table.steps = values["steps"].as<std::int64_t>();
  if (out.table.steps < 1) throw usage_error("--steps {}: must be at least 1", out.table.steps);
  return out;
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) throw failure("--json {}: cannot be written", path);
}

}  // namespace

ExitCode compare(const std::vector<std::string>& arguments) {
  po::options_description options("options");
  options.add_options()("json", po::value<std::string>(), "FILE: write the same results as JSON")(
      "prompt", po::value<std::string>(), "ID: show this prompt's tokens (default: the first that differs)")(
      "steps", po::value<std::int64_t>(), "N: rows of the token table (default 12)")("help,h", "this text");
  const Arguments wanted = parse(arguments, options);
  if (wanted.help) {
    std::ostringstream text;
    text << kHelp << "\n" << options;
    print(text.str());
    return ExitCode::ok;
  }
  if (wanted.files.size() < 2)
    throw usage_error(
        "compare: needs a reference and at least one candidate: shardrift compare REF.h5 CAND.h5");

  const auto reference = record::Reader::open(wanted.files.front());
  print(analysis::head_text(reference));
  std::vector<analysis::Section> sections;
  ExitCode code = ExitCode::ok;
  for (std::size_t i = 1; i < wanted.files.size(); ++i) {
    const auto candidate = record::Reader::open(wanted.files[i]);
    analysis::Section section;
    section.measurement = analysis::measure_runs(reference, candidate);
    section.table = analysis::token_table(reference, candidate, section.measurement, wanted.table);
    if (i > 1) print("\n");
    print(analysis::section_text(section));
    const auto equality = analysis::equality_of(section.measurement);
    if (equality == analysis::Equality::differs) code = ExitCode::beyond_tolerance;
    if (equality == analysis::Equality::inconclusive && code == ExitCode::ok) code = ExitCode::inconclusive;
    sections.push_back(std::move(section));
  }
  if (sections.size() > 1) {
    print("\n");
    print(analysis::summary_text(sections));
  }
  if (!wanted.json.empty()) write_file(wanted.json, analysis::to_json(reference, sections));
  return code;
}

}  // namespace shardrift::cli
