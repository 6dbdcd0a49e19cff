// Slurm, asked through its own commands.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace shardrift::slurm {

struct Answer {
  int code = 0;        // exit code; 127: no such program; 128 + n: signal n, 137 also after `seconds`
  std::string output;  // stdout
  std::string error;   // stderr, without "sbatch: error: " and the like, on one line
};
Answer ask(const std::vector<std::string>& words, double seconds = 60);

// One job or array task that Slurm remembers (after its end for minutes only: MinJobAge).
struct QueueEntry {
  std::string job;        // "12_3", "13"
  std::string state;      // PENDING, RUNNING, COMPLETED, FAILED, …
  std::string reason;     // "Resources", "None"
  std::string elapsed;    // "1:23"
  std::string limit;      // "1:00:00"
  std::string nodes;      // "n[1-2]"
  std::string start;      // expected or real, "N/A": not known
  std::string script{};   // the file that sbatch was given
  std::string cluster{};  // where it was asked; empty: the cluster at hand
};
// Lines of squeue --noheader --array --format=kQueueFormat. Lines that are none are passed over.
inline constexpr const char* kQueueFormat = "%i|%T|%r|%M|%l|%N|%S|%o";
std::vector<QueueEntry> parse_queue(const std::string& text);

// The user's jobs on that cluster (empty: the one at hand). Throws failure where Slurm does not answer.
std::vector<QueueEntry> ask_queue(const std::string& cluster);

// scancel. Throws failure with what it said.
void cancel_jobs(const std::vector<std::string>& jobs, const std::string& cluster);

// The number that sbatch --parsable printed, and the cluster where it names one ("101;far"), among whatever
// a site's sbatch says besides. Nothing where no line, or more than one, can be it.
struct JobNumber {
  std::string id;
  std::string cluster;
};
std::optional<JobNumber> parse_job_number(const std::string& printed);

// One node as sinfo shows it in one partition.
struct NodeInfo {
  std::string node;
  std::string partition;
  bool is_default = false;            // the partition is the cluster's default
  std::map<std::string, int> gpus{};  // its GPUs by type; "" where they have none
  std::vector<std::string> features;
  std::string state;  // "idle", "down*"

  int all_gpus() const;
};
inline constexpr const char* kNodeFormat = "%N|%P|%G|%f|%t";
std::vector<NodeInfo> parse_nodes(const std::string& text);
std::vector<NodeInfo> ask_nodes(const std::string& cluster);  // as ask_queue

}  // namespace shardrift::slurm
