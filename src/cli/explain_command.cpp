// shardrift explain REF CAND, shardrift explain --ladder FILE…
#include <algorithm>

#include "analysis/explain/ladder.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/explain_graft.hpp"
#include "cli/explain_output.hpp"
#include "cli/explain_run.hpp"

namespace shardrift::cli {
namespace {

constexpr const char* kHelp = R"(usage: shardrift explain REF CAND
       shardrift explain --ladder FILE FILE...
       shardrift explain --rung NAME=FILE --rung NAME=FILE...
       shardrift explain --run --model DIR --real FILE
       shardrift explain --run --model DIR --shards N --prompts FILE [--live]
       shardrift explain --run --graft OPERATION:LAYER --model DIR … [--json FILE] [--csv FILE]
       each of the others with [--json FILE] [--csv FILE] [--html FILE]

Why do two runs differ?

REF CAND: the first operation and layer whose bits differ, and how the
difference grows by layer, position and prompt length. Record both runs with
--checksums --record hidden; what is not recorded is left out.

  shardrift explain one.h5 tp4.h5
  shardrift explain one.h5 tp4.h5 --csv growth.csv --html growth.html

The ladder: runs between the reference and a real run on several devices, each
changing one thing; each one's share, and what is left unexplained, in bits.
--ladder recognises the rungs by their plans, --rung takes them as you name
them, in the order you give; the rung named 'real' comes last.

  shardrift explain --ladder one.h5 shards.h5 hops.h5 predicted.h5 tp4.h5
  shardrift explain --rung one=one.h5 --rung fast-kernel=k.h5 --rung real=tp4.h5

--run makes the rungs itself, on one device: of a record of several devices
(--real), or of N shards that are to be predicted. Finished rungs are not run
again.

  shardrift explain --run --model DIR --real tp4.h5
  shardrift explain --run --model DIR --shards 4 --prompts prompts.jsonl --live

--graft puts the reference's output of one operation into the prediction of the
real run, in one layer or in each in turn (all), and says how many flips and how
much KL that takes away.

  shardrift explain --run --graft attention_sum:all --model DIR --real tp4.h5
  shardrift explain --run --graft mlp_residual:3 --model DIR --shards 4 --prompts prompts.jsonl

exit code: 0 done, 1 the ladder leaves a residue, 64 usage, 65 a file that
cannot be used, 70 failure, 75 interrupted (run it again)
)";

struct Options {
  std::vector<std::string> files;
  std::vector<std::string> rungs;
  ExplainFiles written;
  std::vector<std::string> repeats;
  bool ladder = false;
};

std::vector<analysis::RungFile> named_rungs(const std::vector<std::string>& rungs) {
  std::vector<analysis::RungFile> files;
  for (const auto& rung : rungs) {
    const auto equals = rung.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == rung.size())
      throw usage_error("--rung {}: write NAME=FILE, for example --rung real=tp4.h5", rung);
    const std::string name = rung.substr(0, equals);
    if (std::any_of(files.begin(), files.end(), [&](const auto& file) { return file.name == name; }))
      throw usage_error("--rung {}: there is a rung '{}' already", rung, name);
    if (!files.empty() && files.back().kind == analysis::RungKind::real)
      throw usage_error("--rung {}: the rung 'real' comes last", rung);
    files.push_back({name, from_name<analysis::RungKind>(name), rung.substr(equals + 1)});
  }
  return files;
}

}  // namespace

ExitCode explain(const std::vector<std::string>& arguments) {
  Options options;
  ExplainRunFlags run_flags;
  Arguments known("explain", kHelp);
  known.files(options.files)
      .flag("ladder", options.ladder, "the files are rungs of a ladder, in any order")
      .option("rung", options.rungs, "NAME=FILE", "the next rung; may be repeated")
      .option("repeat", options.repeats, "FILE",
              "of a ladder: its last run once more, of an engine whose bits change from run to run; may be "
              "repeated")
      .option("json", options.written.json, "FILE", "write the same results as JSON")
      .option("csv", options.written.csv, "FILE", "… the numbers as one table, for a spreadsheet or pandas")
      .option("html", options.written.html, "FILE",
              "write a page with plots, as shardrift report does, of the reference and the candidate (of a "
              "ladder: its first and its last rung)")
      .flag("run", run_flags.run, "run the ladder's rungs through the worker, on one device");
  add_explain_run_options(known, run_flags);
  if (!known.read(arguments)) return ExitCode::ok;
  if (run_flags.run) {
    if (options.ladder || !options.rungs.empty() || !options.files.empty())
      throw usage_error("explain: --run makes the rungs itself: leave out --ladder, --rung and files");
    settle_output(run_flags);
    if (!run_flags.graft.empty()) {
      if (!options.repeats.empty())
        throw usage_error("explain --graft {}: has no ladder; leave out --repeat", run_flags.graft);
      if (!options.written.html.empty())
        throw usage_error("explain --graft {}: has no page; leave out --html", run_flags.graft);
      OutputFile json("--json", options.written.json, read_by(run_flags));
      OutputFile csv("--csv", options.written.csv, read_by(run_flags));
      return explain_graft(run_flags, json, csv);
    }
    auto read = read_by(run_flags);
    read.insert(read.end(), options.repeats.begin(), options.repeats.end());
    ExplainOutput output(options.written, command_line("explain", arguments), read);
    output.repeats({options.repeats.begin(), options.repeats.end()});
    return explain_run(run_flags, output);
  }
  if (const auto option = known.given_of(kWithRun))
    throw usage_error("explain: --{} goes with --run", *option);
  if (!options.rungs.empty() && (options.ladder || !options.files.empty()))
    throw usage_error("explain: --rung names every file: leave out --ladder and '{}'",
                      options.files.empty() ? "" : options.files.front());
  const auto rungs = named_rungs(options.rungs);
  std::vector<std::string> read = options.files;
  for (const auto& rung : rungs) read.push_back(rung.path.string());
  read.insert(read.end(), options.repeats.begin(), options.repeats.end());
  if (!options.repeats.empty() && rungs.empty() && !options.ladder)
    throw usage_error(
        "explain: --repeat goes with a ladder (--ladder, --rung, --run); of two runs: shardrift compare "
        "--repeat");
  ExplainOutput output(options.written, command_line("explain", arguments), read);
  output.repeats({options.repeats.begin(), options.repeats.end()});
  if (!rungs.empty()) return output.show_ladder(rungs);
  if (options.ladder)
    return output.show_ladder(analysis::recognised({options.files.begin(), options.files.end()}));
  if (options.files.size() != 2)
    throw usage_error(
        "explain: needs a reference and a candidate: shardrift explain REF.h5 CAND.h5 (several runs: "
        "--ladder)");
  output.show_pair(options.files[0], options.files[1]);
  return ExitCode::ok;
}

}  // namespace shardrift::cli
