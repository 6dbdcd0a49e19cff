#include "common/system_reason.hpp"

#include <fmt/core.h>

#include <cerrno>
#include <new>
#include <system_error>

namespace shardrift {
namespace {

const char* remedy_of(int error) {
  switch (error) {
    case EFBIG:
      return "larger than the limit on files allows: raise ulimit -f, or choose another file system";
    case EMFILE:
      return "more than the limit on open files allows: raise ulimit -n";
    case ENFILE:
      return "more than the machine allows: close other programs";
    case EAGAIN:
      return "perhaps more processes and threads than the limit allows: raise ulimit -u, or start fewer";
    case ENOMEM:
      return "perhaps more than the limit on memory allows: see ulimit -v and the job's memory";
    case EDQUOT:
      return "make room, or choose another file system";
    default:
      return nullptr;
  }
}

}  // namespace

std::string system_reason(int error) {
  auto text = std::generic_category().message(error);
  if (const auto* remedy = remedy_of(error)) text += fmt::format(" ({})", remedy);
  return text;
}

std::string reason_of(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return system_reason(ENOMEM);
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  if (system == nullptr || remedy_of(system->code().value()) == nullptr) return error.what();
  // The library throws EAGAIN for a thread alone.
  return fmt::format("{}{}", system->code().value() == EAGAIN ? "a thread cannot be started: " : "",
                     system_reason(system->code().value()));
}

}  // namespace shardrift
