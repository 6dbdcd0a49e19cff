#include "experiments/runner/runner.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "common/counted.hpp"
#include "common/durable_file.hpp"
#include "common/error.hpp"
#include "common/host_name.hpp"
#include "common/utc_clock.hpp"
#include "experiments/runner/changes.hpp"
#include "experiments/runner/folder_lock.hpp"
#include "experiments/runner/gpu_pool.hpp"
#include "experiments/runner/process.hpp"
#include "experiments/runner/progress.hpp"
#include "experiments/runner/reasons.hpp"
#include "experiments/runner/stop_signals.hpp"
#include "record/output_lock.hpp"

namespace shardrift::runner {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using study::Configuration;

constexpr auto kPoll = std::chrono::milliseconds(50);
constexpr auto kRefresh = std::chrono::milliseconds(500);
constexpr auto kStatusEvery = std::chrono::seconds(10);
// An orderly stop waits for the forward pass in flight; a CPU takes its time over a long prompt.
constexpr auto kOrderly = std::chrono::seconds(60);
constexpr auto kHurried = std::chrono::seconds(10);

// One run in flight.
struct Running {
  const Configuration* configuration = nullptr;
  Process process;
  Clock::time_point begin;
  std::vector<std::string> devices;
  double begun_with = 0;
  double fraction = 0;                        // of its prompts, as last seen
  Clock::time_point progressed{};             // when it was seen first
  std::optional<fs::file_time_type> older{};  // when the record that it replaces was written
};

class Runner {
 public:
  Runner(const study::Study& study, const study::StudyPlan& plan, const RunnerOptions& options,
         ProgressLine& line)
      : study_(study), plan_(plan), options_(options), line_(line), gpus_(options.machine.gpu_ids) {}

  StudyStatus run() {
    make_folders();
    const FolderLock lock(
        options_.output, [&](const std::string& text) { line_.say(text); },
        [&] { return signals_.count() > 0; });
    prepare_status();
    save();
    while (step()) std::this_thread::sleep_for(kPoll);
    conclude();
    return status_;
  }

 private:
  void make_folders() const {
    std::error_code error;
    fs::create_directories(options_.output / "logs", error);
    if (error) throw failure("{}: cannot be made: {}", options_.output.string(), error.message());
  }

  void prepare_status() {
    const auto earlier = read_status(options_.output);
    if (earlier && !earlier->name.empty() && earlier->name != study_.name)
      throw usage_error("{}: holds the study '{}', not '{}': use another --output", options_.output.string(),
                        earlier->name, study_.name);
    std::map<std::string, std::string> other_model;  // records that have to be made again
    if (!options_.start_nothing)
      for (const auto& changed : with_other_model_files(plan_, study::chosen_names(plan_, options_.only),
                                                        [&](const std::string& text) { line_.say(text); }))
        other_model[changed.name] = changed.what;
    if (!options_.rerun_changed) refuse_changes(earlier, other_model);
    status_.study = study_.file;
    status_.name = study_.name;
    status_.question = study_.question;
    status_.host = host_name();
    status_.pid = getpid();
    status_.started = utc_now();
    status_.state = "running";
    status_.machine = options_.machine.why;
    status_.not_possible = plan_.not_possible;
    const auto names = study::chosen_names(plan_, options_.only);
    const std::set<std::string> chosen(names.begin(), names.end());
    for (const auto& configuration : plan_.configurations) {
      auto run = status_of(configuration, options_.output);
      if (const auto* old = earlier ? earlier->find(run.name) : nullptr)
        take_over(*old, run);
      else
        run.replacing = is_stranger(configuration);
      // Without a status that says so, the worker decides whether what is there is this record.
      const bool stale = other_model.contains(run.name);
      run.replacing = run.replacing || stale;
      const bool done =
          !stale && (run.state == RunState::done || options_.start_nothing) && is_record_of(configuration);
      if (done) run.state = RunState::done;
      if (!done && run.state == RunState::done) run.state = RunState::waiting;  // it was removed
      if (!options_.start_nothing && chosen.contains(run.name)) {
        if (done) line_.say(fmt::format("{}: done already", run.name));
        if (!done) run.state = RunState::waiting;
        if (!done) todo_.push_back(&configuration);
      }
      status_.runs.push_back(std::move(run));
    }
    if (!study_.text.empty()) write_text_durably(options_.output / "study.toml", study_.text);
  }

  void refuse_changes(const std::optional<StudyStatus>& earlier,
                      const std::map<std::string, std::string>& other_model) const {
    const auto names = study::chosen_names(plan_, options_.only);
    const auto chosen = [&](const std::string& name) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    std::string text;
    if (earlier)
      for (const auto& changed : changed_since(*earlier, plan_))
        if (chosen(changed.name)) text += fmt::format("\n  {}: {}", changed.name, changed.what);
    for (const auto& [name, what] : other_model) text += fmt::format("\n  {}: {}", name, what);
    for (const auto& one : plan_.configurations)
      if (chosen(one.name) && (!earlier || earlier->find(one.name) == nullptr) && is_stranger(one))
        text += fmt::format("\n  {}: a record of another plan lies there", one.name);
    if (text.empty()) return;
    throw usage_error(
        "{} holds records that were made otherwise:{}\nGive --rerun-changed to make these again (their "
        "records "
        "are replaced, the others are kept), or another --output.",
        options_.output.string(), text);
  }

  static void take_over(const RunStatus& old, RunStatus& run) {
    if (old.fingerprint == run.fingerprint) {
      run.state = old.state;
      run.reason = old.reason;
      run.attempts = old.attempts;
      run.started = old.started;
      run.finished = old.finished;
      run.seconds = old.seconds;
      run.replacing = old.replacing;
    } else {
      run.replacing = old.replacing || has_results(old);
    }
  }

  RunStatus& status_of_run(const Configuration& configuration) { return *status_.find(configuration.name); }

  void save() {
    status_.updated = utc_now();
    write_status(status_, options_.output);
    saved_ = Clock::now();
  }

  // False where nothing runs and nothing can be started any more.
  bool step() {
    reap();
    if (asked_to_stop() > 0)
      stop_all();
    else
      start_what_can();
    const auto now = Clock::now();
    if (now - shown_ > kRefresh) show_progress();
    if (now - saved_ > kStatusEvery) save();
    return !running_.empty();
  }

  void start_what_can() {
    bool started = true;
    while (started) {
      started = false;
      for (auto it = todo_.begin(); it != todo_.end(); ++it) {
        const Configuration& configuration = **it;
        if (const auto reason = hopeless(configuration); !reason.empty()) {
          skip(configuration, reason);
          todo_.erase(it);
          started = true;
          break;
        }
        if (!can_start(configuration)) continue;
        todo_.erase(it);
        start(configuration);
        started = true;
        break;
      }
    }
  }

  // Why it can never start; empty: it can.
  std::string hopeless(const Configuration& configuration) {
    for (const auto& name : configuration.after) {
      const auto* followed = status_.find(name);
      if (followed == nullptr) continue;
      if (followed->state == RunState::failed || followed->state == RunState::skipped)
        return fmt::format("follows {}, which {}", name,
                           followed->state == RunState::failed ? "failed" : "was skipped");
    }
    return {};
  }

  bool can_start(const Configuration& configuration) {
    for (const auto& name : configuration.after) {
      const auto* followed = status_.find(name);
      if (followed != nullptr && followed->state != RunState::done) return false;
    }
    // Ranks that exchange data get the machine to themselves; single devices run side by side.
    const bool alone = std::any_of(running_.begin(), running_.end(),
                                   [](const Running& one) { return one.configuration->ranks > 1; });
    if (configuration.ranks > 1) return running_.empty();
    if (alone || static_cast<int>(running_.size()) >= options_.jobs) return false;
    return configuration.device != "cuda" || gpus_.has(configuration.ranks, configuration.gpu);
  }

  int threads_of(const Configuration& configuration) const {
    if (configuration.device != "cpu" || options_.jobs < 2 || configuration.ranks > 1) return 0;
    return std::max(1, options_.machine.cores / options_.jobs);
  }

  void start(const Configuration& configuration) {
    auto& run = status_of_run(configuration);
    Running one;
    one.configuration = &configuration;
    if (configuration.device == "cuda") one.devices = gpus_.take(configuration.ranks, configuration.gpu);
    one.begun_with = fraction_of(run);
    run.started = utc_now();
    ++run.attempts;
    const auto command = command_of(configuration, options_.launcher, one.devices, threads_of(configuration),
                                    run.replacing, run.log);
    if (run.replacing) one.older = written_at(configuration.output);
    try {
      write_attempt(run, command);
      one.process = Process(command);
    } catch (const Error& error) {
      gpus_.give_back(one.devices);
      finish(run, RunState::failed, error.what());
      return;
    }
    one.begin = one.progressed = Clock::now();
    one.fraction = one.begun_with;
    run.state = RunState::running;
    run.reason.clear();
    line_.say(fmt::format("{}: started{} ({}{})", run.name, one.begun_with > 0 ? " where it stopped" : "",
                          run.plan, run.predicted ? ", predicted" : ""));
    running_.push_back(std::move(one));
    save();
  }

  // nullopt: nothing is there.
  static std::optional<fs::file_time_type> written_at(const fs::path& output) {
    std::error_code error;
    const auto time = fs::last_write_time(output, error);
    return error ? std::nullopt : std::optional(time);
  }

  // Of one that says that all went well. Other engines' commands may say so and have written nothing: taken
  // at their word, these would be done now and not done at the next command, for ever.
  static std::string fault_of(const Running& one) {
    const auto& output = one.configuration->output;
    if (one.older && one.older == written_at(output))
      return fmt::format("{} is still the older record, which it was to replace", output.string());
    return fault_of_output(*one.configuration);
  }

  static void write_attempt(const RunStatus& run, const Command& command) {
    std::ofstream log(run.log, std::ios::app);
    log << kAttemptMark << utc_now() << " attempt " << run.attempts << '\n';
    for (const auto& [name, value] : command.environment) log << name << '=' << shell_text({value}) << ' ';
    log << shell_text(command.words) << '\n';
    log.close();
    if (!log) throw failure("{}: cannot be written (disk full?)", run.log.string());
  }

  void reap() {
    for (auto it = running_.begin(); it != running_.end();) {
      const auto ended = it->process.poll();
      if (!ended) {
        ++it;
        continue;
      }
      auto& run = status_of_run(*it->configuration);
      const double seconds = std::chrono::duration<double>(Clock::now() - it->begin).count();
      run.seconds += seconds;
      gpus_.give_back(it->devices);
      const bool well = ended->code == 0 && ended->signal == 0;
      const auto fault = well ? fault_of(*it) : std::string();
      if (well && fault.empty())
        measured_.push_back({.estimated = it->configuration->estimated_seconds,
                             .elapsed = seconds,
                             .fraction = 1,
                             .begun_with = it->begun_with,
                             .done = true,
                             .alone = it->configuration->ranks > 1});
      const auto& engine = it->configuration->engine;
      it = running_.erase(it);
      if (well && fault.empty()) {
        finish(run, RunState::done, "");
      } else if (well) {
        finish(run, RunState::failed, "exit code 0, but it wrote no record: " + fault);
      } else if (ended->code == static_cast<int>(ExitCode::interrupted) || asked_to_stop() > 0) {
        finish(run, RunState::interrupted, reason_of(*ended, run.log, engine));
      } else {
        finish(run, RunState::failed, reason_of(*ended, run.log, engine));
      }
    }
  }

  void finish(RunStatus& run, RunState state, const std::string& reason) {
    run.state = state;
    run.reason = reason;
    run.finished = utc_now();
    if (state == RunState::done) {
      run.replacing = false;
      line_.say(fmt::format("{}: done in {}", run.name, duration_text(run.seconds)));
    } else {
      line_.say(fmt::format("{}: {}", run.name, state_words(state, reason)));
    }
    save();
  }

  void skip(const Configuration& configuration, const std::string& reason) {
    finish(status_of_run(configuration), RunState::skipped, reason);
  }

  // How often. Signals that came before the first was seen are one wish: `timeout` sends two at once.
  int asked_to_stop() {
    const int count = signals_.count();
    if (first_signals_ == 0) first_signals_ = count;
    return count == 0 ? 0 : count - first_signals_ + 1;
  }

  void stop_all() {
    const auto now = Clock::now();
    const int signals = asked_to_stop();
    if (signals > signals_seen_) {
      if (signals_seen_ == 0 && !running_.empty())
        line_.say("stopping: finished prompts are kept, then comes the answer so far");
      hurry_at_ = signals == 1 ? now + kOrderly : now;
      kill_at_ = hurry_at_ + kHurried;
      hurried_ = false;
      signals_seen_ = signals;
      status_.state = "stopping";
      save();
      for (const auto& one : running_) {
        // mpirun passes SIGUSR1 on to its ranks; SIGTERM would make it kill them.
        const bool direct = !one.configuration->engine.empty() ||
                            (options_.launcher.words.empty() && one.configuration->ranks == 1);
        if (signals == 1) one.process.signal(direct ? SIGTERM : SIGUSR1);
        // Not every mpirun passes it on (Ubuntu's 4.1.6 did not): the rank that holds the record tells the
        // others.
        const int writer = record::writer_here(one.configuration->output);
        if (signals == 1 && !direct && writer > 0) kill(writer, SIGUSR1);
      }
    }
    if (!hurried_ && now >= hurry_at_) {
      for (const auto& one : running_) one.process.signal(SIGTERM);
      hurried_ = true;
    }
    if (now >= kill_at_)
      for (const auto& one : running_) one.process.signal_group(SIGKILL);
  }

  static double fraction_of(const RunStatus& run) {
    if (run.prompts <= 0) return 0;
    const auto done = finished_prompts(run.output, run.replacing ? 0 : run.prompts);
    return std::min(1.0, static_cast<double>(done) / static_cast<double>(run.prompts));
  }

  std::vector<RunTime> times() const {
    std::vector<RunTime> times = measured_;
    for (const auto* configuration : todo_)
      times.push_back({.estimated = configuration->estimated_seconds, .alone = configuration->ranks > 1});
    const auto seconds = [](Clock::duration passed) { return std::chrono::duration<double>(passed).count(); };
    const auto now = Clock::now();
    for (const auto& one : running_)
      times.push_back({.estimated = one.configuration->estimated_seconds,
                       .elapsed = seconds(now - one.begin),
                       .fraction = one.fraction,
                       .begun_with = one.begun_with,
                       .running = true,
                       .alone = one.configuration->ranks > 1,
                       .since = seconds(now - one.progressed)});
    return times;
  }

  void show_progress() {
    shown_ = Clock::now();
    for (auto& one : running_) {
      const double fraction = fraction_of(status_of_run(*one.configuration));
      if (fraction > one.fraction) one.progressed = shown_;
      one.fraction = std::max(fraction, one.fraction);
    }
    std::int64_t done = 0;
    std::int64_t failed = 0;
    for (const auto& run : status_.runs) {
      done += run.state == RunState::done ? 1 : 0;
      failed += run.state == RunState::failed || run.state == RunState::skipped ? 1 : 0;
    }
    std::string text = fmt::format("{} of {} done", done, counted(status_.runs.size(), "run"));
    if (failed > 0) text += fmt::format(", {} failed", failed);
    if (signals_seen_ > 0) {
      text += ", stopping";
    } else {
      text += ", " + left_text(time_left(times(), options_.jobs));
    }
    for (const auto& one : running_) {
      const auto& run = *status_.find(one.configuration->name);
      text += " | " + run.name;
      if (run.prompts == 0) continue;
      text += fmt::format(": {}/{} prompts", finished_prompts(run.output, run.replacing ? 0 : run.prompts),
                          run.prompts);
    }
    line_.show(text);
  }

  void conclude() {
    bool failed = false;
    bool left = false;
    const auto names = study::chosen_names(plan_, options_.only);
    for (const auto& run : status_.runs) {
      // What an earlier command left is not this one's to finish.
      if (std::find(names.begin(), names.end(), run.name) == names.end()) continue;
      failed = failed || run.state == RunState::failed || run.state == RunState::skipped;
      left = left || run.state == RunState::interrupted;
    }
    status_.state = left || asked_to_stop() > 0 ? "interrupted" : (failed ? "failed" : "done");
    status_.at_once = asked_to_stop() > 1;
    save();
  }

  const study::Study& study_;
  const study::StudyPlan& plan_;
  const RunnerOptions& options_;
  ProgressLine& line_;
  StudyStatus status_;
  std::vector<const Configuration*> todo_;
  std::vector<Running> running_;
  GpuPool gpus_;
  const StopSignals signals_;
  std::vector<RunTime> measured_;
  Clock::time_point saved_, shown_, hurry_at_, kill_at_;
  int first_signals_ = 0;
  int signals_seen_ = 0;
  bool hurried_ = false;
};

}  // namespace

StudyStatus run_study(const study::Study& study, const study::StudyPlan& plan, const RunnerOptions& options,
                      ProgressLine& line) {
  return Runner(study, plan, options, line).run();
}

}  // namespace shardrift::runner
