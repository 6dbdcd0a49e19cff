#include "weights/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/error.hpp"
#include "common/system_reason.hpp"

namespace shardrift {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int value) : value_(value) {}
  ~FileDescriptor() {
    if (value_ >= 0) {
      ::close(value_);
    }
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

FileStamp stamp_of(const struct stat& status) {
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
          nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer; it is refused below. No effect on regular files.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) {
    throw bad_data("{}: cannot be opened: {}", path.string(), system_reason(errno));
  }
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) {
    throw bad_data("{}: cannot be examined: {}", path.string(), system_reason(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    throw bad_data("{}: not a regular file", path.string());
  }
  stamp_ = stamp_of(status);
  if (status.st_size == 0) {
    return;  // mmap refuses zero bytes
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (mapped == MAP_FAILED) {
    throw bad_data("{}: cannot be mapped ({} bytes): {}", path.string(), size, system_reason(errno));
  }
  data_ = static_cast<const std::byte*>(mapped);
  size_ = size;
}

void MappedFile::require_unchanged() const {
  struct stat status = {};
  if (::stat(path_.c_str(), &status) != 0 || status.st_ino != stamp_.inode ||
      status.st_dev != stamp_.device) {
    return;
  }
  const FileStamp now = stamp_of(status);
  // ctime alone changes with links and permissions too.
  if (now.mtime != stamp_.mtime || now.size != stamp_.size) {
    throw failure("{}: was written to while it was read: start again when it is whole", path_.string());
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    ::munmap(const_cast<std::byte*>(data_), size_);
  }
}

}  // namespace shardrift
