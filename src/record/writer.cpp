// The life of an output: prepare_output() before the first token, assemble() after the last.
#include "record/writer.hpp"

#include <optional>
#include <system_error>

#include "common/error.hpp"
#include "record/files.hpp"
#include "record/hdf5_copy.hpp"
#include "record/part_file.hpp"
#include "record/reader.hpp"

namespace shardrift::record {
namespace fs = std::filesystem;

namespace {

struct Existing {
  std::string resume_key;
  bool complete = false;
  std::string created;
  std::vector<std::string> ids;
};

// What an earlier run left; nullopt where it is no record that can be read.
std::optional<Existing> look_at(const fs::path& path) {
  try {
    const Reader reader = Reader::open(path);
    return Existing{reader.run().resume_key, reader.complete(), reader.run().created, reader.prompt_ids()};
  } catch (const Error&) {
    return std::nullopt;
  }
}

void require_directory(const fs::path& output) {
  const fs::path directory = output.has_parent_path() ? output.parent_path() : fs::path(".");
  std::error_code error;
  if (output.filename().empty() || fs::is_directory(output, error))
    throw usage_error("--output {}: is a directory, name a file in it", output.string());
  if (!fs::is_directory(directory, error))
    throw failure("--output {}: there is no directory {}: create it, or choose another --output",
                  output.string(), directory.string());
}

// A finished record of the same run leaves nothing to do, unless it was asked to run again.
std::optional<std::set<std::string>> finished_before(const WriterOptions& options, const RunInfo& run) {
  const fs::path& output = options.output;
  if (!is_there(output) || options.overwrite) return std::nullopt;
  const auto existing = look_at(output);
  if (!existing)
    throw usage_error(
        "{}: exists and is no record that can be read: choose another --output, or --overwrite it",
        output.string());
  if (existing->resume_key != run.resume_key || !existing->complete)
    throw usage_error(
        "{}: exists and holds another run (of {}; plan, model, prompts or limits differ): choose another "
        "--output, "
        "or --overwrite it",
        output.string(), existing->created);
  if (is_there(parts_directory(output)))
    remove_parts(parts_directory(output));  // a kill came between the two
  return std::set<std::string>(existing->ids.begin(), existing->ids.end());
}

// Prompts of an interrupted run that are whole. Others are removed: they run again.
std::set<std::string> resumable(const fs::path& parts, const RunInfo& run) {
  std::set<std::string> ids;
  for (const auto& id : part_ids(parts)) {
    try {
      read_part(parts, id, run);
      ids.insert(id);
    } catch (const Error&) {
      remove_quietly(part_path(parts, id));
    }
  }
  return ids;
}

bool same_header(const fs::path& parts, const RunInfo& run) {
  try {
    return reading(header_path(parts), [&] {
      return open_record_file(header_path(parts)).root.text("resume_key") == run.resume_key;
    });
  } catch (const Error&) {
    return false;
  }
}

void clear_foreign_parts(const WriterOptions& options, const fs::path& parts) {
  const bool has_header = is_there(header_path(parts));
  // Without header and parts: a kill before the first header, nothing is lost.
  if (!options.overwrite && (has_header || !part_ids(parts).empty()))
    throw usage_error(
        "{}: holds finished prompts of another, interrupted run (plan, model, prompts or limits differ): "
        "rerun that "
        "one, choose another --output, or discard them with --overwrite",
        parts.string());
  remove_parts(parts);
}

void write_header(const fs::path& parts, const RunInfo& run) {
  std::error_code error;
  fs::create_directory(parts, error);
  if (error)
    throw failure("{}: cannot be created: {}: choose an --output in a directory you may write to",
                  parts.string(), error.message());
  write_durably(header_path(parts), [&](hid_t root) { write_run(root, run, "partial"); });
  sync_directory(parts.parent_path());
}

void copy_prompt(const fs::path& parts, const std::string& id, hid_t prompts) {
  const fs::path path = part_path(parts, id);
  const auto part = open_record_file(path);
  const h5::Handle group(H5Gopen2(part.file, "prompts", H5P_DEFAULT), H5Gclose, path.string());
  h5::copy_group(group, id, prompts);
}

}  // namespace

std::set<std::string> prepare_output(const WriterOptions& options, const RunInfo& run) {
  const fs::path parts = parts_directory(options.output);
  require_directory(options.output);
  if (const auto done = finished_before(options, run)) return *done;
  remove_quietly(assembling_path(options.output));
  if (is_there(parts)) {
    std::error_code error;
    if (!fs::is_directory(parts, error))
      throw usage_error("{}: is in the way of the run's parts: move it, or choose another --output",
                        parts.string());
    if (same_header(parts, run)) return resumable(parts, run);
    clear_foreign_parts(options, parts);
  }
  write_header(parts, run);
  return {};
}

void assemble(const WriterOptions& options, const RunInfo& run, const RunTiming& timing) {
  const fs::path& output = options.output;
  const fs::path parts = parts_directory(output);
  if (!is_there(header_path(parts))) {
    const auto existing = look_at(output);
    if (existing && existing->complete && existing->resume_key == run.resume_key)
      return;  // nothing was left to do
    throw failure("{}: the run's parts are gone, {} cannot be assembled", parts.string(), output.string());
  }
  const fs::path temporary = assembling_path(output);
  const h5::Lock lock;
  try {
    const Reader reader = Reader::open(parts);
    if (reader.run().resume_key != run.resume_key)
      throw failure("{}: holds the parts of another run", parts.string());
    auto file = h5::create_file(temporary);
    write_run(file, run, "complete");
    write_timing(file, timing);
    {
      const auto prompts = create_prompts_group(file);
      for (const auto& id : reader.prompt_ids()) copy_prompt(parts, id, prompts);
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
  publish(temporary, output);  // over an older file, where --overwrite was given
  remove_parts(parts);
}

}  // namespace shardrift::record
