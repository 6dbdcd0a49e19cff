#include "slurm/submit.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "common/durable_file.hpp"
#include "common/error.hpp"
#include "common/text.hpp"
#include "slurm/batch_script.hpp"
#include "slurm/slurm_commands.hpp"
#include "slurm/words.hpp"

namespace shardrift::slurm {
namespace {

namespace fs = std::filesystem;

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw failure("{}: cannot be made: {}", folder.string(), error.message());
}

// logs/tp2.log -> 2-ranks-0.log: Slurm names a log before the task knows its configuration.
void link_log(const fs::path& folder, const std::string& name, const std::string& log) {
  const auto link = folder / "logs" / (name + ".log");
  std::error_code error;
  fs::remove(link, error);
  fs::create_symlink(log, link, error);
  if (error) throw failure("{}: cannot be linked to {}: {}", link.string(), log, error.message());
}

bool anything_recorded(const std::vector<study::Configuration>& configurations) {
  std::error_code ignored;
  return std::any_of(configurations.begin(), configurations.end(), [&](const study::Configuration& one) {
    return fs::exists(one.output, ignored) || fs::exists(one.output.string() + ".parts", ignored);
  });
}

bool is_over(const std::string& state) {
  for (const char* over : {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED",
                           "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY", "REVOKED"})
    if (state.starts_with(over)) return true;
  return false;
}

std::string number_in(const QueueEntry& entry) {
  return entry.job.substr(0, entry.job.find('_'));
}

bool is_known(const Submission& submission, const QueueEntry& entry) {
  const auto number = number_in(entry);
  return std::any_of(submission.jobs.begin(), submission.jobs.end(), [&](const SubmittedJob& job) {
    return job.id == number && job.cluster == entry.cluster;
  });
}

// What the queue has of this submission: the jobs that it knows, and any other that runs one of its scripts,
// whose number sbatch did not tell or nobody lived to write down.
std::vector<QueueEntry> jobs_in_queue(const Submission& submission) {
  std::vector<QueueEntry> present;
  for (const auto& cluster : submission.clusters())
    for (auto& entry : ask_queue(cluster)) {
      const bool ours =
          is_known(submission, entry) || fs::path(entry.script).parent_path() == submission.folder();
      if (ours && !is_over(entry.state)) present.push_back(std::move(entry));
    }
  return present;
}

// "afterok:12_0:12_3", and the option that keeps a job from waiting for ever once one of them has failed.
std::vector<std::string> dependency_words(const SbatchCall& call,
                                          const std::map<std::string, std::string>& ids) {
  std::string list;
  for (const auto& name : call.after) list += ":" + ids.at(name);
  if (list.empty()) return {};
  if (call.is_analysis) return {"--dependency=afterany" + list};
  return {"--dependency=afterok" + list, "--kill-on-invalid-dep=yes"};
}

// The job that sbatch has just made. Where what it printed does not say so, the queue knows which job runs
// the script.
std::optional<JobNumber> number_of(const std::string& printed, const fs::path& script,
                                   const Submission& submission) {
  auto number = parse_job_number(printed);
  if (!number)
    for (const auto& entry : jobs_in_queue(submission)) {
      if (entry.script != script || is_known(submission, entry)) continue;
      if (number && number->id != number_in(entry)) return std::nullopt;
      number = JobNumber{number_in(entry), entry.cluster};
    }
  if (number && number->cluster.empty()) number->cluster = submission.cluster;
  return number;
}

// Nothing of a submission that failed stays in the queue unsaid.
[[noreturn]] void give_up(const Submission& submission, const Error& reason) {
  try {
    cancel(submission);
  } catch (const Error& error) {
    std::vector<std::string> ids;
    for (const auto& job : submission.jobs) ids.push_back(job.id);
    throw Error(
        reason.code(),
        fmt::format("{}; what was submitted before it ({}) could not be cancelled: {}: scancel it by hand",
                    reason.what(),
                    ids.empty() ? "no job whose number is known" : fmt::format("{}", fmt::join(ids, " ")),
                    error.what()));
  }
  std::error_code ignored;
  if (submission.jobs.empty()) fs::remove(submission_path(submission.output), ignored);  // nothing was
  throw Error(reason);
}

// The job's place in submission.json, at once: whatever happens next, it can be found again.
void add_job(Submission& submission, SubmittedJob job) {
  submission.jobs.push_back(std::move(job));
  try {
    write_submission(submission);
  } catch (const Error& error) {  // a full disk
    give_up(submission, error);
  }
}

}  // namespace

std::vector<SbatchCall> sbatch_calls(const JobPlan& plan) {
  std::vector<SbatchCall> calls;
  SbatchCall analysis{"analysis.sbatch", {}, true};
  for (const auto& array : plan.arrays) {
    SbatchCall call{array.name + ".sbatch", {}, false};
    for (const auto& name : array.after)
      if (const auto place = find_task(plan, name); place.array != nullptr)
        call.after.push_back(fmt::format("{}[{}]", place.array->name, place.index));
    calls.push_back(call);
    analysis.after.push_back(array.name);
  }
  calls.push_back(analysis);
  return calls;
}

void write_scripts(const JobPlan& plan, const SiteProfile& profile) {
  const auto& folder = plan.folder;
  make_folder(folder / "logs");
  make_folder(folder / "state");
  std::error_code ignored;
  fs::remove(folder / "cancelled", ignored);
  fs::remove(folder / "state" / "analysis", ignored);
  write_text_durably(folder / "task.sh", task_script());
  write_text_durably(folder / "profile.toml", profile.text);
  for (const auto& array : plan.arrays) {
    write_text_durably(folder / (array.name + ".sbatch"), array_script(plan, array, profile));
    for (std::size_t i = 0; i < array.tasks.size(); ++i) {
      link_log(folder, array.tasks[i].name, fmt::format("{}-{}.log", array.name, i));
      fs::remove(folder / "state" / array.tasks[i].name, ignored);
      fs::remove(folder / "state" / (array.tasks[i].name + ".stalled"), ignored);
    }
  }
  write_text_durably(folder / "analysis.sbatch", analysis_script(plan, profile));
}

void refuse_second_submission(const fs::path& output) {
  const auto earlier = read_submission(output);
  if (!earlier) return;
  const auto present = jobs_in_queue(*earlier);
  if (present.empty()) return;
  throw usage_error(
      "{}: {} of its jobs are still in the queue (the first: {}): see shardrift status, or "
      "shardrift cancel before submitting again",
      output.string(), present.size(), present.front().job);
}

Submission hand_over(const JobPlan& plan, const SiteProfile& profile,
                     const std::vector<study::Configuration>& all, const std::string& now) {
  const auto cluster = cluster_of(profile);
  const auto nodes = ask_nodes(cluster);
  if (const auto wrong = misfits(plan.arrays, profile, nodes); !wrong.empty())
    throw usage_error("{}", wrong.front());
  std::error_code ignored;
  if (!anything_recorded(all)) fs::remove(plan.folder / "gpu-model", ignored);
  Submission submission{plan.study, plan.file, profile.name, plan.output, now, {}, all, cluster};
  write_submission(submission);  // before there is a job: its folder tells whose it is
  std::map<std::string, std::string> ids;
  const auto calls = sbatch_calls(plan);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const auto script = plan.folder / calls[i].script;
    std::vector<std::string> words{"sbatch", "--parsable"};
    for (auto& word : dependency_words(calls[i], ids)) words.push_back(word);
    words.push_back(script.string());
    const auto answer = ask(words);
    if (answer.code != 0)
      give_up(
          submission,
          usage_error("{}", refusal_words(answer.error, calls[i].is_analysis ? profile.analysis : profile.run,
                                          profile, nodes)));
    const auto number = number_of(answer.output, script, submission);
    if (!number)
      give_up(submission, failure("sbatch answered '{}' for {}: a job number is expected, and the queue "
                                  "shows no job of that script",
                                  fmt::join(split_words(answer.output, '\n'), " / "), script.string()));
    SubmittedJob job{
        number->id, calls[i].is_analysis ? "analysis" : plan.arrays[i].name, {}, number->cluster};
    if (!calls[i].is_analysis) {
      ids[job.name] = job.id;
      for (const auto& task : plan.arrays[i].tasks) {
        ids[fmt::format("{}[{}]", job.name, job.configurations.size())] =
            fmt::format("{}_{}", job.id, job.configurations.size());
        job.configurations.push_back(task.name);
      }
    }
    add_job(submission, std::move(job));
  }
  return submission;
}

int cancel(const Submission& submission) {
  // Tasks that are just stopping must not requeue themselves. On a full disk the jobs are cancelled all the
  // same.
  std::optional<Error> unwritten;
  try {
    write_text_durably(submission.folder() / "cancelled", "by shardrift cancel\n");
  } catch (const Error& error) {
    unwritten = error;
  }
  std::map<std::string, std::set<std::string>> numbers;  // by cluster
  const auto present = jobs_in_queue(submission);
  for (const auto& entry : present) numbers[entry.cluster].insert(number_in(entry));
  for (const auto& [cluster, jobs] : numbers) cancel_jobs({jobs.begin(), jobs.end()}, cluster);
  if (unwritten) throw Error(*unwritten);
  return static_cast<int>(present.size());
}

}  // namespace shardrift::slurm
