#include "common/durable_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <system_error>

#include "common/error.hpp"
#include "common/system_reason.hpp"

namespace shardrift {
namespace fs = std::filesystem;

namespace {

void sync(const fs::path& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
  if (descriptor < 0)
    throw failure("{}: cannot be opened to flush it: {}", path.string(), system_reason(errno));
  const int status = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  // EINVAL: a file system that has nothing to flush.
  if (status != 0 && error != EINVAL)
    throw failure("{}: cannot be flushed to disk: {}", path.string(), system_reason(error));
}

}  // namespace

void publish(const fs::path& temporary, const fs::path& final_name) {
  sync(temporary, O_RDONLY);
  std::error_code error;
  fs::rename(temporary, final_name, error);
  if (error)
    throw failure("{}: cannot be renamed to {}: {}", temporary.string(), final_name.string(),
                  error.message());
  sync_directory(final_name.parent_path());
}

void sync_directory(const fs::path& directory) {
  sync(directory.empty() ? fs::path(".") : directory, O_RDONLY | O_DIRECTORY);
}

void write_text_durably(const fs::path& path, std::string_view text) {
  fs::path temporary = path;
  temporary += ".tmp";
  errno = 0;
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) {
    const auto reason = errno == 0 ? "unknown reason" : system_reason(errno);
    std::error_code ignored;  // what cannot be written may not be removable either
    fs::remove(temporary, ignored);
    throw failure("{}: cannot be written: {}", path.string(), reason);
  }
  publish(temporary, path);
}

}  // namespace shardrift
