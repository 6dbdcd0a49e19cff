// shardrift report REF CAND… --output FILE.html
#include <boost/program_options.hpp>

#include "analysis/report/assemble.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/output_file.hpp"

namespace shardrift::cli {
namespace {

namespace po = boost::program_options;

constexpr const char* kHelp = R"(usage: shardrift report REF CAND... --output FILE.html [options]

Writes one HTML page that opens offline in any browser: the verdict first, then
the configurations in one table, and plots: how long answers stay the same, how
far logits are apart and where, why tokens flip, in which order the collective
adds, the tokens side by side, and what differs between the machines.
REF and CAND are files of shardrift-run (OUT.h5), or the OUT.h5.parts of a run
that has not finished. Metrics that compare or gate kept beside them are used.

  shardrift report one.h5 tp2.h5 tp4.h5 pp2.h5 --output report.html
  shardrift report one.h5 tp4.h5 --noise-floor again.h5 --yardstick int8.h5 \
      --truth float64.h5 --title "Can we go to four GPUs?" --output report.html

Limits are those of shardrift gate. docs/report.md tells how to read the page.
exit code: 0 written, 64 usage, 65 a file that cannot be used, 70 failure
)";

struct Options {
  std::vector<std::string> files;
  std::vector<std::string> noise_floors;
  std::vector<std::string> yardsticks;
  std::string truth;
  std::vector<std::string> ladders;
  std::string thresholds;
  std::string preset;
  std::string title;
  std::string output;
};

po::options_description described(Options& options) {
  po::options_description known("options");
  known.add_options()("output,o", po::value(&options.output), "FILE.html to write, replaced if it is there")(
      "title", po::value(&options.title), "TEXT: the heading")(
      "noise-floor", po::value(&options.noise_floors),
      "FILE: the reference's configuration run once more; may be repeated")(
      "truth", po::value(&options.truth), "FILE: the same prompts in float64 or float32")(
      "yardstick", po::value(&options.yardsticks),
      "FILE: the same prompts quantized or in another dtype; may be repeated")(
      "ladder", po::value(&options.ladders),
      "FILE: what shardrift explain --run … --json wrote of a candidate; may be repeated")(
      "preset", po::value(&options.preset), "NAME: bitwise, strict or serving (default serving)")(
      "thresholds", po::value(&options.thresholds), "FILE: limits of your own, TOML")("help,h", "this text");
  return known;
}

std::vector<report::File> unnamed(const std::vector<std::string>& paths) {
  std::vector<report::File> files;
  files.reserve(paths.size());
  for (const auto& path : paths) files.push_back({path, ""});
  return files;
}

report::Request request_of(const Options& options) {
  report::Request request;
  request.files.reference = {options.files.front(), ""};
  request.files.candidates = unnamed({options.files.begin() + 1, options.files.end()});
  request.files.noise_floor = unnamed(options.noise_floors);
  request.files.yardsticks = unnamed(options.yardsticks);
  request.files.truth = options.truth;
  request.files.ladders = options.ladders;
  if (!options.thresholds.empty()) request.thresholds = verdict::read_thresholds(options.thresholds);
  if (!options.preset.empty()) request.thresholds = verdict::preset(options.preset);
  request.title = options.title;
  request.say = note;
  return request;
}

}  // namespace

ExitCode report(const std::vector<std::string>& arguments) {
  Options options;
  const po::options_description known = described(options);
  if (showed_help(read_arguments("report", arguments, known, &options.files), kHelp, known))
    return ExitCode::ok;
  if (options.files.size() < 2)
    throw usage_error(
        "report: needs a reference and at least one candidate: shardrift report REF.h5 CAND.h5 --output "
        "FILE.html");
  if (options.output.empty()) throw usage_error("report: --output FILE.html is missing");
  if (!options.preset.empty() && !options.thresholds.empty())
    throw usage_error(
        "report: --preset and --thresholds: keep one; a thresholds file can name a preset itself");
  for (const auto* inputs : {&options.files, &options.noise_floors, &options.yardsticks, &options.ladders})
    refuse_input("--output", options.output, *inputs);
  refuse_input("--output", options.output, {options.truth, options.thresholds});
  report::Request request = request_of(options);
  request.command = command_line("report", arguments);
  const report::Report page = report::assemble(request);
  const std::size_t bytes = report::write_page(page, options.output);
  print(fmt::format("{}: {} runs against {}, {:.0f} KiB\n", options.output, page.runs.size(),
                    page.runs.front().measurement.reference.name, static_cast<double>(bytes) / 1024));
  return ExitCode::ok;
}

}  // namespace shardrift::cli
