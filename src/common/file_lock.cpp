#include "common/file_lock.hpp"

#include <sys/file.h>

#include <cerrno>

namespace shardrift {
namespace {

// ENOTSUPP, the kernel's own number: some network file systems let it through.
constexpr int kKernelsNotSupported = 524;

}  // namespace

Lock try_lock(int descriptor) {
  int status = 0;
  do status = ::flock(descriptor, LOCK_EX | LOCK_NB);
  while (status != 0 && errno == EINTR);
  if (status == 0) return Lock::taken;
  switch (errno) {
    case EWOULDBLOCK:
      return Lock::held;
    case ENOLCK:
    case ENOSYS:
    case ENOTSUP:
    case EINVAL:
    case kKernelsNotSupported:
      return Lock::unsupported;
    default:
      return Lock::failed;
  }
}

}  // namespace shardrift
