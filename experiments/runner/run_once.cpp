#include "experiments/runner/run_once.hpp"

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "common/error.hpp"
#include "common/utc_clock.hpp"
#include "experiments/runner/process.hpp"
#include "experiments/runner/reasons.hpp"
#include "experiments/runner/stop_signals.hpp"

namespace shardrift::runner {
namespace {

namespace fs = std::filesystem;

constexpr auto kPoll = std::chrono::milliseconds(50);
constexpr int kLookEvery = 20;  // polls from one look at the log to the next

std::string last_line(const fs::path& log) {
  std::string text = output_of_attempt(log);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);  // all of it where there is one line
}

}  // namespace

bool run_once(const study::Configuration& configuration, const RunnerOptions& options, ProgressLine& line) {
  const fs::path log = configuration.output.parent_path() / "logs" / (configuration.name + ".log");
  std::error_code error;
  fs::create_directories(log.parent_path(), error);
  if (error) throw failure("{}: cannot be made: {}", log.parent_path().string(), error.message());
  std::vector<std::string> devices;
  if (configuration.device == "cuda" && !options.machine.gpu_ids.empty())
    devices.push_back(options.machine.gpu_ids.front());
  const auto command = command_of(configuration, options.launcher, devices, 0, false, log);
  {
    std::ofstream attempt(log, std::ios::trunc);
    attempt << kAttemptMark << utc_now() << '\n' << shell_text(command.words) << '\n';
    if (!attempt.flush()) throw failure("{}: cannot be written (disk full?)", log.string());
  }
  const StopSignals signals;
  Process process(command);
  int passed_on = 0;
  for (int polls = 0;; ++polls) {
    if (const auto ended = process.poll()) {
      if (ended->code == 0 && ended->signal == 0) return true;
      if (ended->code == static_cast<int>(ExitCode::interrupted) || signals.count() > 0) {
        line.say(fmt::format("{}: interrupted; the same command begins anew", configuration.name));
        return false;
      }
      const auto code = static_cast<ExitCode>(ended->code);
      const bool known = ended->signal == 0 && (code == ExitCode::usage || code == ExitCode::bad_data);
      throw Error(known ? code : ExitCode::failure,
                  fmt::format("{}: {} (log: {})", configuration.name, reason_of(*ended, log), log.string()));
    }
    if (const int asked = signals.count(); asked > passed_on) {
      if (passed_on == 0)
        process.signal(SIGTERM);
      else
        process.signal_group(SIGKILL);
      passed_on = asked;
    }
    if (polls % kLookEvery == 0) line.show(fmt::format("{}: {}", configuration.name, last_line(log)));
    std::this_thread::sleep_for(kPoll);
  }
}

}  // namespace shardrift::runner
