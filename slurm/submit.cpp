#include "slurm/submit.hpp"

#include <algorithm>
#include <map>
#include <regex>

#include "common/durable_file.hpp"
#include "common/error.hpp"
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

// Of this submission, as scancel takes them.
std::vector<std::string> jobs_in_queue(const Submission& submission) {
  std::vector<std::string> present;
  for (const auto& entry : ask_queue()) {
    const auto number = entry.job.substr(0, entry.job.find('_'));
    const bool ours = std::any_of(submission.jobs.begin(), submission.jobs.end(),
                                  [&](const SubmittedJob& job) { return job.id == number; });
    if (ours && !is_over(entry.state)) present.push_back(entry.job);
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

std::string job_number(const std::string& printed, const std::string& script) {
  static const std::regex kNumber(R"((\d+)(;\S+)?\s*)");
  std::smatch match;
  if (!std::regex_match(printed, match, kNumber))
    throw failure("sbatch answered '{}' for {}: a job number is expected", printed, script);
  return match[1].str();
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
      output.string(), present.size(), present.front());
}

Submission hand_over(const JobPlan& plan, const SiteProfile& profile,
                     const std::vector<study::Configuration>& all, const std::string& now) {
  const auto nodes = ask_nodes();
  if (const auto wrong = misfits(plan.arrays, profile, nodes); !wrong.empty())
    throw usage_error("{}", wrong.front());
  std::error_code ignored;
  if (!anything_recorded(all)) fs::remove(plan.folder / "gpu-model", ignored);
  Submission submission{plan.study, plan.file, profile.name, plan.output, now, {}, all};
  std::map<std::string, std::string> ids;
  const auto calls = sbatch_calls(plan);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    std::vector<std::string> words{"sbatch", "--parsable"};
    for (auto& word : dependency_words(calls[i], ids)) words.push_back(word);
    words.push_back((plan.folder / calls[i].script).string());
    const auto answer = ask(words);
    if (answer.code != 0) {
      cancel(submission);
      throw usage_error(
          "{}",
          refusal_words(answer.error, calls[i].is_analysis ? profile.analysis : profile.run, profile, nodes));
    }
    SubmittedJob job{job_number(answer.output, calls[i].script),
                     calls[i].is_analysis ? "analysis" : plan.arrays[i].name,
                     {}};
    if (!calls[i].is_analysis) {
      ids[job.name] = job.id;
      for (const auto& task : plan.arrays[i].tasks) {
        ids[fmt::format("{}[{}]", job.name, job.configurations.size())] =
            fmt::format("{}_{}", job.id, job.configurations.size());
        job.configurations.push_back(task.name);
      }
    }
    submission.jobs.push_back(job);
    write_submission(submission);  // at once: whatever happens next, these jobs can be found again
  }
  return submission;
}

int cancel(const Submission& submission) {
  // Tasks that are just stopping must not requeue themselves.
  write_text_durably(submission.folder() / "cancelled", "by shardrift cancel\n");
  const auto present = jobs_in_queue(submission);
  if (present.empty()) return 0;
  std::vector<std::string> words{"scancel"};
  for (const auto& job : submission.jobs) words.push_back(job.id);
  const auto answer = ask(words);
  if (answer.code != 0) throw failure("scancel: {}", answer.error);
  return static_cast<int>(present.size());
}

}  // namespace shardrift::slurm
