// shardrift envelope FILE…
#include <algorithm>
#include <nlohmann/json.hpp>

#include "analysis/measure/envelope.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/output_file.hpp"
#include "common/text_columns.hpp"

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

std::string tokens_text(const std::vector<std::int32_t>& ids, const std::vector<std::string>& vocab) {
  std::string text;
  for (const auto id : ids) {
    text += text.empty() ? "" : " | ";
    const auto index = static_cast<std::size_t>(id);
    text += index < vocab.size() ? fmt::format("{} {}", id, quoted(vocab[index], 20)) : std::to_string(id);
  }
  return text;
}

nlohmann::json to_json(const std::vector<analysis::PromptEnvelope>& prompts,
                       const std::vector<std::string>& files) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& prompt : prompts) {
    nlohmann::json rows = nlohmann::json::array();
    for (const auto& row : prompt.rows)
      rows.push_back({{"position", row.position},
                      {"input_id", row.input_id},
                      {"max_spread", row.max_spread},
                      {"max_spread_token", row.max_at},
                      {"mean_spread", row.mean_spread},
                      {"margin", row.margin},
                      {"chosen", row.chosen}});
    list.push_back({{"id", prompt.id}, {"recorded_rows", prompt.recorded}, {"rows", rows}});
  }
  return {{"schema", "shardrift envelope 1"}, {"files", files}, {"prompts", list}};
}

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
  analysis::SpreadSink sink;
  if (csv.wanted()) {
    csv.stream() << "prompt,position,token,lowest,highest\n";
    sink = [&](const std::string& id, const analysis::EnvelopeRow& row, const std::vector<double>& lowest,
               const std::vector<double>& highest) {
      for (std::size_t i = 0; i < lowest.size(); ++i)
        csv.stream() << fmt::format("{},{},{},{:.9g},{:.9g}\n", id, row.position, i, lowest[i], highest[i]);
    };
  }
  const auto prompts = analysis::envelope(runs, sink);
  csv.close();
  if (json.wanted()) json.stream() << to_json(prompts, options.files).dump(1) << '\n';
  json.close();

  const auto& vocab = runs.front().run().model.vocab;
  std::int64_t positions = 0;
  std::int64_t flips = 0;
  struct Shown {
    const analysis::PromptEnvelope* prompt;
    const analysis::EnvelopeRow* row;
  };
  std::vector<Shown> shown;
  double largest = 0;
  double mean = 0;
  for (const auto& prompt : prompts) {
    for (const auto& row : prompt.rows) {
      ++positions;
      flips += row.chosen.size() > 1 ? 1 : 0;
      largest = std::max(largest, row.max_spread);
      mean += row.mean_spread;
      shown.push_back({&prompt, &row});
    }
  }
  // Flips first, then the largest spread.
  std::stable_sort(shown.begin(), shown.end(), [](const Shown& a, const Shown& b) {
    const bool a_flips = a.row->chosen.size() > 1;
    const bool b_flips = b.row->chosen.size() > 1;
    return a_flips != b_flips ? a_flips : a.row->max_spread > b.row->max_spread;
  });
  TextColumns table({{"prompt", Align::left},
                     {"position", Align::right},
                     {"max spread", Align::right},
                     {"mean spread", Align::right},
                     {"margin", Align::right},
                     {"chosen", Align::left}});
  for (std::size_t i = 0; i < std::min(static_cast<std::size_t>(options.rows), shown.size()); ++i)
    table.add({shown[i].prompt->id, std::to_string(shown[i].row->position),
               fmt::format("{:.3g}", shown[i].row->max_spread),
               fmt::format("{:.3g}", shown[i].row->mean_spread), fmt::format("{:.3g}", shown[i].row->margin),
               tokens_text(shown[i].row->chosen, vocab)});
  print(table.str());
  print(fmt::format(
      "{} runs, {} positions: largest spread of a logit {:.3g}, mean {:.3g}; {} position{} where the chosen "
      "token depends on the run\n",
      runs.size(), positions, largest, positions == 0 ? 0.0 : mean / static_cast<double>(positions), flips,
      flips == 1 ? "" : "s"));
  return flips == 0 ? ExitCode::ok : ExitCode::beyond_tolerance;
}

}  // namespace shardrift::cli
