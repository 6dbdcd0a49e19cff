#include "experiments/runner/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

#include "common/error.hpp"
#include "common/system_reason.hpp"

namespace shardrift::runner {
namespace {

// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  void close() {
    if (value_ >= 0) ::close(value_);
    value_ = -1;
  }

 private:
  int value_;
};

struct Pipe {
  Descriptor read{-1};
  Descriptor write{-1};
  static std::array<int, 2> make() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw failure("no pipe: {}", system_reason(errno));
    return ends;
  }
  explicit Pipe(std::array<int, 2> ends = make()) : read(ends[0]), write(ends[1]) {}
};

std::vector<std::string> environment_with(const std::map<std::string, std::string>& changes) {
  std::vector<std::string> all;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    if (!changes.contains(text.substr(0, text.find('=')))) all.push_back(text);
  }
  for (const auto& [name, value] : changes) all.push_back(fmt::format("{}={}", name, value));
  return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// After fork: only async-signal-safe calls. Tells errno through the pipe where it cannot go on.
[[noreturn]] void become(char* const* words, char* const* variables, int output, int errors_to, int report,
                         pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  const bool orphan = getppid() != parent;  // it died before prctl
  const int nothing = ::open("/dev/null", O_RDONLY);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGPIPE, SIGXFSZ}) std::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (!orphan && nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
      dup2(errors_to, STDERR_FILENO) >= 0) {
    environ = const_cast<char**>(variables);
    execvp(words[0], words);
  }
  const int error = errno;
  [[maybe_unused]] const auto told = ::write(report, &error, sizeof error);
  _exit(127);
}

// output, errors_to: where stdout and stderr go.
pid_t start(std::vector<std::string> words, const std::map<std::string, std::string>& changes, int output,
            int errors_to) {
  auto variables = environment_with(changes);
  const auto word_pointers = pointers_to(words);
  const auto variable_pointers = pointers_to(variables);
  Pipe report;  // closed by exec: nothing to read says that it worked
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) throw failure("{} cannot be started: {}", words[0], system_reason(errno));
  if (pid == 0)
    become(word_pointers.data(), variable_pointers.data(), output, errors_to, report.write.get(), parent);
  setpgid(pid, pid);  // here too: whoever comes first
  report.write.close();
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(report.read.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof error) {
    waitpid(pid, nullptr, 0);
    throw failure("{} cannot be started: {}", words[0], system_reason(error));
  }
  return pid;
}

}  // namespace

Process::Process(const Command& command) {
  const Descriptor log(::open(command.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (log.get() < 0) throw failure("{}: cannot be written: {}", command.log.string(), system_reason(errno));
  pid_ = start(command.words, command.environment, log.get(), log.get());
}

Process::~Process() {
  if (pid_ <= 0 || ended_) return;
  signal_group(SIGKILL);
  waitpid(pid_, nullptr, 0);
}

Process::Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)), ended_(other.ended_) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(ended_, other.ended_);
  return *this;
}

std::optional<Ended> Process::poll() {
  if (ended_) return ended_;
  int status = 0;
  const pid_t got = waitpid(pid_, &status, WNOHANG);
  if (got == 0 || (got < 0 && errno == EINTR)) return std::nullopt;
  if (got < 0) throw failure("process {} is lost: {}", pid_, system_reason(errno));
  ended_ = WIFEXITED(status) ? Ended{WEXITSTATUS(status), 0} : Ended{0, WTERMSIG(status)};
  return ended_;
}

void Process::signal(int number) const {
  if (!ended_) kill(pid_, number);
}

void Process::signal_group(int number) const {
  if (!ended_) killpg(pid_, number);
}

std::optional<std::string> output_of(const std::vector<std::string>& words, double seconds) {
  using Clock = std::chrono::steady_clock;
  Pipe pipe;
  const Descriptor nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  pid_t pid = -1;
  try {
    pid = start(words, {}, pipe.write.get(), nowhere.get());
  } catch (const Error&) {
    return std::nullopt;  // not there is an answer here
  }
  pipe.write.close();
  std::string text;
  std::array<char, 4096> buffer{};
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  bool late = false;
  while (true) {
    late = Clock::now() > end;
    if (late) break;
    pollfd ready{pipe.read.get(), POLLIN, 0};
    if (::poll(&ready, 1, 100) <= 0) continue;
    const ssize_t got = ::read(pipe.read.get(), buffer.data(), buffer.size());
    if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
    if (got == 0) break;
  }
  if (late) killpg(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (late || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return text;
}

}  // namespace shardrift::runner
