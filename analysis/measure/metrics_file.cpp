#include "analysis/measure/metrics_file.hpp"

#include <unistd.h>

#include <array>
#include <cmath>
#include <random>

#include "analysis/measure/metrics_columns.hpp"
#include "analysis/measure/metrics_hdf5.hpp"
#include "common/error.hpp"
#include "record/files.hpp"
#include "record/part_file.hpp"

namespace shardrift::analysis {
namespace {

namespace fs = std::filesystem;

// Counts every change of a column's meaning: an older file's numbers are measured again, not reinterpreted.
constexpr std::int64_t kMetricsSchema = 8;  // 2: prompts/reference_stop; 3: pace; 4: routes; 5: left_out; 6:
                                            // missing by side, contradictory; 7: rows of two dtypes differ
                                            // where a number does; probabilities; 8: contradictory tokens
constexpr std::uint64_t kMaxSteps = 1ULL << 32U;

// -- Prompts and steps
// ----------------------------------------------------------------------------------------
template <typename Visit>
void each_prompt_column(Visit&& visit) {
  visit("index", &PromptMeasurement::index, "line of the prompts file, from 0");
  visit("prompt_tokens", &PromptMeasurement::prompt_tokens, "length of the prompt");
  visit("reference_steps", &PromptMeasurement::reference_steps, "rows in the reference");
  visit("candidate_steps", &PromptMeasurement::candidate_steps, "rows in the candidate");
  visit("has_logits", &PromptMeasurement::has_logits, "1 = in both files");
  visit("bit_equal", &PromptMeasurement::bit_equal, "1 = every row of both files has the same words");
  visit("differs", &PromptMeasurement::differs, "1 = a difference was found");
}

void write_prompts(hid_t root, const std::vector<PromptMeasurement>& prompts) {
  const auto group = h5::create_group(root, "prompts", "one row a prompt, in every dataset");
  std::vector<std::string> ids;
  std::vector<std::string> stops;
  std::vector<std::int64_t> steps;
  std::vector<std::int64_t> flips;
  for (const auto& prompt : prompts) {
    ids.push_back(prompt.id);
    stops.push_back(prompt.reference_stop);
    steps.push_back(static_cast<std::int64_t>(prompt.steps.size()));
    flips.push_back(prompt.first_flip ? static_cast<std::int64_t>(*prompt.first_flip) : -1);
  }
  h5::write_texts(group, "id", ids, "prompt ids");
  h5::write_texts(group, "reference_stop", stops, "why the reference ended: eos, length, context or given");
  each_prompt_column(
      [&]<typename Field>(const char* name, Field PromptMeasurement::*field, const char* about) {
        std::vector<typename Column<Field>::Stored> values;
        for (const auto& prompt : prompts) values.push_back(prompt.*field);
        write_column<Field>(group, name, values, about);
      });
  write_column<std::int64_t>(group, "steps", steps, "rows of /steps that are this prompt's, in order");
  write_column<std::int64_t>(group, "first_flip", flips, "which of its rows is the first flip, -1 = none");
}

void write_steps(hid_t root, const std::vector<PromptMeasurement>& prompts) {
  const auto group =
      h5::create_group(root, "steps", "one row a compared step, in every dataset; prompts one after another");
  each_step_column([&]<typename Field>(const char* name, Field Step::*field, const char* about) {
    std::vector<typename Column<Field>::Stored> values;
    for (const auto& prompt : prompts)
      for (const auto& step : prompt.steps)
        values.push_back(static_cast<typename Column<Field>::Stored>(step.*field));
    write_column<Field>(group, name, values, about);
  });
}

// Prompts without their steps, and how many each has: their sum is what /steps must hold.
struct Prompts {
  std::vector<PromptMeasurement> list;
  std::vector<std::uint64_t> steps;
  std::uint64_t all_steps = 0;
};

Prompts read_prompts(const h5::Group& group) {
  const auto ids = group.read_texts("id");
  const auto stops = group.read_texts("reference_stop");
  if (stops.size() != ids.size())
    throw h5::Hdf5Error(group.path() + "/reference_stop: of another length than id");
  Prompts prompts;
  prompts.list.resize(ids.size());
  each_prompt_column([&]<typename Field>(const char* name, Field PromptMeasurement::*field, const char*) {
    const auto values = read_column<Field>(group, name, ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) prompts.list[i].*field = static_cast<Field>(values[i]);
  });
  const auto steps = read_column<std::int64_t>(group, "steps", ids.size());
  const auto flips = read_column<std::int64_t>(group, "first_flip", ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!record::valid_id(ids[i]))
      throw h5::Hdf5Error(fmt::format("{}/id: row {} is no prompt id", group.path(), i));
    if (steps[i] < 0 || static_cast<std::uint64_t>(steps[i]) > kMaxSteps - prompts.all_steps)
      throw h5::Hdf5Error(fmt::format("{}/steps: {} at row {}", group.path(), steps[i], i));
    if (flips[i] < -1 || flips[i] >= steps[i])
      throw h5::Hdf5Error(
          fmt::format("{}/first_flip: {} of {} steps at row {}", group.path(), flips[i], steps[i], i));
    prompts.list[i].id = ids[i];
    prompts.list[i].reference_stop = stops[i];
    if (flips[i] >= 0) prompts.list[i].first_flip = static_cast<std::size_t>(flips[i]);
    prompts.steps.push_back(static_cast<std::uint64_t>(steps[i]));
    prompts.all_steps += static_cast<std::uint64_t>(steps[i]);
  }
  return prompts;
}

void check_tokens(const Step& step, std::int64_t vocabulary, const std::string& path) {
  for (const std::int32_t token : {step.input_id, step.chosen_reference, step.chosen_candidate})
    if (token < 0 || token >= vocabulary)
      throw h5::Hdf5Error(fmt::format("{}: token {} is outside the vocabulary", path, token));
}

// Memory before the columns are checked is bounded by the file: its first column must be stored as it is.
void read_steps(const h5::Group& group, std::int64_t vocabulary, Prompts& prompts) {
  const auto first = group.dataset("step");
  first.require_dims({prompts.all_steps});
  first.require_uncompressed();
  std::vector<Step> steps(prompts.all_steps);
  each_step_column([&]<typename Field>(const char* name, Field Step::*field, const char*) {
    const auto values = read_column<Field>(group, name, steps.size());
    for (std::size_t i = 0; i < steps.size(); ++i) steps[i].*field = static_cast<Field>(values[i]);
  });
  auto from = steps.begin();
  for (std::size_t i = 0; i < prompts.list.size(); ++i) {
    const auto to = from + static_cast<std::ptrdiff_t>(prompts.steps[i]);
    prompts.list[i].steps.assign(from, to);
    from = to;
  }
  for (const auto& step : steps) check_tokens(step, vocabulary, group.path());
}

// -- The two runs
// ---------------------------------------------------------------------------------------------
void write_run_group(hid_t root, const char* name, const RunSummary& run, const record::Identity& identity) {
  const auto group = h5::create_group(root, name);  // write_run describes it
  h5::write_attribute(group, "path", run.path);
  h5::write_attribute(group, "name", run.name);
  h5::write_attribute(group, "plan_text", run.plan);
  h5::write_attribute(group, "shards", std::int64_t{run.shards});
  h5::write_attribute(group, "complete", std::int64_t{run.complete ? 1 : 0});
  h5::write_attribute(group, "probabilities", std::int64_t{run.probabilities ? 1 : 0});
  h5::write_attribute(group, "prompts", run.prompts);
  h5::write_attribute(group, "file_bytes", identity.bytes);
  h5::write_attribute(group, "file_modified", identity.modified);
  h5::write_attribute(group, "file_prompts", identity.prompts);
  record::write_run(group, run.run, run.complete ? "complete" : "partial");
  record::write_timing(group,
                       {0, run.prefill_seconds, run.decode_seconds, run.prefill_tokens, run.decode_tokens});
  const auto pace =
      h5::create_group(group, "pace", "wall seconds of one row of a pass, over blocks of passes");
  h5::write_attribute(pace, "passes", run.pace.passes);
  h5::write_attribute(pace, "decode", std::int64_t{run.pace.decode ? 1 : 0});
  h5::write_attribute(pace, "seconds", run.pace.seconds);
  h5::write_attribute(pace, "fastest", run.pace.fastest);
  h5::write_attribute(pace, "slowest", run.pace.slowest);
}

Pace read_pace(const h5::Group& group) {
  Pace pace;
  pace.passes = group.integer("passes");
  pace.decode = group.integer("decode") != 0;
  pace.seconds = group.real("seconds");
  pace.fastest = group.real("fastest");
  pace.slowest = group.real("slowest");
  const bool ordered = pace.fastest <= pace.seconds && pace.seconds <= pace.slowest;
  if (pace.passes < 0 || !ordered || !std::isfinite(pace.slowest) || pace.fastest < 0 ||
      (pace.passes > 0) != (pace.fastest > 0))
    throw h5::Hdf5Error(group.path() + ": no times of passes");
  return pace;
}

RunSummary read_run_group(const h5::Group& group, record::Identity& identity) {
  RunSummary run;
  run.path = group.text("path");
  run.name = group.text("name");
  run.plan = group.text("plan_text");
  run.shards = static_cast<int>(group.integer("shards"));
  run.complete = group.integer("complete") != 0;
  run.probabilities = group.integer("probabilities") != 0;
  run.prompts = group.integer("prompts");
  run.run = record::read_run(group);
  const auto timing = record::read_timing(group);
  run.prefill_seconds = timing.prefill_seconds;
  run.decode_seconds = timing.decode_seconds;
  run.prefill_tokens = timing.prefill_tokens;
  run.decode_tokens = timing.decode_tokens;
  run.pace = read_pace(group.group("pace"));
  identity.resume_key = run.run.resume_key;
  identity.created = run.run.created;
  identity.prompts = group.text("file_prompts");
  identity.bytes = group.integer("file_bytes");
  identity.modified = group.integer("file_modified");
  return run;
}

void write_differences(hid_t root, const std::vector<Difference>& differences) {
  const auto group = h5::create_group(root, "differences", "in model, plan and environment, [n] each");
  std::vector<std::string> what;
  std::vector<std::string> reference;
  std::vector<std::string> candidate;
  for (const auto& one : differences) {
    what.push_back(one.what);
    reference.push_back(one.reference);
    candidate.push_back(one.candidate);
  }
  h5::write_texts(group, "what", what, "plan shards, library nccl, …");
  h5::write_texts(group, "reference", reference, "its value there, empty where it has none");
  h5::write_texts(group, "candidate", candidate, "its value there, empty where it has none");
}

std::vector<Difference> read_differences(const h5::Group& group) {
  const auto what = group.read_texts("what");
  const auto reference = group.read_texts("reference");
  const auto candidate = group.read_texts("candidate");
  if (reference.size() != what.size() || candidate.size() != what.size())
    throw h5::Hdf5Error(group.path() + ": datasets of different lengths");
  std::vector<Difference> differences;
  for (std::size_t i = 0; i < what.size(); ++i) differences.push_back({what[i], reference[i], candidate[i]});
  return differences;
}

void write_left_out(hid_t root, const char* name, const std::vector<LeftOut>& left_out,
                    const char* description) {
  const auto group = h5::create_group(root, name, description);
  std::vector<std::string> ids;
  std::vector<std::string> why;
  for (const auto& one : left_out) {
    ids.push_back(one.id);
    why.push_back(one.why);
  }
  h5::write_texts(group, "id", ids, "prompts");
  h5::write_texts(group, "why", why, "why they are not compared");
}

std::vector<LeftOut> read_left_out(const h5::Group& group) {
  const auto ids = group.read_texts("id");
  const auto why = group.read_texts("why");
  if (ids.size() != why.size()) throw h5::Hdf5Error(group.path() + ": datasets of different lengths");
  std::vector<LeftOut> left_out;
  for (std::size_t i = 0; i < ids.size(); ++i) left_out.push_back({ids[i], why[i]});
  return left_out;
}

KeptMetrics read_root(const h5::Group& root) {
  if (!root.has_attribute("metrics_schema"))
    throw h5::Hdf5Error("/@metrics_schema: missing; this is not a metrics file of shardrift");
  const std::int64_t schema = root.integer("metrics_schema");
  if (schema != kMetricsSchema)
    throw h5::Hdf5Error(fmt::format("/@metrics_schema: {}, this program reads {}", schema, kMetricsSchema));
  KeptMetrics kept;
  auto& measurement = kept.measurement;
  measurement.reference = read_run_group(root.group("reference"), kept.from.reference);
  measurement.candidate = read_run_group(root.group("candidate"), kept.from.candidate);
  measurement.differences = read_differences(root.group("differences"));
  measurement.missing_in_reference = root.read_texts("missing_in_reference");
  measurement.missing_in_candidate = root.read_texts("missing_in_candidate");
  measurement.left_out = read_left_out(root.group("left_out"));
  measurement.contradictory = read_left_out(root.group("contradictory"));
  auto prompts = read_prompts(root.group("prompts"));
  read_steps(root.group("steps"), measurement.reference.run.model.vocabulary, prompts);
  if (root.has("routes")) read_routes(root.group("routes"), prompts.list);
  measurement.prompts = std::move(prompts.list);
  return kept;
}

void write_root(hid_t root, const Measurement& measurement, const MeasuredFrom& from) {
  h5::write_attribute(root, "metrics_schema", kMetricsSchema);
  h5::write_attribute(root, "description",
                      "what shardrift compare measured between two runs (docs/file-format.md)");
  write_run_group(root, "reference", measurement.reference, from.reference);
  write_run_group(root, "candidate", measurement.candidate, from.candidate);
  write_differences(root, measurement.differences);
  h5::write_texts(root, "missing_in_reference", measurement.missing_in_reference,
                  "prompts of the candidate alone");
  h5::write_texts(root, "missing_in_candidate", measurement.missing_in_candidate,
                  "prompts of the reference alone");
  write_left_out(root, "left_out", measurement.left_out, "prompts that were fed other tokens, [n] each");
  write_left_out(root, "contradictory", measurement.contradictory,
                 "prompts of which a file says what cannot both be so, [n] each");
  write_prompts(root, measurement.prompts);
  write_steps(root, measurement.prompts);
  write_routes(root, measurement.prompts);
}

// Several processes may measure the same two runs at once.
fs::path temporary_name(const fs::path& path) {
  fs::path name = path;
  name += fmt::format(".{}-{:08x}.tmp", ::getpid(), std::random_device{}());
  return name;
}

std::string stem_of(const fs::path& record) {
  const auto name = record.filename();
  return name.extension() == ".h5" ? name.stem().string() : name.string();
}

}  // namespace

fs::path metrics_path(const fs::path& reference, const fs::path& candidate) {
  return candidate.parent_path() / (stem_of(candidate) + ".vs." + stem_of(reference) + ".metrics");
}

void write_metrics(const fs::path& path, const Measurement& measurement, const MeasuredFrom& from) {
  const fs::path temporary = temporary_name(path);
  try {
    {
      const h5::Lock lock;
      auto file = h5::create_file(temporary);
      write_root(file, measurement, from);
      h5::finish_file(file);
    }
    publish(temporary, path);
  } catch (const h5::Hdf5Error& error) {
    record::remove_quietly(temporary);
    throw failure("{}: cannot be written: {}", path.string(), error.what());
  } catch (const Error&) {
    record::remove_quietly(temporary);
    throw;
  }
}

KeptMetrics read_metrics(const fs::path& path) {
  const std::uint64_t bytes = record::regular_file_bytes(path);
  return record::reading(path, [&] {
    const auto file = h5::open_file(path);
    return read_root(h5::Group::root(file, bytes));
  });
}

}  // namespace shardrift::analysis
