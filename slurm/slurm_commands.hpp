// Slurm, asked through its own commands.
#pragma once
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
  std::string job;      // "12_3", "13"
  std::string state;    // PENDING, RUNNING, COMPLETED, FAILED, …
  std::string reason;   // "Resources", "None"
  std::string elapsed;  // "1:23"
  std::string limit;    // "1:00:00"
  std::string nodes;    // "n[1-2]"
  std::string start;    // expected or real, "N/A": not known
};
// Lines of squeue --noheader --array --format=kQueueFormat. Lines that are none are passed over.
inline constexpr const char* kQueueFormat = "%i|%T|%r|%M|%l|%N|%S";
std::vector<QueueEntry> parse_queue(const std::string& text);

// The user's jobs. Throws failure where Slurm does not answer.
std::vector<QueueEntry> ask_queue();

// One node as sinfo shows it in one partition.
struct NodeInfo {
  std::string node;
  std::string partition;
  bool is_default = false;             // the partition is the cluster's default
  std::vector<std::string> gpu_types;  // of its GPUs; "" where they have no type
  int gpus = 0;
  std::vector<std::string> features;
  std::string state;  // "idle", "down*"
};
inline constexpr const char* kNodeFormat = "%N|%P|%G|%f|%t";
std::vector<NodeInfo> parse_nodes(const std::string& text);
std::vector<NodeInfo> ask_nodes();  // throws failure where Slurm does not answer

}  // namespace shardrift::slurm
