// A whole file, mapped read-only.
#pragma once
#include <cstddef>
#include <filesystem>

namespace shardrift {

// The size is taken once, when the file is opened. A file that somebody truncates afterwards kills the reader
// with SIGBUS at the first touch of the missing part: POSIX offers no cheap guard, so checkpoints must not
// change under a run.
class MappedFile {
 public:
  explicit MappedFile(
      const std::filesystem::path& path);  // throws bad_data: missing, unreadable, no regular file
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  const std::byte* data() const { return data_; }  // nullptr for an empty file
  std::size_t size() const { return size_; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace shardrift
