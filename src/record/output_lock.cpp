#include "record/output_lock.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "common/error.hpp"
#include "common/file_lock.hpp"
#include "common/host_name.hpp"
#include "common/system_reason.hpp"
#include "common/utc_clock.hpp"
#include "record/files.hpp"

namespace shardrift::record {
namespace fs = std::filesystem;

namespace {

constexpr std::uintmax_t kMostBytes = 1024;  // of an owner's text
constexpr int kLooks = 100;
constexpr auto kBetweenLooks = std::chrono::milliseconds(10);

// When the process began, in the kernel's ticks: a number that a later process of the same id has not. Empty:
// there is no such process.
std::string start_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(')');  // the name may hold blanks
  if (name_end == std::string::npos) return {};
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= 22 && fields >> field; ++i)
    if (i == 3 && (field == "Z" || field == "X")) return {};  // ended, not yet waited for
  return field;
}

// What the lock's file says; all empty: nobody.
struct Owner {
  std::string token, pid, start, host, since;

  static Owner in(const fs::path& lock) {
    Owner owner;
    std::ifstream file(lock);  // opened anew: what NFS shows is as new as the opening
    for (auto* line : {&owner.token, &owner.pid, &owner.start, &owner.host, &owner.since})
      std::getline(file, *line);
    return owner;
  }
  static Owner now(std::string token) {
    const auto pid = std::to_string(::getpid());
    return {std::move(token), pid, start_of(pid), host_name(), utc_now()};
  }
  std::string text() const { return fmt::format("{}\n{}\n{}\n{}\n{}\n", token, pid, start, host, since); }
  std::string words() const {
    return token.empty() ? "another run" : fmt::format("process {} on {} since {}", pid, host, since);
  }
  bool has_ended() const {
    return token.empty() || (host == host_name() && (start.empty() || start_of(pid) != start));
  }
};

std::string random_token() {
  std::random_device random;
  std::string token;
  for (int i = 0; i < 4; ++i) token += fmt::format("{:08x}", random());
  return token;
}

// Empty, or an owner's text.
void require_lock_file(const fs::path& path) {
  std::error_code error;
  const bool regular = fs::is_regular_file(fs::symlink_status(path, error));
  const auto bytes = regular ? fs::file_size(path, error) : 0;
  const bool ours =
      regular && bytes <= kMostBytes &&
      (bytes == 0 || Owner::in(path).token.find_first_not_of("0123456789abcdef") == std::string::npos);
  if (!ours) throw usage_error("{}: is no lock of a run: move it, or choose another --output", path.string());
}

void require_free(const fs::path& output, Lock lock, int error, bool accept_unknown) {
  const fs::path path = lock_path(output);
  const Owner owner = Owner::in(path);
  if (lock == Lock::failed) throw failure("{}: cannot be locked: {}", path.string(), system_reason(error));
  if (lock == Lock::held || (lock == Lock::unsupported && !owner.has_ended() && owner.host == host_name()))
    throw usage_error("{}: is being written by {}: wait until it has ended, or choose another --output",
                      output.string(), owner.words());
  if (lock == Lock::unsupported && !owner.has_ended() && !accept_unknown)
    throw usage_error(
        "{}: {} was writing it, and this file system has no locks to tell whether it still is ({}): make "
        "sure that it has ended and give --no-output-lock, or choose another --output",
        output.string(), owner.words(), system_reason(error));
}

}  // namespace

OutputLock::OutputLock(const fs::path& output, bool accept_unknown)
    : path_(lock_path(output)), token_(random_token()) {
  // Not inherited: a helper that outlives this process must not hold the lock.
  // Not through a link, and not waiting where a pipe has the name: what is not ours is left alone.
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  if (descriptor_ < 0)
    throw failure(
        "{}: cannot be opened: {}: remove what has that name, or choose an --output in a directory you "
        "may write to",
        path_.string(), system_reason(errno));
  try {
    require_lock_file(path_);
    Lock lock = try_lock(descriptor_);
    // Held by nobody in the text: its holder is about to write its name, or to end.
    for (int i = 0; lock == Lock::held && Owner::in(path_).token.empty() && i < kLooks; ++i) {
      std::this_thread::sleep_for(kBetweenLooks);
      lock = try_lock(descriptor_);
    }
    require_free(output, lock, errno, accept_unknown);
    const auto text = Owner::now(token_).text();
    if (::ftruncate(descriptor_, 0) != 0 ||
        ::pwrite(descriptor_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()) ||
        (::fsync(descriptor_) != 0 && errno != EINVAL))
      throw failure("{}: cannot be written: {}", path_.string(), system_reason(errno));
    require_owner(output, token_);
  } catch (const Error&) {
    ::close(descriptor_);
    throw;
  }
}

OutputLock::~OutputLock() {
  // Nobody's from here on, for those who can only read it. Another's text, on two nodes at once, is left
  // alone.
  if (Owner::in(path_).token == token_) {
    // Where it cannot be emptied it stays this process's, which ends: seen so on this host.
    [[maybe_unused]] const int status = ::ftruncate(descriptor_, 0);
  }
  ::close(descriptor_);
}

int writer_here(const fs::path& output) {
  const auto owner = Owner::in(lock_path(output));
  if (owner.host != host_name() || owner.has_ended()) return 0;
  return std::atoi(owner.pid.c_str());
}

void require_owner(const fs::path& output, const std::string& token) {
  if (token.empty()) return;
  const auto owner = Owner::in(lock_path(output));
  if (owner.token == token) return;
  throw failure("{}: {} has taken it over: this run ends, what it finished stays in {}", output.string(),
                owner.words(), parts_directory(output).string());
}

}  // namespace shardrift::record
