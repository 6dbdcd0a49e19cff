// The HDF5 library is not hardened: a file made for it can make it crash (versions that distributions ship
// have known cases), although checksums catch what chance does to a file. Programs that read files of
// strangers install this guard; then such a crash, too, ends in one sentence that names the file, and exit
// code 65.
#pragma once
#include <filesystem>
#include <string>

namespace shardrift::record {

// Once, at the start of a program. Crashes outside of HDF5 are left as they are. Does nothing under
// sanitizers.
void install_crash_guard();

// While one lives, this thread is inside of HDF5 with that file.
class InsideLibrary {
 public:
  explicit InsideLibrary(const std::filesystem::path& path);
  ~InsideLibrary();
  InsideLibrary(const InsideLibrary&) = delete;
  InsideLibrary& operator=(const InsideLibrary&) = delete;

 private:
  const char* outer_;
};

}  // namespace shardrift::record
