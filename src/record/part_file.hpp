// One part of OUT.h5.parts/: a whole small HDF5 file. Private to src/record.
#pragma once
#include <filesystem>
#include <functional>
#include <new>
#include <string>

#include "record/crash_guard.hpp"
#include "record/hdf5_read.hpp"
#include "record/schema.hpp"

namespace shardrift::record {

// Write a new HDF5 file under a temporary name and publish() it as `path`. `fill` gets the open file.
// Throws failure naming `path`; then nothing of that name has changed.
void write_durably(const std::filesystem::path& path, const std::function<void(hid_t root)>& fill);
// The same for a file of a run's parts, which is sealed (seal.hpp). Throws failure, too, where the run no
// longer owns its output.
void write_part(const WriterOptions& options, const std::filesystem::path& path,
                const std::function<void(hid_t root)>& fill);

// An open file: its handle and its root, checked to be a record of a schema this program reads.
struct OpenFile {
  h5::Handle file;
  h5::Group root;
};
// Throws bad_data naming the file: missing, no regular file, no HDF5, no record.
OpenFile open_record_file(const std::filesystem::path& path);

// Throws bad_data where there is no regular file: opening a pipe would wait for ever.
std::uint64_t regular_file_bytes(const std::filesystem::path& path);

[[noreturn]] void throw_bad_data(const std::filesystem::path& path, const char* reason);

// Run `read` under the library's lock and turn its Hdf5Error into bad_data "PATH: object: reason".
template <typename Read>
decltype(auto) reading(const std::filesystem::path& path, Read&& read) {
  const h5::Lock lock;
  const InsideLibrary inside(path);
  try {
    return read();
  } catch (const h5::Hdf5Error& error) {
    throw_bad_data(path, error.what());
  } catch (const std::bad_alloc&) {
    throw_bad_data(path, "claims more data than fit into memory");
  }
}

// The prompt of one part: of this run (resume_key), whole but for its logits. Throws bad_data.
PromptRecord read_part(const std::filesystem::path& parts, const std::string& id, const RunInfo& run);

}  // namespace shardrift::record
