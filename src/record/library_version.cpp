#include "record/library_version.hpp"

#include <fmt/core.h>
#include <hdf5.h>

#include "record/hdf5_handles.hpp"

namespace shardrift::record {

std::string hdf5_version() {
  const h5::Lock lock;
  unsigned major = 0;
  unsigned minor = 0;
  unsigned release = 0;
  h5::check(H5get_libversion(&major, &minor, &release), "the library's version");
  return fmt::format("{}.{}.{}", major, minor, release);
}

}  // namespace shardrift::record
