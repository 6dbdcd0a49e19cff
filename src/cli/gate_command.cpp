// shardrift gate REF CAND…
#include <optional>

#include "analysis/report/make_report.hpp"
#include "analysis/verdict/verdict.hpp"
#include "analysis/verdict/verdict_presenters.hpp"
#include "analysis/verdict/words.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/evidence_flags.hpp"
#include "cli/gate_certificate.hpp"
#include "common/counted.hpp"
#include "common/output_file.hpp"

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

A certificate is a verdict to keep: hashes of the records, limits, result.
--verify hashes and judges the same files again, whatever they are called now:

  shardrift gate one.h5 tp2.h5 --noise-floor again.h5 --certificate tp2.json
  shardrift gate --verify tp2.json one.h5 tp2.h5 again.h5 --preset serving

With --preset or --thresholds it must have been judged by these limits.

exit code: 0 every candidate passes, 1 one fails, 2 neither can be said (an
interval straddles its limit, or data are missing), 64 usage, 65 a file that
cannot be used, 70 failure; with --verify: 0, 1 and 2 as certified, 65 where
files or result are others than the certificate's
)";

// The limits that whoever verifies asks for.
void require_limits(const verdict::Certificate& certificate, const verdict::Thresholds& wanted) {
  const auto difference = verdict::difference_of_limits(certificate.thresholds, wanted);
  if (!difference.empty())
    throw bad_data("{}: was judged by other limits than asked for: {}", certificate.path.string(),
                   difference);
}

void require_same(const verdict::Certificate& certificate, const EvidentFiles& files,
                  const verdict::Verdict& result) {
  const auto difference = verdict::difference(certificate, files, result);
  if (difference.empty()) return;
  throw bad_data("{}: the same files are judged otherwise: {} (certified by shardrift {}, this is {})",
                 certificate.path.string(), difference, certificate.version, SHARDRIFT_VERSION);
}

}  // namespace

ExitCode gate(const std::vector<std::string>& arguments) {
  EvidenceFlags flags;
  std::string json_path;
  std::string csv_path;
  std::string html_path;
  std::string certificate_path;
  std::string verify;
  bool no_cache = false;
  Arguments known("gate", kHelp);
  add_evidence_options(known, flags);
  known.option("json", json_path, "FILE", "write the same results as JSON")
      .option("csv", csv_path, "FILE", "write every candidate's limits, one line each")
      .option("html", html_path, "FILE", "write the page of shardrift report with this verdict")
      .option("certificate", certificate_path, "FILE", "write a certificate of this verdict; measures again")
      .option("verify", verify, "FILE", "check a certificate against the files given, and judge again")
      .flag("no-cache", no_cache, "measure again, and keep nothing beside the candidates");
  if (!known.read(arguments)) return ExitCode::ok;
  if (flags.files.size() < 2)
    throw usage_error("gate: needs a reference and at least one candidate: shardrift gate REF.h5 CAND.h5");
  if (!verify.empty() && !certificate_path.empty())
    throw usage_error("gate: --verify and --certificate: keep one");
  auto inputs = read_by(flags);
  inputs.push_back(verify);
  OutputFile json("--json", json_path, inputs);
  OutputFile csv("--csv", csv_path, inputs);
  OutputFile certificate("--certificate", certificate_path, inputs);
  OutputFile html("--html", html_path, inputs);
  std::optional<verdict::Certificate> certified;
  EvidentFiles files;  // that a certificate is of
  if (!verify.empty()) {
    certified = verdict::read_certificate(verify);
    if (!flags.preset.empty() || !flags.thresholds.empty())
      require_limits(*certified, thresholds_of("gate", flags));
    files = in_their_roles(*certified, flags);
    flags = flags_of(files);
  }
  const auto thresholds = certified ? certified->thresholds : thresholds_of("gate", flags);
  if (certificate.wanted()) files = hashed(flags);
  // What is certified was measured from the files themselves.
  const bool keep = !no_cache && !certified && !certificate.wanted();
  auto gathered = gather(flags, keep, html.wanted());
  auto result = verdict::judge(gathered.evidence, thresholds);
  const int code = verdict::exit_code(result);
  require_unchanged(files);
  if (certified) require_same(*certified, files, result);
  print(verdict::verdict_text(result));
  if (certified)
    print(fmt::format("verified: {}: {} as they were, judged again with the same result\n", verify,
                      counted(certified->records.size(), "record")));
  if (certificate.wanted())
    certificate.stream() << verdict::certificate_json(files, result, SHARDRIFT_VERSION);
  if (json.wanted()) json.stream() << verdict::verdict_json(result);
  if (csv.wanted()) verdict::write_verdict_csv(csv.stream(), result);
  json.close();
  csv.close();
  certificate.close();
  if (html.wanted()) {
    auto page =
        report::make_report(std::move(gathered.evidence), std::move(result), std::move(gathered.excerpts));
    page.command = command_line("gate", arguments);
    html.stream() << report::to_html(page);
  }
  html.close();
  return static_cast<ExitCode>(code);
}

}  // namespace shardrift::cli
