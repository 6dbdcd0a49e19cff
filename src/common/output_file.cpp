#include "common/output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "common/durable_file.hpp"
#include "common/error.hpp"
#include "common/input_files.hpp"
#include "common/name_length.hpp"
#include "common/system_reason.hpp"

namespace shardrift {
namespace {

constexpr const char* kLongestSuffix = ".4194304.tmp";  // with a process number: OutputFile

// Targets of this command: two flags may not name one file.
std::vector<std::filesystem::path>& opened() {
  static std::vector<std::filesystem::path> paths;
  return paths;
}

// A stream tells only that it failed. One byte more fails for the same reason.
std::string why_not_written(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  const bool written = descriptor >= 0 && ::write(descriptor, "\n", 1) == 1;
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  return written ? "unknown reason" : system_reason(error);
}

}  // namespace

OutputFile::OutputFile(std::string flag, std::string path, const std::vector<std::string>& inputs)
    : flag_(std::move(flag)), path_(std::move(path)) {
  namespace fs = std::filesystem;
  if (path_.empty()) return;
  refuse_long_name(flag_, path_, path_ + kLongestSuffix);
  refuse_input(flag_, path_, inputs);
  std::error_code ignored;
  target_ = resolved(path_);
  // A pipe or a device is written as it is; a file appears whole, under its name, or not at all.
  const bool special = fs::exists(target_, ignored) && !fs::is_regular_file(target_, ignored);
  // Two results would mix, or one replace the other; a device such as /dev/null takes any number.
  if (!fs::is_character_file(target_, ignored) &&
      std::find(opened().begin(), opened().end(), target_) != opened().end())
    throw usage_error("{} {}: is written already, for another flag; name another", flag_, path_);
  written_ = special ? target_ : fs::path(target_.string() + fmt::format(".{}.tmp", getpid()));
  errno = 0;
  file_.open(written_, std::ios::binary | std::ios::trunc);
  if (!file_) throw failure("{} {}: cannot be written: {}", flag_, path_, system_reason(errno));
  opened().push_back(target_);
}

OutputFile::~OutputFile() {
  std::error_code ignored;
  if (written_ != target_) std::filesystem::remove(written_, ignored);  // closed: there is none
}

void OutputFile::close() {
  if (!wanted()) return;
  file_.close();
  if (!file_) throw failure("{} {}: cannot be written: {}", flag_, path_, why_not_written(written_));
  if (written_ != target_) publish(written_, target_);
}

}  // namespace shardrift
