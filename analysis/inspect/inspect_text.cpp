#include <fmt/ranges.h>

#include <algorithm>

#include "analysis/inspect/inspect_presenters.hpp"
#include "analysis/inspect/labelled_line.hpp"
#include "analysis/measure/differences.hpp"
#include "analysis/measure/metrics_file.hpp"
#include "analysis/measure/totals.hpp"
#include "common/counted.hpp"
#include "common/text_columns.hpp"

namespace shardrift::analysis {
namespace {

std::string timing_text(const record::RunTiming& timing) {
  if (timing.prefill_tokens + timing.decode_tokens == 0) return "";
  return line(
      "timing",
      fmt::format("load {:.3g} s, prefill {} tokens in {:.3g} s, decode {} tokens in {:.3g} s, waited for "
                  "recording {:.3g} s, last part on disk {:.3g} s later",
                  timing.load_seconds, timing.prefill_tokens, timing.prefill_seconds, timing.decode_tokens,
                  timing.decode_seconds, timing.recording_wait_seconds, timing.recording_flush_seconds));
}

std::string kept_text(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += line(text.empty() ? "compared" : "", name);
  return text;
}

// When, by what and how; of an engine's record as much of it as that says.
std::string made_text(const record::RunInfo& run) {
  if (!engine_of(run).empty())
    return (run.created.empty() ? "" : line("created", run.created)) +
           (run.command.empty() ? "" : line("command", run.command));
  return line("created", run.created + ", shardrift " + run.version) + line("command", run.command);
}

std::string or_unknown(const std::string& said) {
  return said.empty() ? "not known" : said;
}

std::string run_text(const record::Reader& reader) {
  const record::RunInfo& run = reader.run();
  const std::string vocab =
      run.model.vocab.empty() ? "no token strings" : fmt::format("{} token strings", run.model.vocab.size());
  return line("file", reader.path().string()) +
         line("status", reader.complete() ? "complete" : "partial: the run has not finished") +
         made_text(run) +
         (engine_of(run).empty() ? line("plan", describe_plan(run)) + line("", run.plan)
                                 : line("engine", engine_of(run))) +
         line("run",
              fmt::format("mode {}, level {}, logits {}", run.mode, run.level, name_of(run.logits_dtype))) +
         timing_text(reader.timing()) +
         line("model", fmt::format("{}, {}, quantization {}, vocabulary {} ({})",
                                   or_unknown(run.model.architecture), or_unknown(run.model.dtype),
                                   or_unknown(run.model.quantization), run.model.vocabulary, vocab)) +
         line("identity", or_unknown(run.model.identity)) +
         line("weights", !run.model.weights.empty() ? run.model.weights
                         : engine_of(run).empty()   ? "not hashed: recorded by an older version"
                                                    : "not known: the record does not say which");
}

std::string map_text(const std::string& name, const std::map<std::string, std::string>& values) {
  std::string text;
  for (const auto& [key, value] : values)
    text += line(text.empty() ? name : "", fmt::format("{} = {}", key, value));
  return text;
}

// The order maps, each on one line: operation, size, and its first segments.
std::string collectives_text(const record::Environment& environment) {
  constexpr std::size_t kSegments = 4;
  std::string text;
  for (const auto& collective : environment.collectives) {
    std::string map;
    for (std::size_t i = 0; i < std::min(kSegments, collective.segments.size()); ++i) {
      const auto& segment = collective.segments[i];
      map += fmt::format("{}[{}, {}) {}", i == 0 ? "" : " / ", segment.begin, segment.end,
                         collective.trees[static_cast<std::size_t>(segment.tree)]);
    }
    if (collective.segments.size() > kSegments)
      map += fmt::format(" / … {} segments", collective.segments.size());
    text += line(text.empty() ? "collectives" : "",
                 fmt::format("{} of {} {} over {} ranks, {} {}, {}: {}", collective.operation,
                             collective.count, collective.dtype, collective.ranks, collective.library,
                             collective.version, collective.source, map));
  }
  return text;
}

std::string environment_text(const record::Environment& environment) {
  std::string text;
  for (const auto& device : environment.devices) {
    std::string about = fmt::format("rank {}: {} on {}", device.rank, device.name, device.host);
    if (!device.compute_capability.empty())
      about += fmt::format(", compute capability {}, driver {}, {}", device.compute_capability, device.driver,
                           device.uuid);
    text += line(text.empty() ? "devices" : "", about);
  }
  text += map_text("libraries", environment.libraries) + map_text("settings", environment.settings) +
          map_text("variables", environment.variables);
  text += collectives_text(environment);
  if (!environment.topology.empty())
    text += "topology\n" + legible(environment.topology, Newlines::kept) + "\n";
  return text;
}

// What was recorded beside the logits.
std::string traces_text(const record::PromptRecord& prompt) {
  const std::string hidden = prompt.hidden.streams == 0
                                 ? ""
                                 : fmt::format("hidden {} x {} {}", prompt.hidden.streams,
                                               prompt.hidden.width, name_of(prompt.hidden.dtype));
  const std::string sums =
      prompt.checksums.empty()
          ? ""
          : fmt::format("{} checksums a row", record::point_count(prompt.checksums.layers));
  const std::string routes = prompt.routes.empty()
                                 ? ""
                                 : fmt::format("routes {} x {} to {}", prompt.routes.layers.size(),
                                               prompt.routes.positions, prompt.routes.k);
  std::vector<std::string> all;
  for (const auto& text : {hidden, sums, routes})
    if (!text.empty()) all.push_back(text);
  return all.empty() ? "no" : fmt::format("{}", fmt::join(all, ", "));
}

// The first and the last of many.
std::string ids_text(const std::vector<std::string>& ids) {
  constexpr std::size_t kMost = 4;
  if (ids.empty()) return "alone";
  if (ids.size() <= kMost) return fmt::format("{}", fmt::join(ids, " "));
  return fmt::format("{} … {} ({})", ids.front(), ids.back(), ids.size());
}

std::string prompts_text(const record::Reader& reader) {
  const auto ids = reader.prompt_ids();
  // Which prompts shared its passes: columns where there are any.
  const bool together = std::any_of(ids.begin(), ids.end(), [&](const std::string& id) {
    const auto prompt = reader.prompt(id);
    return !prompt.prefilled_with.empty() || !prompt.decoded_with.empty();
  });
  std::vector<TextColumns::Column> columns{
      {"prompt", Align::left}, {"tokens", Align::right}, {"steps", Align::right}, {"stop", Align::left},
      {"logits", Align::left}, {"traces", Align::left},  {"hash", Align::left}};
  if (together)
    columns.insert(columns.end(), {{"prefilled with", Align::left}, {"decoded with", Align::left}});
  columns.push_back({"text", Align::left});
  TextColumns table(columns);
  for (const auto& id : ids) {
    const auto prompt = reader.prompt(id);
    std::vector<std::string> cells{id,
                                   std::to_string(prompt.prompt.tokens.size()),
                                   std::to_string(prompt.rows.size()),
                                   legible(prompt.stop),
                                   reader.has_logits(id) ? "yes" : "no",
                                   traces_text(prompt),
                                   legible(prompt.hash.substr(0, 12))};
    if (together) cells.insert(cells.end(), {ids_text(prompt.prefilled_with), ids_text(prompt.decoded_with)});
    cells.push_back(quoted(prompt.prompt.text, 40));
    table.add(std::move(cells));
  }
  return table.str();
}

}  // namespace

std::vector<std::string> kept_comparisons(const std::filesystem::path& record) {
  namespace fs = std::filesystem;
  std::vector<std::string> names;
  std::error_code error;
  const auto folder = record.has_parent_path() ? record.parent_path() : fs::path(".");
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.ends_with(".metrics") && name.starts_with(record.stem().string() + ".vs."))
      names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string inspect_text(const record::Reader& reader) {
  return run_text(reader) + kept_text(kept_comparisons(reader.path())) +
         environment_text(reader.run().environment) + "\n" + prompts_text(reader);
}

std::string inspect_text(const std::filesystem::path& path, const KeptMetrics& kept) {
  const auto& measurement = kept.measurement;
  const auto totals = totals_of(measurement);
  const auto run = [](const char* name, const RunSummary& one, const record::Identity& identity) {
    return line(name, fmt::format("{}: {}", one.path, one.plan)) +
           line("", fmt::format("created {}, {} bytes, {}, {}, logits {}", one.run.created, identity.bytes,
                                counted(one.prompts, "prompt"), one.run.mode, name_of(one.run.logits_dtype)));
  };
  return line("file", path.string()) + run("reference", measurement.reference, kept.from.reference) +
         run("candidate", measurement.candidate, kept.from.candidate) +
         line("holds", fmt::format("{}, {} compared, {} measured, {} differ, {}",
                                   counted(measurement.prompts.size(), "prompt"),
                                   counted(totals.steps, "row"), totals.steps_measured, totals.steps_differ,
                                   counted(totals.steps - totals.top1_equal, "flip"))) +
         line("", "used by compare, report, gate and study while neither record changes");
}

}  // namespace shardrift::analysis
