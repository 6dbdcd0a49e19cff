#include "rank_processes.hpp"

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The number after `key` in one of the process's files, -1 where it is not there.
int number_after(const std::string& text, const std::string& key) {
  const auto at = text.find(key);
  return at == std::string::npos ? -1 : std::atoi(text.c_str() + at + key.size());
}

}  // namespace

std::vector<int> rank_processes(int mpirun) {
  std::map<int, int> by_rank;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const int process = std::atoi(entry.path().filename().c_str());
    if (process <= 0 || number_after(content(entry.path() / "status"), "PPid:") != mpirun) continue;
    const int rank = number_after(content(entry.path() / "environ"), "OMPI_COMM_WORLD_RANK=");
    if (rank >= 0) by_rank[rank] = process;
  }
  std::vector<int> processes;
  for (const auto& [rank, process] : by_rank) processes.push_back(process);
  return processes;
}

bool is_on_a_command_line(const std::string& text) {
  for (const auto& entry : fs::directory_iterator("/proc"))
    if (std::atoi(entry.path().filename().c_str()) > 0 &&
        content(entry.path() / "cmdline").find(text) != std::string::npos)
      return true;
  return false;
}

bool catches(int process, int signal) {
  const auto text = content("/proc/" + std::to_string(process) + "/status");
  const std::string key = "SigCgt:";
  const auto at = text.find(key);
  return at != std::string::npos &&
         ((std::stoull(text.substr(at + key.size() + 1, 16), nullptr, 16) >> (signal - 1)) & 1U) != 0;
}

}  // namespace shardrift::testing
