// shardrift gate REF CAND…
#include "analysis/report/make_report.hpp"
#include "analysis/verdict/verdict.hpp"
#include "analysis/verdict/verdict_presenters.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/evidence_flags.hpp"
#include "cli/output_file.hpp"

namespace shardrift::cli {
namespace {

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

}  // namespace

ExitCode gate(const std::vector<std::string>& arguments) {
  EvidenceFlags flags;
  std::string json_path;
  std::string csv_path;
  std::string html;
  bool no_cache = false;
  Arguments known("gate", kHelp);
  add_evidence_options(known, flags);
  known.option("json", json_path, "FILE", "write the same results as JSON")
      .option("csv", csv_path, "FILE", "write every candidate's limits, one line each")
      .option("html", html, "FILE", "write the page of shardrift report with this verdict")
      .flag("no-cache", no_cache, "measure again, and keep nothing beside the candidates");
  if (!known.read(arguments)) return ExitCode::ok;
  if (flags.files.size() < 2)
    throw usage_error("gate: needs a reference and at least one candidate: shardrift gate REF.h5 CAND.h5");
  const auto thresholds = thresholds_of("gate", flags);
  OutputFile json("--json", json_path, read_by(flags));
  OutputFile csv("--csv", csv_path, read_by(flags));
  check_output("--html", html, read_by(flags));
  auto gathered = gather(flags, !no_cache, !html.empty());
  auto result = verdict::judge(gathered.evidence, thresholds);
  const int code = verdict::exit_code(result);
  print(verdict::verdict_text(result));
  if (json.wanted()) json.stream() << verdict::verdict_json(result);
  if (csv.wanted()) verdict::write_verdict_csv(csv.stream(), result);
  json.close();
  csv.close();
  if (!html.empty()) {
    auto page =
        report::make_report(std::move(gathered.evidence), std::move(result), std::move(gathered.excerpts));
    page.command = command_line("gate", arguments);
    report::write_page(page, html);
  }
  return static_cast<ExitCode>(code);
}

}  // namespace shardrift::cli
