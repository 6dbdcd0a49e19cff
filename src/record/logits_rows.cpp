#include "record/logits_rows.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>

#include "common/error.hpp"
#include "common/system_reason.hpp"
#include "record/files.hpp"
#include "record/fletcher32.hpp"
#include "record/hdf5_types.hpp"
#include "record/part_file.hpp"

namespace shardrift::record {
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMaxDirectChunk = 64U << 20U;
constexpr std::size_t kChecksumBytes = 4;

// Where the chunks of a dataset lie in its file.
struct Chunks {
  int descriptor = -1;    // HDF5's own: the file that was checked, whatever its name stands for now
  std::int64_t rows = 0;  // of one chunk
  std::size_t bytes = 0;  // of its elements, without the checksum
  bool checksum = false;
  std::vector<std::int64_t> address;
};

// nullopt unless the only filter is fletcher32, or there is none.
std::optional<bool> has_checksum(hid_t properties) {
  const int count = H5Pget_nfilters(properties);
  if (count == 0) return false;
  if (count != 1) return std::nullopt;
  unsigned flags = 0;
  std::size_t values = 0;
  unsigned config = 0;
  if (H5Pget_filter2(properties, 0, &flags, &values, nullptr, 0, nullptr, &config) != H5Z_FILTER_FLETCHER32)
    return std::nullopt;
  return true;
}

// -1 where the file is not read through an ordinary descriptor.
int descriptor_of(hid_t file) {
  const h5::Handle access(H5Fget_access_plist(file), H5Pclose, "file access");
  hsize_t user_block = 0;
  const h5::Handle creation(H5Fget_create_plist(file), H5Pclose, "file creation");
  h5::check(H5Pget_userblock(creation, &user_block), "user block");
  if (H5Pget_driver(access) != H5FD_SEC2 || user_block != 0) return -1;
  void* handle = nullptr;
  if (H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) < 0 || handle == nullptr) return -1;
  return *static_cast<int*>(handle);
}

#if H5_VERSION_GE(1, 10, 5)
// nullopt where a chunk is not as the writer stores them.
std::optional<Chunks> chunks_of(hid_t file, const h5::Dataset& logits, std::size_t row_bytes,
                                std::uint64_t file_bytes) {
  const h5::Handle properties(H5Dget_create_plist(logits.id()), H5Pclose, logits.path());
  if (H5Pget_layout(properties) != H5D_CHUNKED) return std::nullopt;
  const auto checksum = has_checksum(properties);
  std::array<hsize_t, 2> chunk{};
  if (!checksum || H5Pget_chunk(properties, 2, chunk.data()) != 2) return std::nullopt;
  const hsize_t rows = logits.dims()[0];
  if (chunk[1] != logits.dims()[1] || chunk[0] == 0 || chunk[0] > kMaxDirectChunk / row_bytes)
    return std::nullopt;
  Chunks out;
  out.descriptor = descriptor_of(file);
  if (out.descriptor < 0) return std::nullopt;
  out.rows = static_cast<std::int64_t>(chunk[0]);
  out.bytes = static_cast<std::size_t>(chunk[0]) * row_bytes;
  out.checksum = *checksum;
  const hsize_t stored = out.bytes + (out.checksum ? kChecksumBytes : 0);
  for (hsize_t row = 0; row < rows; row += chunk[0]) {
    const std::array<hsize_t, 2> offset{row, 0};
    unsigned skipped = 0;
    haddr_t address = HADDR_UNDEF;
    hsize_t size = 0;
    h5::check(H5Dget_chunk_info_by_coord(logits.id(), offset.data(), &skipped, &address, &size),
              logits.path());
    if (address == HADDR_UNDEF || skipped != 0 || size != stored || address > file_bytes ||
        size > file_bytes - address)
      return std::nullopt;
    out.address.push_back(static_cast<std::int64_t>(address));
  }
  return out;
}
#else
std::optional<Chunks> chunks_of(hid_t, const h5::Dataset&, std::size_t, std::uint64_t) {
  return std::nullopt;
}
#endif

// Both parts in one call, or as many as it takes.
void read_fully(int descriptor, std::array<iovec, 2> parts, std::int64_t offset, const std::string& what) {
  std::size_t first = 0;
  while (first < parts.size()) {
    const auto got = ::preadv(descriptor, &parts[first], static_cast<int>(parts.size() - first), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw h5::Hdf5Error(what + ": " + system_reason(errno));
    if (got == 0) throw h5::Hdf5Error(what + ": the file ends before");
    offset += got;
    auto left = static_cast<std::size_t>(got);
    while (first < parts.size() && left >= parts[first].iov_len) left -= parts[first++].iov_len;
    if (first < parts.size()) {
      parts[first].iov_base = static_cast<std::byte*>(parts[first].iov_base) + left;
      parts[first].iov_len -= left;
    }
  }
}

}  // namespace

struct LogitsRows::State {
  fs::path path;
  std::optional<OpenFile> file;
  std::optional<h5::Dataset> logits;
  DType dtype = DType::float32;
  std::size_t row_bytes = 0;
  std::int64_t rows = 0;
  std::optional<Chunks> chunks;

  ~State() {
    const h5::Lock lock;
    logits.reset();
    file.reset();
  }

  std::string rows_text(std::int64_t begin, std::int64_t end) const {
    return logits->path() + fmt::format(" rows {} to {}", begin, end - 1);
  }

  // Chunk `index` into `out`, checksum verified.
  void read_chunk(std::size_t index, std::byte* out) const {
    const auto begin = static_cast<std::int64_t>(index) * chunks->rows;
    const std::string what = rows_text(begin, std::min(rows, begin + chunks->rows));
    std::uint32_t stored = 0;
    read_fully(chunks->descriptor,
               {iovec{out, chunks->bytes}, iovec{&stored, chunks->checksum ? sizeof(stored) : 0}},
               chunks->address[index], what);
    if (chunks->checksum && !same_fletcher32(stored, fletcher32(out, chunks->bytes)))
      throw h5::Hdf5Error(what + ": data error detected by Fletcher32 checksum");
  }

  void read_direct(std::int64_t begin, std::int64_t end, std::byte* out) const {
    std::vector<std::byte> whole;
    for (std::int64_t index = begin / chunks->rows; index * chunks->rows < end; ++index) {
      const std::int64_t first = std::max(begin, index * chunks->rows);
      const std::int64_t last = std::min(end, (index + 1) * chunks->rows);
      std::byte* const to = out + static_cast<std::size_t>(first - begin) * row_bytes;
      if (last - first == chunks->rows) {
        read_chunk(static_cast<std::size_t>(index), to);
        continue;
      }
      whole.resize(chunks->bytes);
      read_chunk(static_cast<std::size_t>(index), whole.data());
      std::memcpy(to, whole.data() + static_cast<std::size_t>(first - index * chunks->rows) * row_bytes,
                  static_cast<std::size_t>(last - first) * row_bytes);
    }
  }
};

LogitsRows::LogitsRows(std::unique_ptr<State> state) : state_(std::move(state)) {}
LogitsRows::LogitsRows(LogitsRows&&) noexcept = default;
LogitsRows& LogitsRows::operator=(LogitsRows&&) noexcept = default;
LogitsRows::~LogitsRows() = default;

LogitsRows LogitsRows::open(const Reader& reader, const std::string& id) {
  const RunInfo& run = reader.run();
  std::error_code error;
  const bool parts = fs::is_directory(reader.path(), error);
  auto state = std::make_unique<State>();
  state->path = parts ? part_path(reader.path(), id) : reader.path();
  state->dtype = run.logits_dtype;
  state->row_bytes = static_cast<std::size_t>(run.model.vocabulary) * size_of(run.logits_dtype);
  reading(state->path, [&] {
    state->file.emplace(open_record_file(state->path));
    if (state->file->root.text_or("resume_key", "") != run.resume_key)
      throw h5::Hdf5Error("/@resume_key: is another run's");
    const auto prompt = state->file->root.group("prompts").group(id);
    state->logits = open_logits(prompt, {run.logits_dtype, run.model.vocabulary}, std::nullopt);
    if (!state->logits) throw h5::Hdf5Error(fmt::format("/prompts/{}/logits: were not recorded", id));
    state->rows = static_cast<std::int64_t>(state->logits->dims()[0]);
    state->chunks = chunks_of(state->file->file, *state->logits, state->row_bytes, prompt.file_bytes());
  });
  return LogitsRows(std::move(state));
}

std::int64_t LogitsRows::rows() const {
  return state_->rows;
}
std::size_t LogitsRows::row_bytes() const {
  return state_->row_bytes;
}
std::int64_t LogitsRows::rows_together() const {
  return state_->chunks ? state_->chunks->rows : 1;
}
bool LogitsRows::direct() const {
  return state_->chunks.has_value();
}

void LogitsRows::read(std::int64_t begin, std::int64_t end, std::vector<std::byte>& out) const {
  const State& state = *state_;
  if (begin < 0 || end < begin || end > state.rows)
    throw bad_data("{}: {}: rows [{}, {}) of {}", state.path.string(), state.logits->path(), begin, end,
                   state.rows);
  out.resize(static_cast<std::size_t>(end - begin) * state.row_bytes);
  if (!state.chunks) {
    reading(state.path, [&] {
      state.logits->read_rows(h5::float_type(state.dtype), static_cast<std::uint64_t>(begin),
                              static_cast<std::uint64_t>(end), out.data());
    });
    return;
  }
  try {
    state.read_direct(begin, end, out.data());
  } catch (const h5::Hdf5Error& problem) {
    throw_bad_data(state.path, problem.what());
  }
}

}  // namespace shardrift::record
