// shardrift envelope FILE…
#include "analysis/envelope/envelope.hpp"
#include "analysis/envelope/envelope_presenters.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "common/output_file.hpp"

namespace shardrift::cli {
namespace {

constexpr const char* kHelp = R"(usage: shardrift envelope FILE FILE... [options]

How far does each logit move among several runs of the same tokens, and does any
of them choose another token? FILEs are records of one model and one set of
prompts, best of --mode score or follow; greedy runs are read up to the first
position at which they differ.

  scripts/envelope models/smollm2-135m prompts.jsonl    runs all 15 orders of 4 shards first

Exit codes: 0 no run chooses another token, 1 some do, 65 files that do not belong together.
)";

struct Options {
  std::vector<std::string> files;
  std::string json, csv;
  std::int64_t rows = 10;
};

}  // namespace

ExitCode envelope(const std::vector<std::string>& arguments) {
  Options options;
  Arguments known("envelope", kHelp);
  known.files(options.files)
      .option("json", options.json, "FILE", "every position: spread, margin, tokens chosen")
      .option("csv", options.csv, "FILE", "every logit: prompt, position, token, lowest, highest")
      .option("rows", options.rows, "N",
              "positions printed, those with the largest spread first (default 10)");
  if (!known.read(arguments)) return ExitCode::ok;
  if (options.rows < 0) throw usage_error("--rows {}: must be at least 0", options.rows);
  if (options.files.size() < 2)
    throw usage_error("envelope: needs two files or more: shardrift envelope FILE.h5 FILE.h5");
  std::vector<record::Reader> runs;
  for (const auto& file : options.files) runs.push_back(record::Reader::open(file));
  OutputFile csv("--csv", options.csv, options.files);
  OutputFile json("--json", options.json, options.files);
  const auto sink = csv.wanted() ? analysis::envelope_csv(csv.stream()) : analysis::SpreadSink();
  const auto prompts = analysis::envelope(runs, sink);
  csv.close();
  if (json.wanted()) json.stream() << analysis::envelope_json(prompts, options.files);
  json.close();

  print(analysis::envelope_text(prompts, runs, static_cast<std::size_t>(options.rows)));
  return analysis::flips_of(prompts) == 0 ? ExitCode::ok : ExitCode::beyond_tolerance;
}

}  // namespace shardrift::cli
