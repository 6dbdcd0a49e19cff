#include "worker/limits.hpp"

#include <sys/resource.h>

#include "common/error.hpp"

namespace shardrift {
namespace {

// Measured: what OpenMPI 4.1 with its PMIx 4 starts with, one rank.
constexpr rlim_t kLargestFile = rlim_t{4} << 20U;  // shared memory of PMIx
constexpr rlim_t kOpenFiles = 32;

}  // namespace

void settle_limits() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);  // else it stays as it is
    getrlimit(RLIMIT_NOFILE, &files);
  }
  if (files.rlim_cur < kOpenFiles)
    throw usage_error("only {} files may be open at a time, MPI alone needs {}: raise ulimit -n",
                      files.rlim_cur, kOpenFiles);
  rlimit size{};
  if (getrlimit(RLIMIT_FSIZE, &size) == 0 && size.rlim_cur < kLargestFile)
    throw usage_error("files may have at most {} bytes, MPI alone needs {}: raise ulimit -f", size.rlim_cur,
                      kLargestFile);
}

}  // namespace shardrift
