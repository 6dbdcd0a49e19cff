// shardrift report REF CAND… --output FILE.html
#include <fmt/chrono.h>
#include <boost/program_options.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "analysis/report/assemble.hpp"
#include "cli/commands.hpp"

namespace shardrift::cli {
namespace {

namespace po = boost::program_options;

constexpr const char* kHelp = R"(usage: shardrift report REF CAND... --output FILE.html [options]

Writes one HTML page that opens offline in any browser: the answer first, then
the configurations in one table, and plots: how long answers stay the same, how
far logits are apart and where, why tokens flip, in which order the collective
adds, the tokens side by side, and what differs between the machines.
REF and CAND are files of shardrift-run (OUT.h5), or the OUT.h5.parts of a run
that has not finished.

  shardrift report one.h5 tp2.h5 tp4.h5 pp2.h5 --output report.html
  shardrift report one.h5 tp4.h5 --noise-floor again.h5 --yardstick int8.h5 \
      --truth float64.h5 --title "Can we go to four GPUs?" --output report.html

docs/report.md tells how to read it.
exit code: 0 written, 64 usage, 65 a file that cannot be used, 70 failure
)";

po::options_description options_of(report::Files& files, std::string& output, std::string& title) {
  po::options_description options("options");
  options.add_options()("output,o", po::value(&output), "FILE.html to write (replaced if it is there)")(
      "title", po::value(&title), "heading (default: made from the model)")(
      "noise-floor", po::value(&files.noise_floor), "FILE: the reference's plan once more; may be repeated")(
      "yardstick", po::value(&files.yardsticks),
      "FILE: another dtype or quantization, to compare with; may be repeated")(
      "truth", po::value(&files.truth), "FILE: the same prompts in higher precision")("help,h", "this text");
  return options;
}

std::string now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

// As it was typed, but for quotes.
std::string command_line(const std::vector<std::string>& arguments) {
  std::string text = "shardrift report";
  for (const auto& argument : arguments)
    text += argument.find(' ') == std::string::npos ? " " + argument : " '" + argument + "'";
  return text;
}

// Whole or not at all: a page that is cut off would look finished.
void write_page(const std::string& path, const std::string& html) {
  const std::string temporary = path + ".tmp";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file << html;
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(temporary, path, error);
  if (!file || error) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw failure("--output {}: cannot be written: is there space, and does its folder exist?", path);
  }
}

}  // namespace

ExitCode report(const std::vector<std::string>& arguments) {
  report::Files files;
  std::string output;
  std::string title;
  const auto options = options_of(files, output, title);
  po::options_description all;
  std::vector<std::string> inputs;
  all.add(options).add_options()("file", po::value(&inputs));
  po::positional_options_description positional;
  positional.add("file", -1);
  po::variables_map values;
  try {
    po::store(po::command_line_parser(arguments).options(all).positional(positional).run(), values);
    po::notify(values);
  } catch (const po::error& error) {
    throw usage_error("report: {}: see shardrift report --help", error.what());
  }
  if (values.count("help") != 0) {
    std::ostringstream text;
    text << kHelp << "\n" << options;
    print(text.str());
    return ExitCode::ok;
  }
  if (inputs.size() < 2)
    throw usage_error(
        "report: needs a reference and at least one candidate: shardrift report REF.h5 CAND.h5 --output "
        "FILE.html");
  if (output.empty()) throw usage_error("report: --output FILE.html is missing");
  files.reference = inputs.front();
  files.candidates.assign(inputs.begin() + 1, inputs.end());
  report::Report page = report::assemble(files);
  page.title = title;
  page.version = SHARDRIFT_VERSION;
  page.command = command_line(arguments);
  page.created = now();
  const std::string html = report::to_html(page);
  write_page(output, html);
  print(fmt::format("{}: {} runs, {:.1f} KiB\n", output, page.runs.size(),
                    static_cast<double>(html.size()) / 1024));
  return ExitCode::ok;
}

}  // namespace shardrift::cli
