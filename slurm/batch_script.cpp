#include "slurm/batch_script.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

#include "common/error.hpp"
#include "slurm/embedded.hpp"

namespace shardrift::slurm {
namespace {

using study::Configuration;

class Header {
 public:
  // Options without a value are left out, as the profile left them out.
  void add(const std::string& name, const std::string& value) {
    if (!value.empty()) text_ += fmt::format("#SBATCH --{}={}\n", name, value);
  }
  void add_path(const std::string& name, const std::string& path) {
    const bool blank = path.find_first_of(" '#") != std::string::npos;
    add(name, blank ? "\"" + path + "\"" : path);
  }
  void add_flag(const std::string& option) { text_ += "#SBATCH " + option + "\n"; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void add_settings(Header& header, const JobSettings& job) {
  header.add("partition", job.partition);
  header.add("account", job.account);
  header.add("qos", job.qos);
  header.add("constraint", job.constraint);
  header.add("mem", job.memory);
  header.add("time", job.time_limit);
}

void add_gpus(Header& header, const JobArray& array, const SiteProfile& profile) {
  if (array.device != "cuda") return;
  const std::string type = profile.gpu_type.empty() ? "" : profile.gpu_type + ":";
  switch (profile.gpus) {
    case GpuRequest::gpus_per_node:
      return header.add("gpus-per-node", fmt::format("{}{}", type, array.ranks_per_node));
    case GpuRequest::gres:
      return header.add("gres", fmt::format("gpu:{}{}", type, array.ranks_per_node));
    case GpuRequest::gpus_per_task:
      return header.add("gpus-per-task", type + "1");
    case GpuRequest::none:
      return;
  }
}

std::string array_header(const JobPlan& plan, const JobArray& array, const SiteProfile& profile) {
  Header header;
  header.add("job-name", plan.study + "." + array.name);
  header.add("array", fmt::format("0-{}{}", array.tasks.size() - 1,
                                  profile.at_once == 0 ? "" : fmt::format("%{}", profile.at_once)));
  header.add_path("chdir", plan.directory.string());
  header.add_path("output", (plan.folder / "logs" / (array.name + "-%a.log")).string());
  header.add("open-mode", "append");
  header.add_flag("--requeue");
  header.add("signal", fmt::format("B:USR1@{}", profile.signal_seconds));
  add_settings(header, profile.run);
  header.add("nodes", std::to_string(array.nodes));
  header.add("ntasks-per-node", std::to_string(array.ranks_per_node));
  header.add("cpus-per-task", std::to_string(profile.run.cpus));
  add_gpus(header, array, profile);
  for (const auto& option : profile.run.sbatch) header.add_flag(option);
  return header.text();
}

std::string analysis_header(const JobPlan& plan, const SiteProfile& profile) {
  Header header;
  header.add("job-name", plan.study + ".analysis");
  header.add_path("chdir", plan.directory.string());
  header.add_path("output", (plan.folder / "logs" / "analysis.log").string());
  header.add("open-mode", "append");
  header.add_flag("--requeue");
  add_settings(header, profile.analysis);
  header.add("nodes", "1");
  header.add("ntasks", "1");
  header.add("cpus-per-task", std::to_string(profile.analysis.cpus));
  for (const auto& option : profile.analysis.sbatch) header.add_flag(option);
  return header.text();
}

std::vector<std::string> launch_words(const JobArray& array, const SiteProfile& profile) {
  std::vector<std::string> words;
  if (profile.launcher == Launcher::srun) {
    // Since Slurm 22.05 srun does not take --cpus-per-task over from sbatch. A rank that fails ends the
    // others. What set_up exported reaches the ranks also where jobs are handed no environment (task.sh).
    words = {"srun",
             "--mpi=pmix",
             fmt::format("--ntasks={}", array.ranks),
             fmt::format("--cpus-per-task={}", profile.run.cpus),
             "--kill-on-bad-exit=1",
             "--export=ALL"};
  } else {
    words = {"mpirun", "-n", std::to_string(array.ranks)};
  }
  words.insert(words.end(), profile.launcher_options.begin(), profile.launcher_options.end());
  return words;
}

// A file's name in a comment: on one line.
std::string commented(std::string name) {
  for (char& c : name)
    if (static_cast<unsigned char>(c) < ' ') c = '?';
  return name;
}

std::string set_up_function(const SiteProfile& profile) {
  std::string body;
  for (const auto& module : profile.modules) body += "  load_module " + bash_word(module) + "\n";
  for (const auto& [name, value] : profile.environment)
    body += fmt::format("  export {}={}\n", name, bash_word(value));
  if (!profile.setup.empty()) {
    // What sites provide seldom bears set -u; it may live where shellcheck cannot see it.
    body += "  set +u\n";
    for (const auto& line : profile.setup) body += "  " + line + "\n";
    body += "  set -u\n";
  }
  if (body.empty()) body = "  :\n";
  return fmt::format("# From the site profile {}: before the command, in each task.\n{}set_up() {{\n{}}}\n",
                     commented(profile.name),
                     profile.setup.empty() ? "" : "# shellcheck disable=SC1090,SC1091\n", body);
}

// A flag and its value on one line each.
std::string option_lines(const std::vector<std::string>& words, const std::string& indent) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    text += indent + bash_word(words[i]);
    if (words[i].starts_with("--") && i + 1 < words.size() && !words[i + 1].starts_with("--"))
      text += " " + bash_word(words[++i]);
    text += "\n";
  }
  return text;
}

std::string task_case(int index, const Configuration& configuration) {
  return fmt::format("  {})\n    name={}\n    record={}\n    bytes={}\n    options=(\n{}    )\n    ;;\n",
                     index, bash_word(configuration.name), bash_word(configuration.output.string()),
                     configuration.estimated_bytes, option_lines(configuration.arguments, "      "));
}

std::string opening(const JobPlan& plan, const SiteProfile& profile, const std::string& what,
                    const std::string& header) {
  return fmt::format(
      "#!/usr/bin/env bash\n# {}\n# Made by `shardrift submit` from {} and the site profile {};\n"
      "# what all jobs have in common is in task.sh beside this file.\n{}set -euo pipefail\n\nfolder={}\n",
      what, commented(plan.file.filename().string()), commented(profile.name), header,
      bash_word(plan.folder.string()));
}

constexpr const char* kSource =
    "# shellcheck source-path=SCRIPTDIR source=task.sh\nsource \"$folder/task.sh\"\n\n";

}  // namespace

std::string bash_word(const std::string& text) {
  const auto plain = [](char c) {
    return (std::isalnum(static_cast<unsigned char>(c)) != 0) ||
           std::string_view("_@%+=:,./-").find(c) != std::string_view::npos;
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), plain)) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string bash_words(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) {
    if (!text.empty()) text += ' ';
    text += bash_word(word);
  }
  return text;
}

std::string array_script(const JobPlan& plan, const JobArray& array, const SiteProfile& profile) {
  auto what =
      fmt::format("{}: {} configuration{} of {} rank{}, one array task each", plan.study, array.tasks.size(),
                  array.tasks.size() == 1 ? "" : "s", array.ranks, array.ranks == 1 ? "" : "s");
  if (!array.after.empty()) {
    what += "; they read the records of";
    for (const auto& name : array.after) what += " " + name;
  }
  std::string text = opening(plan, profile, what + ".", array_header(plan, array, profile));
  text += "device=" + array.device + "\ncase $SLURM_ARRAY_TASK_ID in\n";
  for (std::size_t i = 0; i < array.tasks.size(); ++i) text += task_case(static_cast<int>(i), array.tasks[i]);
  text += fmt::format(
      "  *)\n    echo \"$0 has no task $SLURM_ARRAY_TASK_ID\" >&2\n    exit 64\n    "
      ";;\nesac\nlaunch=({})\ncommand=({} "
      "run \"${{options[@]}}\" --output \"$record\")\n\n",
      bash_words(launch_words(array, profile)), bash_word(plan.worker.string()));
  return text + set_up_function(profile) + "\n" + kSource + "run_task\n";
}

std::string analysis_script(const JobPlan& plan, const SiteProfile& profile) {
  std::string text =
      opening(plan, profile, plan.study + ": the analysis of what was recorded, whatever became of the runs.",
              analysis_header(plan, profile));
  const auto program = plan.program.string();
  std::vector<std::string> command{program,    "study",    plan.file.string(),
                                   "--no-run", "--output", plan.output.string()};
  command.insert(command.end(), plan.study_options.begin(), plan.study_options.end());
  text += fmt::format("name=analysis\ncheck=({})\ncommand=({})\n\n",
                      bash_words({program, "status", plan.output.string(), "--settle"}), bash_words(command));
  return text + set_up_function(profile) + "\n" + kSource + "run_analysis\n";
}

std::string_view task_script() {
  return embedded_task_script;
}

}  // namespace shardrift::slurm
