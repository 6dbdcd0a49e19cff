#include "record/reader.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "record/files.hpp"
#include "record/hdf5_types.hpp"
#include "record/part_file.hpp"

namespace shardrift::record {
namespace fs = std::filesystem;

namespace {

// A record is OUT.h5, or the parts of a run that has not finished.
fs::path located(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error) && fs::is_directory(parts_directory(path), error))
    return parts_directory(path);
  return path;
}

LogitsShape shape_of(const RunInfo& run) {
  return {run.logits_dtype, run.model.vocabulary};
}

// A file's size and time of change.
struct Stamp {
  std::int64_t bytes = 0;
  std::int64_t modified = 0;  // ns since the epoch
  bool operator==(const Stamp&) const = default;
};

std::optional<Stamp> stamp_of(const fs::path& path) {
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0) return std::nullopt;
  return Stamp{about.st_size, std::int64_t{about.st_mtim.tv_sec} * 1'000'000'000 + about.st_mtim.tv_nsec};
}

void add_text(Sha256& hash, const std::string& text) {
  const std::string line = std::to_string(text.size()) + ":" + text;
  hash.update(line.data(), line.size());
}

std::string prompts_hash(const h5::Group& prompts) {
  auto ids = prompts.children();
  std::sort(ids.begin(), ids.end());
  Sha256 hash;
  for (const auto& id : ids) {
    if (!valid_id(id)) continue;
    add_text(hash, id);
    add_text(hash, prompts.group(id).text_or("hash", ""));
  }
  return hash.hex();
}

}  // namespace

std::uint64_t regular_file_bytes(const fs::path& path) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) throw bad_data("{}: no such file", path.string());
  if (!fs::is_regular_file(status)) throw bad_data("{}: is not a regular file", path.string());
  const auto bytes = fs::file_size(path, error);
  if (error) throw bad_data("{}: cannot be read: {}", path.string(), error.message());
  return bytes;
}

void throw_bad_data(const fs::path& path, const char* reason) {
  throw bad_data("{}: {}", path.string(), reason);
}

OpenFile open_record_file(const fs::path& path) {
  const std::uint64_t bytes = regular_file_bytes(path);
  return reading(path, [&] {
    auto file = h5::open_file(path);
    auto root = h5::Group::root(file, bytes);
    check_schema(root);
    return OpenFile{std::move(file), std::move(root)};
  });
}

PromptRecord read_part(const fs::path& parts, const std::string& id, const RunInfo& run) {
  const fs::path path = part_path(parts, id);
  return reading(path, [&] {
    const auto part = open_record_file(path);
    if (part.root.text("resume_key") != run.resume_key) throw h5::Hdf5Error("/@resume_key: is another run's");
    if (const auto numerics = read_part_numerics(part.root);
        numerics && *numerics != numerics_of(run.environment))
      throw h5::Hdf5Error("/numerics: are another environment's");
    return read_prompt(part.root.group("prompts"), id, shape_of(run));
  });
}

struct Reader::State {
  fs::path path;
  bool parts = false;
  bool complete = false;
  std::int64_t schema_minor = 0;
  Stamp stamp;  // of a record, when it was opened
  RunInfo run;
  RunTiming timing;
  std::vector<std::pair<std::int64_t, std::string>> prompts;  // index, id; ascending
  std::unordered_set<std::string> ids;                        // theirs
  std::optional<OpenFile> file;                               // the record; of parts: the one read last
  std::string open_id;                                        // of parts: which that is
  // The logits read last: rows are asked for in blocks.
  std::optional<h5::Dataset> logits;
  std::string logits_id;
  std::optional<HiddenDataset> hidden;
  std::string hidden_id;

  ~State() {
    const h5::Lock lock;
    hidden.reset();
    logits.reset();
    file.reset();
  }

  fs::path file_of(const std::string& id) const { return parts ? part_path(path, id) : path; }

  h5::Group prompts_of(const std::string& id) {
    if (!ids.contains(id)) throw h5::Hdf5Error(fmt::format("/prompts/{}: no such prompt", id));
    if (parts && open_id != id) {
      logits.reset();
      logits_id.clear();
      hidden.reset();
      hidden_id.clear();
      file.reset();
      file.emplace(open_record_file(part_path(path, id)));
      open_id = id;
      if (file->root.text("resume_key") != run.resume_key)
        throw h5::Hdf5Error("/@resume_key: is another run's");
    }
    return file->root.group("prompts");
  }

  void open_complete() {
    stamp = stamp_of(path).value_or(Stamp());  // a file that is not there is refused next
    reading(path, [&] {
      file.emplace(open_record_file(path));
      const std::string status = file->root.text("status");
      if (status != "complete" && status != "partial")
        throw h5::Hdf5Error(fmt::format("/@status: '{}' is neither complete nor partial", status));
      complete = status == "complete";
      schema_minor = file->root.integer_or("schema_minor", 0);
      run = read_run(file->root);
      timing = read_timing(file->root);
      const auto group = file->root.group("prompts");
      for (const auto& id : group.children())
        if (valid_id(id)) prompts.emplace_back(group.group(id).integer("index"), id);
    });
  }

  void open_parts() {
    reading(header_path(path), [&] {
      const auto header = open_record_file(header_path(path));
      run = read_run(header.root);
      schema_minor = header.root.integer("schema_minor");
    });
    for (const auto& id : part_ids(path))
      reading(part_path(path, id), [&] {
        const auto part = open_record_file(part_path(path, id));
        if (part.root.text("resume_key") != run.resume_key)
          throw h5::Hdf5Error("/@resume_key: is another run's");
        prompts.emplace_back(part.root.group("prompts").group(id).integer("index"), id);
      });
  }
};

Reader::Reader(std::unique_ptr<State> state) : state_(std::move(state)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

Reader Reader::open(const fs::path& path) {
  auto state = std::make_unique<State>();
  std::error_code error;
  state->path = located(path);
  state->parts = fs::is_directory(state->path, error);
  if (state->parts && !is_there(header_path(state->path)))
    throw bad_data("{}: is a directory without {}, no run's parts", state->path.string(),
                   header_path(state->path).filename().string());
  if (state->parts)
    state->open_parts();
  else
    state->open_complete();
  std::sort(state->prompts.begin(), state->prompts.end());
  for (const auto& [index, id] : state->prompts) state->ids.insert(id);
  return Reader(std::move(state));
}

const fs::path& Reader::path() const {
  return state_->path;
}
bool Reader::complete() const {
  return state_->complete;
}
std::int64_t Reader::schema_minor() const {
  return state_->schema_minor;
}
const RunInfo& Reader::run() const {
  return state_->run;
}
const RunTiming& Reader::timing() const {
  return state_->timing;
}

std::vector<std::string> Reader::prompt_ids() const {
  std::vector<std::string> ids;
  for (const auto& [index, id] : state_->prompts) ids.push_back(id);
  return ids;
}

std::optional<Identity> Reader::identity() const {
  if (state_->parts) return std::nullopt;
  return reading(state_->path, [&] {
    const auto& root = state_->file->root;
    return std::optional<Identity>({root.text_or("resume_key", ""), root.text_or("created", ""),
                                    prompts_hash(root.group("prompts")), state_->stamp.bytes,
                                    state_->stamp.modified});
  });
}

bool Reader::unchanged() const {
  return !state_->parts && stamp_of(state_->path) == state_->stamp;
}

PromptRecord Reader::prompt(const std::string& id) const {
  return reading(state_->file_of(id),
                 [&] { return read_prompt(state_->prompts_of(id), id, shape_of(state_->run)); });
}

bool Reader::has_logits(const std::string& id) const {
  return reading(state_->file_of(id), [&] { return state_->prompts_of(id).group(id).has("logits"); });
}

void Reader::read_logits(const std::string& id, std::int64_t begin, std::int64_t end,
                         std::vector<std::byte>& out) const {
  reading(state_->file_of(id), [&] {
    const LogitsShape shape = shape_of(state_->run);
    if (state_->logits_id != id) {
      state_->logits.reset();
      state_->logits_id.clear();
      state_->logits = open_logits(state_->prompts_of(id).group(id), shape, std::nullopt);
      if (!state_->logits) throw h5::Hdf5Error(fmt::format("/prompts/{}/logits: were not recorded", id));
      state_->logits_id = id;
    }
    const auto steps = static_cast<std::int64_t>(state_->logits->dims()[0]);
    if (begin < 0 || end < begin || end > steps)
      throw h5::Hdf5Error(fmt::format("/prompts/{}/logits: rows [{}, {}) of {}", id, begin, end, steps));
    out.resize(static_cast<std::size_t>(end - begin) * static_cast<std::size_t>(shape.vocabulary) *
               size_of(shape.dtype));
    state_->logits->read_rows(h5::float_type(shape.dtype), static_cast<std::uint64_t>(begin),
                              static_cast<std::uint64_t>(end), out.data());
  });
}

Sketches Reader::sketches(const std::string& id) const {
  return reading(state_->file_of(id), [&] {
    const auto prompt = state_->prompts_of(id).group(id);
    if (!prompt.has("sketches")) return Sketches();
    const auto steps = prompt.read_int32("positions").size();
    return read_sketches(prompt.group("sketches"), steps, true);
  });
}

void Reader::read_hidden(const std::string& id, std::int64_t stream, std::int64_t begin, std::int64_t end,
                         std::vector<std::byte>& out) const {
  reading(state_->file_of(id), [&] {
    if (state_->hidden_id != id) {
      state_->hidden.reset();
      state_->hidden_id.clear();
      state_->hidden = open_hidden(state_->prompts_of(id).group(id), std::nullopt);
      if (!state_->hidden) throw h5::Hdf5Error(fmt::format("/prompts/{}/hidden: was not recorded", id));
      state_->hidden_id = id;
    }
    const auto& [words, dtype] = *state_->hidden;
    const auto& dims = words.dims();
    if (stream < 0 || stream >= static_cast<std::int64_t>(dims[0]) || begin < 0 || end < begin ||
        end > static_cast<std::int64_t>(dims[1]))
      throw h5::Hdf5Error(fmt::format("/prompts/{}/hidden: rows [{}, {}) of {}, stream {} of {}", id, begin,
                                      end, dims[1], stream, dims[0]));
    out.resize(static_cast<std::size_t>(end - begin) * dims[2] * size_of(dtype));
    words.read_plane_rows(h5::float_type(dtype), static_cast<std::uint64_t>(stream),
                          static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end), out.data());
  });
}

}  // namespace shardrift::record
