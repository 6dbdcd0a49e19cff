#include "record/hdf5_handles.hpp"

#include <string_view>

#include "common/system_reason.hpp"
#include "common/text.hpp"

namespace shardrift::record::h5 {
namespace {

std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

// The stack's walk starts at the innermost entry; a positive return stops it there.
herr_t keep_first(unsigned /*n*/, const H5E_error2_t* entry, void* out) {
  if (entry->desc == nullptr) return 0;
  *static_cast<std::string*>(out) = entry->desc;
  return 1;
}

// Drivers put errno and its text into a long line with buffer addresses: only the reason is for people.
std::string without_addresses(const std::string& reason) {
  constexpr std::string_view kKey = "errno = ";
  const auto begin = reason.find(kKey);
  if (begin == std::string::npos) return reason;
  const auto digits = std::string_view(reason).substr(begin + kKey.size());
  const auto error = number_from<int>(digits.substr(0, digits.find_first_not_of("0123456789")));
  return error ? system_reason(*error) : reason;
}

Handle access_properties() {
  Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "file access properties");
  // STRONG: closing a file closes what is still open in it, also after an error.
  check(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), "file close degree");
#if H5_VERSION_GE(1, 10, 7) && !(H5_VERS_MAJOR == 1 && H5_VERS_MINOR == 12 && H5_VERS_RELEASE == 0)
  // A file that is written has one writer by OutputLock, and appears under its name when it is whole.
  check(H5Pset_file_locking(access, false, true), "file locking");
#endif
  return access;
}

}  // namespace

Lock::Lock() : lock_(library_mutex()) {
  static const bool initialised = [] {
    H5dont_atexit();  // handles are closed by their owners; after a failed write HDF5's own exit code loops
    return H5open() >= 0;
  }();
  if (!initialised) throw Hdf5Error("the HDF5 library does not start");
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // errors are ours to report
}

std::string innermost_reason() {
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &reason);
  H5Eclear2(H5E_DEFAULT);
  return reason.empty() ? "HDF5 gives no reason" : without_addresses(reason);
}

void check(herr_t status, const std::string& what) {
  if (status < 0) throw Hdf5Error(what + ": " + innermost_reason());
}

bool check_bool(htri_t answer, const std::string& what) {
  check(answer, what);
  return answer > 0;
}

Handle create_file(const std::filesystem::path& path) {
  const Handle access = access_properties();
  // V110 on both ends: superblock, object headers and chunk indexes with checksums, readable since HDF5 1.10.
  check(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110), "file format version");
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "file creation properties");
  check(H5Pset_obj_track_times(creation, false), "root group without times");  // equal runs give equal files
  return {H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose, "cannot create the file"};
}

Handle open_file(const std::filesystem::path& path) {
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access_properties()), H5Fclose, "cannot open as HDF5");
  H5F_info2_t info;
  check(H5Fget_info2(file, &info), "superblock");
  if (info.super.version < 2) throw Hdf5Error("superblock: " + std::string(kOldFormat));
  return file;
}

void finish_file(Handle& file) {
  check(H5Fflush(file, H5F_SCOPE_GLOBAL), "cannot write");
  file.close("cannot close");
}

}  // namespace shardrift::record::h5
