#include "common/standard_output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "common/error.hpp"
#include "common/system_reason.hpp"

namespace shardrift {
namespace {

int ours = STDOUT_FILENO;

}  // namespace

void guard_standard_files() {
  for (const int file : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(file, F_GETFD) != -1) continue;
    // The lowest that is free, so this one; opened for what it is not used for.
    if (::open("/dev/null", file == STDIN_FILENO ? O_WRONLY : O_RDONLY) != file)
      throw failure("/dev/null cannot be opened: {}", system_reason(errno));
  }
}

void claim_standard_output() {
  const int copy = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (copy < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
    throw failure("standard output cannot be set aside: {}", system_reason(errno));
  ours = copy;
}

void print(const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t written = ::write(ours, text.data() + done, text.size() - done);
    if (written >= 0) {
      done += static_cast<std::size_t>(written);
    } else if (errno == EAGAIN) {  // a pipe that its reader does not want to wait for
      pollfd ready{ours, POLLOUT, 0};
      poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      throw failure("standard output cannot be written: {}", system_reason(errno));
    }
  }
}

}  // namespace shardrift
