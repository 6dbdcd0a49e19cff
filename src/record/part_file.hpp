// One part of OUT.h5.parts/: a whole small HDF5 file. Private to src/record.
#pragma once
#include <filesystem>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "record/crash_guard.hpp"
#include "record/hdf5_read.hpp"
#include "record/schema.hpp"
#include "record/seal.hpp"

namespace shardrift::record {

// Write a new HDF5 file under a temporary name and publish() it as `path`. `fill` gets the open file.
// Throws failure naming `path`; then nothing of that name has changed.
void write_durably(const std::filesystem::path& path, const std::function<void(hid_t root)>& fill);

// A file of a run's parts while it is written, under its temporary name. All throw failure naming its path,
// and what was written is removed then, and where it was not published.
class PartFile {
 public:
  PartFile(const WriterOptions& options, std::filesystem::path path);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  // Calls write(root) under the library's lock; makes the file where there is none yet.
  void write(const std::function<void(hid_t root)>& write);
  // Of what was written so far, without waiting for its end. By any thread, beside the others.
  void start_flushing() const;
  // Closes it and seals it (seal.hpp); extents: hashed before they were written. Throws, too, where the run
  // no longer owns its output.
  void close(std::vector<Extent> extents = {});
  void publish();  // flushes it to the disk and gives it its name

 private:
  void discard();

  const WriterOptions& options_;
  std::filesystem::path path_, temporary_;
  h5::Handle file_;
  int descriptor_ = -1;  // of our own, for start_flushing()
  bool there_ = false;
};
// All of it at once.
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

// The prompt of one part: of this run (resume_key, numerics), whole but for its logits. Throws bad_data.
PromptRecord read_part(const std::filesystem::path& parts, const std::string& id, const RunInfo& run);

}  // namespace shardrift::record
