#include "slurm/slurm_commands.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <regex>

#include "common/error.hpp"
#include "common/text.hpp"

namespace shardrift::slurm {
namespace {

using Clock = std::chrono::steady_clock;

// "sbatch: error: Batch job submission failed: X" -> "Batch job submission failed: X"
std::string plain_error(const std::string& text) {
  static const std::regex kPrefix(R"(^[a-z]+: (error: |fatal: )?)");
  std::string plain;
  for (const auto& line : split(text, '\n')) {
    const auto rest = std::regex_replace(line, kPrefix, "");
    if (!rest.empty()) plain += (plain.empty() ? "" : "; ") + rest;
  }
  return plain;
}

struct Pipe {
  std::array<int, 2> ends{-1, -1};
  Pipe() {
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw failure("a pipe cannot be made: errno {}", errno);
  }
  ~Pipe() {
    for (const int end : ends)
      if (end >= 0) close(end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_writer() {
    close(ends[1]);
    ends[1] = -1;
  }
};

pid_t start(const std::vector<std::string>& words, const Pipe& out, const Pipe& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.ends[1], STDERR_FILENO);
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? pid : -1;
}

// Reads both until they are closed; false: the time is over.
bool read_both(const Pipe& out, const Pipe& err, Answer& answer, double seconds) {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  std::array<pollfd, 2> files{pollfd{out.ends[0], POLLIN, 0}, pollfd{err.ends[0], POLLIN, 0}};
  std::array<std::string*, 2> texts{&answer.output, &answer.error};
  std::array<char, 4096> buffer{};
  while (files[0].fd >= 0 || files[1].fd >= 0) {
    if (Clock::now() > end) return false;
    if (poll(files.data(), files.size(), 100) <= 0) continue;
    for (std::size_t i = 0; i < files.size(); ++i) {
      if (files[i].fd < 0 || files[i].revents == 0) continue;
      const ssize_t got = read(files[i].fd, buffer.data(), buffer.size());
      if (got > 0) texts[i]->append(buffer.data(), static_cast<std::size_t>(got));
      if (got == 0 || (got < 0 && errno != EINTR)) files[i].fd = -1;
    }
  }
  return true;
}

std::string user_name() {
  const auto* entry = getpwuid(geteuid());
  return entry == nullptr ? std::to_string(geteuid()) : entry->pw_name;
}

Error no_answer(const std::string& program, const Answer& answer) {
  if (answer.code == 127)
    return failure("{} is not here: this command needs Slurm; run it on the cluster's login node", program);
  return failure("Slurm does not answer {}: {}", program,
                 answer.error.empty() ? fmt::format("exit code {}", answer.code) : answer.error);
}

// "gpu:h100:4(S:0-1,3),gpu:2,shard:32" -> "gpu:h100:4", "gpu:2", "shard:32"
std::vector<std::string> gres_of(const std::string& text) {
  static const std::regex kSockets(R"(\([^)]*\))");
  return split_words(std::regex_replace(text, kSockets, ""), ',');
}

// The count is the last part; what stands between, digits or not ("2080ti", "3090", "1g.10gb"), is the type.
void read_gres(const std::string& text, NodeInfo& node) {
  for (const auto& one : gres_of(text)) {
    const auto parts = split(one, ':');
    if (parts.front() != "gpu") continue;
    const auto count = parts.size() > 1 ? number_from<int>(parts.back()) : std::nullopt;
    const bool typed = parts.size() > (count ? 2U : 1U);
    node.gpus[typed ? parts[1] : ""] += count.value_or(1);
  }
}

// --clusters of squeue, sinfo and scancel.
void add_cluster(std::vector<std::string>& words, const std::string& cluster) {
  if (!cluster.empty()) words.push_back("--clusters=" + cluster);
}

}  // namespace

Answer ask(const std::vector<std::string>& words, double seconds) {
  Pipe out;
  Pipe err;
  Answer answer;
  const pid_t pid = start(words, out, err);
  if (pid < 0) return {127, {}, words.at(0) + ": no such program"};
  out.close_writer();
  err.close_writer();
  if (!read_both(out, err, answer, seconds)) {
    kill(pid, SIGKILL);
    answer.error += fmt::format("\nno answer in {:.0f} s", seconds);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  answer.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  answer.error = plain_error(answer.error);
  return answer;
}

std::vector<QueueEntry> parse_queue(const std::string& text) {
  std::vector<QueueEntry> entries;
  for (const auto& line : split(text, '\n')) {
    auto fields = split(line, '|');
    if (fields.size() < 6) continue;
    std::string script;
    for (std::size_t i = 7; i < fields.size(); ++i) script += (i == 7 ? "" : "|") + fields[i];
    fields.resize(7);
    entries.push_back(
        {fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6], script, {}});
  }
  return entries;
}

std::vector<QueueEntry> ask_queue(const std::string& cluster) {
  std::vector<std::string> words{"squeue",
                                 "--noheader",
                                 "--array",
                                 "--states=all",
                                 "--user=" + user_name(),
                                 std::string("--format=") + kQueueFormat};
  add_cluster(words, cluster);
  const auto answer = ask(words);
  if (answer.code != 0) throw no_answer("squeue", answer);
  auto entries = parse_queue(answer.output);
  for (auto& entry : entries) entry.cluster = cluster;
  return entries;
}

void cancel_jobs(const std::vector<std::string>& jobs, const std::string& cluster) {
  std::vector<std::string> words{"scancel"};
  add_cluster(words, cluster);
  words.insert(words.end(), jobs.begin(), jobs.end());
  const auto answer = ask(words);
  if (answer.code != 0) throw no_answer("scancel", answer);
}

std::optional<JobNumber> parse_job_number(const std::string& printed) {
  // The second form: sbatch in a wrapper that drops --parsable.
  static const std::regex kLine(R"((?:(\d+)(?:;(\S+))?|Submitted batch job (\d+)(?: on cluster (\S+))?))");
  std::optional<JobNumber> found;
  for (const auto& line : split_words(printed, '\n')) {
    std::smatch match;
    if (!std::regex_match(line, match, kLine)) continue;
    const bool plain = match[1].matched;
    const JobNumber number{match[plain ? 1 : 3].str(), match[plain ? 2 : 4].str()};
    if (found && found->id != number.id) return std::nullopt;
    found = number;
  }
  return found;
}

int NodeInfo::all_gpus() const {
  int sum = 0;
  for (const auto& [type, count] : gpus) sum += count;
  return sum;
}

std::vector<NodeInfo> parse_nodes(const std::string& text) {
  std::vector<NodeInfo> nodes;
  for (const auto& line : split(text, '\n')) {
    const auto fields = split(line, '|');
    if (fields.size() != 5) continue;
    NodeInfo node;
    node.node = fields[0];
    node.partition = fields[1];
    node.is_default = node.partition.ends_with('*');
    if (node.is_default) node.partition.pop_back();
    read_gres(fields[2], node);
    if (fields[3] != "(null)") node.features = split(fields[3], ',');
    node.state = fields[4];
    nodes.push_back(node);
  }
  return nodes;
}

std::vector<NodeInfo> ask_nodes(const std::string& cluster) {
  std::vector<std::string> words{"sinfo", "--noheader", "--Node", std::string("--format=") + kNodeFormat};
  add_cluster(words, cluster);
  const auto answer = ask(words);
  if (answer.code != 0) throw no_answer("sinfo", answer);
  return parse_nodes(answer.output);
}

}  // namespace shardrift::slurm
