// The life of an output: prepare_output() before the first token, assemble() after the last.
#include "record/writer.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <system_error>
#include <unordered_map>

#include "common/error.hpp"
#include "record/files.hpp"
#include "record/hdf5_copy.hpp"
#include "record/hdf5_write.hpp"
#include "record/output_lock.hpp"
#include "record/part_file.hpp"
#include "record/reader.hpp"
#include "record/seal.hpp"
#include "record/verify.hpp"

namespace shardrift::record {
namespace fs = std::filesystem;

namespace {

// What an earlier run left under the output's name; nullopt where it is no record that can be read.
std::optional<Reader> open_existing(const fs::path& path) {
  try {
    return Reader::open(path);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Counts what is verified for whoever watches.
class Counted {
 public:
  Counted(std::size_t all, const Progress& progress) : all_(all), progress_(progress) {}
  void one() {
    ++done_;
    if (progress_) progress_(static_cast<double>(done_) / static_cast<double>(std::max(all_, done_)));
  }

 private:
  std::size_t all_;
  std::size_t done_ = 0;
  const Progress& progress_;
};

// The prompts that the run consists of, by id. Without any it is not known what it consists of.
class Wanted {
 public:
  explicit Wanted(const WriterOptions& options) {
    for (const auto& prompt : options.prompts) prompts_.emplace(prompt.id, &prompt);
  }
  bool is_this_runs(const Prompt& recorded) const {
    if (prompts_.empty()) return true;
    const auto found = prompts_.find(recorded.id);
    if (found == prompts_.end()) return false;
    const Prompt& prompt = *found->second;
    return prompt.index == recorded.index && prompt.text == recorded.text &&
           prompt.source == recorded.source && prompt.tokens == recorded.tokens;
  }

 private:
  std::unordered_map<std::string_view, const Prompt*> prompts_;
};

// A part is believed where its seal holds, and then where it is this run's. HDF5 sees no damaged file.
bool is_sound(const fs::path& parts, const Wanted& wanted, const RunInfo& run, const std::string& id,
              Seal seal) {
  if (seal != Seal::whole) return false;
  try {
    return wanted.is_this_runs(read_part(parts, id, run).prompt);
  } catch (const Error&) {
    return false;
  }
}

// Prompts that are recorded and need not run again. What is not sound is removed.
std::set<std::string> sound_parts(const WriterOptions& options, const RunInfo& run,
                                  const Progress& progress) {
  const fs::path parts = parts_directory(options.output);
  const auto there = part_ids(parts);
  std::vector<fs::path> files;
  for (const auto& id : there) files.push_back(part_path(parts, id));
  Counted counted(there.size(), progress);
  const Wanted wanted(options);
  std::set<std::string> ids;
  seals_of(files, [&](std::size_t i, Seal seal) {
    if (is_sound(parts, wanted, run, there[i], seal))
      ids.insert(there[i]);
    else
      remove_quietly(files[i]);
    counted.one();
  });
  return ids;
}

// The resume key in a file of the parts; empty where that cannot be known.
std::string key_in(const fs::path& file) {
  if (seal_of(file) == Seal::broken) return {};
  try {
    return reading(file, [&] { return open_record_file(file).root.text("resume_key"); });
  } catch (const Error&) {
    return {};
  }
}

// Whose parts: the header's word, else that of any part that is sound. Empty: nothing there can be read.
std::string key_of_parts(const fs::path& parts) {
  if (auto key = key_in(header_path(parts)); !key.empty()) return key;
  for (const auto& id : part_ids(parts))
    if (auto key = key_in(part_path(parts, id)); !key.empty()) return key;
  return {};
}

// Where it is whole, and no part under the header's name.
std::optional<RunInfo> read_header(const fs::path& file) {
  if (key_in(file).empty()) return std::nullopt;
  try {
    return reading(file, [&] { return read_run(open_record_file(file).root); });
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::optional<Numerics> numerics_in(const fs::path& part) {
  try {
    return reading(part, [&] { return read_part_numerics(open_record_file(part).root); });
  } catch (const Error&) {
    return std::nullopt;
  }
}

// In what the numerics of this run's parts differ from its own; by the header's word, else by each sound
// part's.
std::optional<std::string> other_numerics(const WriterOptions& options, const RunInfo& run,
                                          const std::optional<RunInfo>& header) {
  const auto now = numerics_of(run.environment);
  if (header) return first_difference(numerics_of(header->environment), now);
  const fs::path parts = parts_directory(options.output);
  bool silent = false;
  for (const auto& id : part_ids(parts)) {
    const auto part = part_path(parts, id);
    if (key_in(part) != run.resume_key) continue;
    const auto was = numerics_in(part);
    silent = silent || !was;
    if (const auto differs = was ? first_difference(*was, now) : std::nullopt) return differs;
  }
  if (silent && options.note)
    options.note(fmt::format(
        "{}: finished prompts of an older version do not say what computed them: it is taken to be the same",
        parts.string()));
  return std::nullopt;
}

void write_header(const WriterOptions& options, const RunInfo& run) {
  const fs::path parts = parts_directory(options.output);
  std::error_code error;
  fs::create_directory(parts, error);
  if (error)
    throw failure("{}: cannot be created: {}: choose an --output in a directory you may write to",
                  parts.string(), error.message());
  write_part(options, header_path(parts), [&](hid_t root) { write_run(root, run, "partial"); });
  sync_directory(parts.parent_path());
}

// Makes the parts' directory this run's, with its header. Throws usage_error where another run's results lie
// there and --overwrite does not give them up.
void claim_parts(const WriterOptions& options, const RunInfo& run) {
  const fs::path parts = parts_directory(options.output);
  if (is_there(parts)) {
    const auto key = key_of_parts(parts);
    const auto header = read_header(header_path(parts));
    const auto computed_otherwise =
        key == run.resume_key ? other_numerics(options, run, header) : std::optional<std::string>();
    if (computed_otherwise && !options.overwrite && !part_ids(parts).empty())
      throw usage_error(
          "{}: holds finished prompts of this run that were computed otherwise: {}: rerun it in the "
          "environment it began in, choose another --output, or discard them with --overwrite",
          parts.string(), *computed_otherwise);
    if (key == run.resume_key && header && !computed_otherwise) return;
    if (!key.empty() && key != run.resume_key && !options.overwrite)
      throw usage_error(
          "{}: holds finished prompts of another, interrupted run (plan, model, prompts or limits differ): "
          "rerun that one, choose another --output, or discard them with --overwrite",
          parts.string());
    if (key != run.resume_key || computed_otherwise) remove_parts(parts);
  }
  write_header(options, run);
}

void copy_prompt(
    const fs::path& from, const std::string& id, hid_t prompts,
    const std::function<void(std::size_t)>& copied = [](std::size_t) {}) {
  const auto file = open_record_file(from);
  const h5::Handle group(H5Gopen2(file.file, "prompts", H5P_DEFAULT), H5Gclose, from.string());
  h5::copy_group(group, id, prompts, copied);
}

// The prompts of a complete record that are what their hashes say.
std::set<std::string> sound_prompts(const Reader& record, const WriterOptions& options,
                                    const Progress& progress) {
  std::set<std::string> ids;
  const auto there = record.prompt_ids();
  Counted counted(there.size(), progress);
  const Wanted wanted(options);
  for (const auto& id : there) {
    try {
      if (!verify_prompt(record, id)) continue;  // this run's have all hashes
      if (wanted.is_this_runs(record.prompt(id).prompt)) ids.insert(id);
    } catch (const Error& error) {
      if (error.code() != ExitCode::bad_data) throw;  // damaged: runs again
    }
    counted.one();
  }
  return ids;
}

// Sound prompts of a record become parts again, so that the others can be run beside them.
void part_again(const WriterOptions& options, const RunInfo& run, const std::set<std::string>& sound) {
  claim_parts(options, run);
  const fs::path parts = parts_directory(options.output);
  const Wanted wanted(options);
  for (const auto& id : sound) {
    if (is_sound(parts, wanted, run, id, seal_of(part_path(parts, id)))) continue;
    write_part(options, part_path(parts, id), [&](hid_t root) {
      write_part_of(root, run.resume_key, numerics_of(run.environment));
      const auto prompts = create_prompts_group(root);
      copy_prompt(options.output, id, prompts);
    });
  }
}

// What tells the two runs apart, as far as the record says. Limits and files that are no model's and no
// prompts' stand in the command alone.
std::string what_differs(const RunInfo& existing, const RunInfo& run) {
  std::vector<std::string> what;
  const ModelInfo& was = existing.model;
  const ModelInfo& is = run.model;
  if (existing.plan != run.plan) what.emplace_back("the plans");
  const auto values = [&](const char* name, std::string_view old, std::string_view now) {
    if (old != now) what.push_back(fmt::format("{}, {} there and {} here", name, old, now));
  };
  values("the mode", existing.mode, run.mode);
  values("what is recorded", existing.level, run.level);
  values("the logits' dtype", name_of(existing.logits_dtype), name_of(run.logits_dtype));
  if (was.identity != is.identity) what.emplace_back("config.json or the tensors' names and shapes");
  if (was.weights.empty() && !is.weights.empty()) {
    what.emplace_back("perhaps the weights, which its older version did not hash");
  } else {
    if (was.weights != is.weights) what.emplace_back("the weights");
    if (was.generation_config != is.generation_config) what.emplace_back("generation_config.json");
    if (was.tokenizer != is.tokenizer) what.emplace_back("the tokenizer");
  }
  if (existing.prompts_hash != run.prompts_hash) what.emplace_back("the prompts");
  if (existing.version != run.version) what.emplace_back("the versions of shardrift");
  if (what.empty() && existing.command != run.command)
    what.push_back(fmt::format("the command; it was: {}", existing.command));
  if (what.empty())
    what.emplace_back("the command is the same, so a file that it names: it was changed since");
  return fmt::format("{}", fmt::join(what, ", "));
}

// A finished record of the same run leaves nothing to do, unless it was asked to run again or lacks
// something.
std::optional<std::set<std::string>> finished_before(const WriterOptions& options, const RunInfo& run,
                                                     const Progress& progress) {
  const fs::path& output = options.output;
  if (!is_there(output) || options.overwrite) return std::nullopt;
  std::set<std::string> sound;
  {
    const auto existing = open_existing(output);
    if (!existing)
      throw usage_error(
          "{}: exists and is no record that can be read: choose another --output, or --overwrite it",
          output.string());
    if (existing->run().resume_key != run.resume_key || !existing->complete())
      throw usage_error(
          "{}: exists and holds another run (of {}; what differs: {}): choose another --output, or "
          "--overwrite it",
          output.string(), existing->run().created, what_differs(existing->run(), run));
    if (const auto differs =
            first_difference(numerics_of(existing->run().environment), numerics_of(run.environment)))
      throw usage_error(
          "{}: exists and holds this run as it was computed otherwise (at {}): {}: choose the environment it "
          "was made in, another --output, or --overwrite it",
          output.string(), existing->run().created, *differs);
    sound = sound_prompts(*existing, options, progress);
    const auto there = existing->prompt_ids().size();
    const bool whole = sound.size() == there && (options.prompts.empty() || there == options.prompts.size());
    if (!whole) part_again(options, run, sound);
    if (!whole) return sound_parts(options, run, {});
  }
  if (is_there(parts_directory(output)))
    remove_parts(parts_directory(output));  // a kill came between the two
  return sound;
}

}  // namespace

void require_room(const fs::path& output) {
  const fs::path directory = output.has_parent_path() ? output.parent_path() : fs::path(".");
  std::error_code error;
  if (output.filename().empty() || fs::is_directory(output, error))
    throw usage_error("--output {}: is a directory, name a file in it", output.string());
  if (fs::exists(output, error) && !fs::is_regular_file(output, error))
    throw usage_error("--output {}: exists and is no regular file: choose another --output", output.string());
  if (!fs::is_directory(directory, error))
    throw failure("--output {}: there is no directory {}: create it, or choose another --output",
                  output.string(), directory.string());
  if (fs::is_directory(assembling_path(output), error))
    throw usage_error(
        "{}: is a directory, in the way of the record's assembly: move it, or choose another "
        "--output",
        assembling_path(output).string());
  if (is_there(parts_directory(output)) && !fs::is_directory(parts_directory(output), error))
    throw usage_error("{}: is in the way of the run's parts: move it, or choose another --output",
                      parts_directory(output).string());
}

std::vector<fs::path> files_of(const fs::path& output) {
  return {output, lock_path(output), assembling_path(output), parts_directory(output)};
}

bool has_earlier(const fs::path& output) {
  return is_there(output) || is_there(parts_directory(output));
}

std::set<std::string> prepare_output(const WriterOptions& options, const RunInfo& run,
                                     const Progress& progress) {
  require_room(options.output);
  if (const auto done = finished_before(options, run, progress)) return *done;
  remove_quietly(assembling_path(options.output));
  claim_parts(options, run);
  return sound_parts(options, run, progress);
}

std::vector<std::string> missing_prompts(const WriterOptions& options, const RunInfo& run,
                                         const Progress& progress) {
  if (!is_there(parts_directory(options.output))) return {};  // a complete record was found
  require_owner(options.output, options.owner);
  const auto sound = sound_parts(options, run, progress);
  std::vector<std::string> missing;
  for (const auto& prompt : options.prompts)
    if (!sound.contains(prompt.id)) missing.push_back(prompt.id);
  return missing;
}

void assemble(const WriterOptions& options, const RunInfo& run, const RunTiming& timing,
              const Progress& progress) {
  const fs::path& output = options.output;
  const fs::path parts = parts_directory(output);
  if (!is_there(header_path(parts))) {
    const auto existing = open_existing(output);
    if (existing && existing->complete() && existing->run().resume_key == run.resume_key)
      return;  // nothing was left to do
    throw failure("{}: the run's parts are gone, {} cannot be assembled", parts.string(), output.string());
  }
  require_owner(output, options.owner);
  std::vector<std::string> missing;
  for (const auto& prompt : options.prompts)
    if (!is_there(part_path(parts, prompt.id))) missing.push_back(prompt.id);
  if (!missing.empty())
    throw failure("{}: {} of {} prompts have no part in {}, the first is '{}': rerun the same command",
                  output.string(), missing.size(), options.prompts.size(), parts.string(), missing.front());
  const fs::path temporary = assembling_path(output);
  const h5::Lock lock;
  try {
    const Reader reader = Reader::open(parts);
    if (reader.run().resume_key != run.resume_key)
      throw failure("{}: holds the parts of another run", parts.string());
    remove_quietly(
        temporary);  // a new file: whoever may still write an old one of that name writes elsewhere
    auto file = h5::create_file(temporary);
    write_run(file, run, "complete");
    write_timing(file, timing);
    {
      const auto prompts = create_prompts_group(file);
      const auto ids = reader.prompt_ids();
      double all = 0, done = 0;
      for (const auto& id : ids) all += static_cast<double>(regular_file_bytes(part_path(parts, id)));
      const auto copied = [&](std::size_t bytes) {
        done += static_cast<double>(bytes);
        if (progress) progress(std::min(1.0, done / all));
      };
      for (const auto& id : ids) copy_prompt(part_path(parts, id), id, prompts, copied);
    }
    h5::finish_file(file);
  } catch (const h5::Hdf5Error& error) {
    remove_quietly(temporary);
    throw failure("{}: cannot be assembled: {}; the finished prompts stay in {}: make room and rerun",
                  output.string(), error.what(), parts.string());
  } catch (const Error&) {
    remove_quietly(temporary);
    throw;
  }
  require_owner(output, options.owner);
  publish(temporary, output);  // over an older file, where --overwrite was given
  remove_parts(parts);
}

}  // namespace shardrift::record
