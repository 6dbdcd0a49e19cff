// A whole file, mapped read-only.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace shardrift {

// Which content a file has, as far as the file system tells: equal stamps, equal bytes.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime = 0;  // ns since the epoch
  std::int64_t ctime = 0;
  bool operator==(const FileStamp&) const = default;
};

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
  const FileStamp& stamp() const { return stamp_; }  // when it was opened
  // Throws failure where the mapped bytes may have changed since. (A file put in its place by renaming is
  // another one: the mapped bytes stay.)
  void require_unchanged() const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  FileStamp stamp_;
  std::filesystem::path path_;
};

}  // namespace shardrift
