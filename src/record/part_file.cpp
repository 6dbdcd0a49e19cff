#include "record/part_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "common/error.hpp"
#include "record/files.hpp"
#include "record/hdf5_write.hpp"
#include "record/output_lock.hpp"
#include "record/seal.hpp"
#include "record/writer.hpp"

namespace shardrift::record {
namespace fs = std::filesystem;

namespace {

Error cannot_be_written(const fs::path& path, const h5::Hdf5Error& error) {
  return failure("{}: cannot be written: {}; what was recorded before is kept: make room and rerun",
                 path.string(), error.what());
}

// What becomes `path`, under its temporary name.
void fill_file(const fs::path& temporary, const fs::path& path, const std::function<void(hid_t root)>& fill) {
  try {
    const h5::Lock lock;
    auto file = h5::create_file(temporary);
    fill(file);
    h5::finish_file(file);
  } catch (const h5::Hdf5Error& error) {
    remove_quietly(temporary);
    throw cannot_be_written(path, error);
  }
}

}  // namespace

void write_durably(const fs::path& path, const std::function<void(hid_t root)>& fill) {
  const fs::path temporary = temporary_path(path, "");
  fill_file(temporary, path, fill);
  publish(temporary, path);
}

PartFile::PartFile(const WriterOptions& options, fs::path path)
    : options_(options), path_(std::move(path)), temporary_(temporary_path(path_, options.owner)) {}

PartFile::~PartFile() {
  discard();
  if (descriptor_ >= 0) ::close(descriptor_);
}

void PartFile::discard() {
  if (!there_) return;
  {
    const h5::Lock lock;
    file_ = {};
  }
  remove_quietly(temporary_);
  there_ = false;
}

void PartFile::write(const std::function<void(hid_t root)>& write) {
  try {
    const h5::Lock lock;
    if (!there_) {
      file_ = h5::create_file(temporary_);
      there_ = true;
      descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CLOEXEC);
    }
    write(file_);
  } catch (const h5::Hdf5Error& error) {
    throw cannot_be_written(path_, error);
  }
}

void PartFile::start_flushing() const {
#ifdef SYNC_FILE_RANGE_WRITE
  // Else the disk would stand still until the part is whole. Where it cannot be asked to begin, fsync does
  // all.
  if (descriptor_ >= 0) (void)::sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE);
#endif
}

void PartFile::close(std::vector<Extent> extents) {
  try {
    const h5::Lock lock;
    h5::finish_file(file_);
  } catch (const h5::Hdf5Error& error) {
    throw cannot_be_written(path_, error);
  }
  seal(temporary_, std::move(extents));
  require_owner(options_.output, options_.owner);
}

void PartFile::publish() {
  shardrift::publish(temporary_, path_);
  there_ = false;
}

void write_part(const WriterOptions& options, const fs::path& path,
                const std::function<void(hid_t root)>& fill) {
  PartFile part(options, path);
  part.write(fill);
  part.close();
  part.publish();
}

}  // namespace shardrift::record
