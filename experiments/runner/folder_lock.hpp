// One study at a time in an output folder, and none while workers of a killed one still end.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

namespace shardrift::runner {

// A lock that lasts as long as this process or any program it started: they inherit it. So after kill -9 of a
// study the next one waits until the workers it left (they were told to end) are gone.
class FolderLock {
 public:
  // Throws usage_error where a study that is still alive holds it, or after half a minute; failure where the
  // folder cannot be written; interrupted where `stop` says so while it waits. say: told once where it has to
  // wait.
  FolderLock(const std::filesystem::path& folder, const std::function<void(const std::string&)>& say,
             const std::function<bool()>& stop);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

// Whether a study, or a worker that one left, holds the lock at this moment.
bool is_locked(const std::filesystem::path& folder);

}  // namespace shardrift::runner
