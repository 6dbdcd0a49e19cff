// shardrift gate REF CAND…
#include <boost/program_options.hpp>

#include "analysis/measure/measurement_of.hpp"
#include "analysis/report/assemble.hpp"
#include "analysis/verdict/verdict.hpp"
#include "analysis/verdict/verdict_text.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/output_file.hpp"

namespace shardrift::cli {
namespace {

namespace po = boost::program_options;

constexpr const char* kHelp = R"(usage: shardrift gate REF CAND... [options]

May the model go from the reference's configuration to a candidate's? Judges
each candidate by limits, says how sure that is and what these prompts could
have missed, and recommends one. REF and CAND are records of shardrift-run.

  shardrift gate one.h5 tp2.h5 pp2.h5 --preset strict
  shardrift gate one.h5 tp2.h5 --noise-floor again.h5 --yardstick int8.h5
  shardrift gate one.h5 tp2.h5 --thresholds limits.toml --json verdict.json
  shardrift gate one.h5 tp2.h5 --html verdict.html

presets:
  bitwise   every bit is equal
  strict    the text changes in at most 5% of prompts within 256 tokens, and
            probabilities hardly move
  serving   texts may differ, as they do between GPUs of one service; token by
            token the model must stay the same (the default)

A thresholds file is TOML; it may start from a preset and change some limits:

  preset = "serving"
  [data]
  prompts = 50            # with fewer nothing passes
  [limits]
  kl_mean = 0.001         # nats
  changed_prompts = 0.2   # share of prompts, within [data] tokens = 256
  flip_regret = false     # no such limit

exit code: 0 every candidate passes, 1 one fails, 2 neither can be said (an
interval straddles its limit, or data are missing), 64 usage, 65 a file that
cannot be used, 70 failure
)";

struct Options {
  std::vector<std::string> files;
  std::vector<std::string> noise_floors;
  std::vector<std::string> yardsticks;
  std::string truth;
  std::string thresholds;
  std::string preset;
  std::string json;
  std::string csv;
  std::string html;
  bool no_cache = false;
};

po::options_description described(Options& options) {
  po::options_description known("options");
  known.add_options()("preset", po::value(&options.preset),
                      "NAME: bitwise, strict or serving (default serving)")(
      "thresholds", po::value(&options.thresholds), "FILE: limits of your own, TOML")(
      "noise-floor", po::value(&options.noise_floors),
      "FILE: the reference's configuration run once more; may be repeated")(
      "truth", po::value(&options.truth), "FILE: the same prompts in float64 or float32")(
      "yardstick", po::value(&options.yardsticks),
      "FILE: the same prompts quantized or in another dtype; may be repeated")(
      "json", po::value(&options.json), "FILE: write the same results as JSON")(
      "csv", po::value(&options.csv), "FILE: write every candidate's limits, one line each")(
      "html", po::value(&options.html), "FILE: write the page of shardrift report with this verdict")(
      "no-cache", po::bool_switch(&options.no_cache),
      "measure again, and keep nothing beside the candidates")("help,h", "this text");
  return known;
}

verdict::Evidence measured(const Options& options) {
  analysis::MeasureOptions how;
  how.use_kept = how.keep = !options.no_cache;
  how.say = note;
  const auto measure = [&](const std::string& reference, const std::string& candidate) {
    return analysis::measurement_of(reference, candidate, how);
  };
  const std::string& reference = options.files.front();
  const std::vector<std::string> candidates(options.files.begin() + 1, options.files.end());
  verdict::Evidence evidence;
  for (const auto& file : candidates) evidence.candidates.push_back(measure(reference, file));
  for (const auto& file : options.noise_floors) evidence.repeats.push_back(measure(reference, file));
  for (const auto& file : options.yardsticks) evidence.yardsticks.push_back(measure(reference, file));
  if (!options.truth.empty()) {
    evidence.truth_reference = measure(options.truth, reference);
    for (const auto& file : candidates) evidence.truth_candidates.push_back(measure(options.truth, file));
  }
  return evidence;
}

std::vector<std::string> inputs_of(const Options& options) {
  std::vector<std::string> inputs = options.files;
  inputs.insert(inputs.end(), options.noise_floors.begin(), options.noise_floors.end());
  inputs.insert(inputs.end(), options.yardsticks.begin(), options.yardsticks.end());
  inputs.insert(inputs.end(), {options.truth, options.thresholds});
  return inputs;
}

}  // namespace

ExitCode gate(const std::vector<std::string>& arguments) {
  Options options;
  const po::options_description known = described(options);
  if (showed_help(read_arguments("gate", arguments, known, &options.files), kHelp, known))
    return ExitCode::ok;
  if (options.files.size() < 2)
    throw usage_error("gate: needs a reference and at least one candidate: shardrift gate REF.h5 CAND.h5");
  if (!options.preset.empty() && !options.thresholds.empty())
    throw usage_error(
        "gate: --preset and --thresholds: keep one; a thresholds file can name a preset itself");
  const auto thresholds = !options.thresholds.empty()
                              ? verdict::read_thresholds(options.thresholds)
                              : verdict::preset(options.preset.empty() ? "serving" : options.preset);
  OutputFile json("--json", options.json, inputs_of(options));
  OutputFile csv("--csv", options.csv, inputs_of(options));
  refuse_input("--html", options.html, inputs_of(options));
  auto evidence = measured(options);
  auto result = verdict::judge(evidence, thresholds);
  const int code = verdict::exit_code(result);
  print(verdict::verdict_text(result));
  if (json.wanted()) json.stream() << verdict::to_json(result);
  if (csv.wanted()) verdict::write_verdict_csv(csv.stream(), result);
  json.close();
  csv.close();
  if (!options.html.empty()) {
    auto page = report::report_of(std::move(evidence), std::move(result));
    page.command = command_line("gate", arguments);
    report::write_page(page, options.html);
  }
  return static_cast<ExitCode>(code);
}

}  // namespace shardrift::cli
