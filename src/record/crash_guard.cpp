#include "record/crash_guard.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "common/error.hpp"

namespace shardrift::record {
namespace {

thread_local const char* t_file = nullptr;  // that HDF5 is reading, for the signal handler

void write_text(const char* text) {
  (void)!::write(STDERR_FILENO, text, std::strlen(text));
}

// Only what a signal handler may call.
[[maybe_unused]] void on_crash(int signal) {
  if (t_file == nullptr) {  // our own: SA_RESETHAND has put the default action back
    ::raise(signal);
    return;
  }
  write_text("shardrift: ");
  write_text(t_file);
  write_text(": the HDF5 library crashes on it: the file is damaged, or made to do harm\n");
  ::_exit(static_cast<int>(ExitCode::bad_data));
}

}  // namespace

InsideLibrary::InsideLibrary(const std::filesystem::path& path) : outer_(t_file) {
  t_file = path.c_str();
}
InsideLibrary::~InsideLibrary() {
  t_file = outer_;
}

void install_crash_guard() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // A stack of its own: the crash may be an overflow of the usual one.
  alignas(16) static std::array<char, 1U << 16U> stack;
  stack_t alternative{};
  alternative.ss_sp = stack.data();
  alternative.ss_size = stack.size();
  ::sigaltstack(&alternative, nullptr);
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = SA_ONSTACK | SA_RESETHAND | SA_NODEFER;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::sigaction(signal, &action, nullptr);
#endif
}

}  // namespace shardrift::record
