#include "experiments/runner/folder_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "common/error.hpp"
#include "common/file_lock.hpp"
#include "common/system_reason.hpp"

namespace shardrift::runner {
namespace {

constexpr int kWaitSeconds = 30;

pid_t written_pid(int descriptor) {
  std::array<char, 32> text{};
  if (pread(descriptor, text.data(), text.size() - 1, 0) <= 0) return 0;
  return static_cast<pid_t>(std::strtol(text.data(), nullptr, 10));
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder,
                       const std::function<void(const std::string&)>& say,
                       const std::function<bool()>& stop) {
  const auto path = folder / ".lock";
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT, 0666);  // inherited: no O_CLOEXEC
  if (descriptor_ < 0) throw failure("{}: cannot be written: {}", path.string(), system_reason(errno));
  for (int tenths = 0;; ++tenths) {
    const Lock lock = try_lock(descriptor_);
    if (lock == Lock::taken) break;
    const int error = errno;
    const pid_t holder = written_pid(descriptor_);
    const bool alive = holder > 0 && kill(holder, 0) == 0;
    // Without locks, whether the study itself lives is all that can be known; each run locks its own record.
    if (lock == Lock::unsupported && !alive) break;
    const bool stopped = stop();
    if (lock == Lock::failed || alive || stopped || tenths >= 10 * kWaitSeconds) {
      ::close(descriptor_);
      if (lock == Lock::failed)
        throw failure("{}: cannot be locked: {}", path.string(), system_reason(error));
      if (stopped) throw Error(ExitCode::interrupted, "interrupted before anything was started");
      if (alive)
        throw usage_error(
            "{}: another study (process {}) is running there: wait for it or use another --output",
            folder.string(), holder);
      throw usage_error("{}: workers of an earlier study still run there: end them first (fuser {})",
                        folder.string(), path.string());
    }
    if (tenths == 0) say("waiting for the workers of an earlier, killed study to end");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  const auto text = std::to_string(getpid()) + "\n";
  if (ftruncate(descriptor_, 0) != 0 ||
      pwrite(descriptor_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    const int error = errno;
    ::close(descriptor_);
    throw failure("{}: cannot be written: {}", path.string(), system_reason(error));
  }
}

bool is_locked(const std::filesystem::path& folder) {
  const int descriptor = ::open((folder / ".lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool free = flock(descriptor, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK;
  ::close(descriptor);
  return !free;
}

FolderLock::~FolderLock() {
  ::close(descriptor_);
}

}  // namespace shardrift::runner
