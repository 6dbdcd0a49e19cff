// RAII over the HDF5 C API, and its error stack as one sentence. Private to src/record.
#pragma once
#include <hdf5.h>

#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

namespace shardrift::record::h5 {

// What went wrong, without the file's name: the public functions add it and choose the exit code.
class Hdf5Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Debian's serial HDF5 is not thread-safe: everything that calls it holds this lock, so that a run may read
// one record (follow mode) while its writer thread writes another. Recursive: public functions call each
// other.
class Lock {
 public:
  Lock();

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

// The innermost entry of HDF5's error stack: "No space left on device", "bad object header version number", …
std::string innermost_reason();

// Throw Hdf5Error "WHAT: REASON" where the library reported an error (a negative value).
void check(herr_t status, const std::string& what);
bool check_bool(htri_t answer, const std::string& what);

class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle() = default;
  Handle(hid_t id, Close closer, const std::string& what) : id_(id), close_(closer) {
    if (id < 0) check(-1, what);
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }
  // Close now and learn of its errors: what a destructor cannot report.
  void close(const std::string& what) {
    const hid_t id = std::exchange(id_, H5I_INVALID_HID);
    if (id >= 0) check(close_(id), what);
  }

 private:
  hid_t id_ = H5I_INVALID_HID;
  Close close_ = nullptr;
};

// A new file in the 1.10 format, whose metadata carry checksums; an existing one is truncated.
Handle create_file(const std::filesystem::path& path);
// Read-only. Formats without checksums are refused, here and wherever an object is opened: the library does
// not survive all that chance can do to them.
Handle open_file(const std::filesystem::path& path);
inline constexpr const char* kOldFormat =
    "not a record of shardrift, or rewritten: an HDF5 format without checksums, records are in that of HDF5 "
    "1.10 (h5py: libver='v110')";
// Write everything out and close. Errors of a full disk surface here at the latest.
void finish_file(Handle& file);

}  // namespace shardrift::record::h5
