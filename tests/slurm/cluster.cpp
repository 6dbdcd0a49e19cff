#include "cluster.hpp"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;

const char* const kScript = SHARDRIFT_SOURCE_DIR "/tests/slurm/private-slurm";

// The variables that env.sh exports, into this process: programs that tests start inherit them.
void export_environment(const fs::path& script) {
  const auto listed = run_program({"bash", "-c", "set -a; source \"$0\"; env -0", script.string()});
  std::istringstream stream(listed.output);
  for (std::string variable; std::getline(stream, variable, '\0');) {
    const auto equals = variable.find('=');
    if (equals != std::string::npos)
      setenv(variable.substr(0, equals).c_str(), variable.c_str() + equals + 1, 1);
  }
}

}  // namespace

std::string slurm_missing() {
  for (const char* program : {"/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/sbin/munged"})
    if (access(program, X_OK) != 0)
      return std::string(program) + " is missing: scripts/setup --tests installs it";
  return {};
}

Cluster::Cluster(const std::vector<std::string>& nodes) : folder_("/tmp/slurm-" + std::to_string(getpid())) {
  std::vector<std::string> words{kScript, "start", folder_.string(), "--owner", std::to_string(getpid())};
  words.insert(words.end(), nodes.begin(), nodes.end());
  const auto started = run_program(words);
  if (started.code != 0) throw std::runtime_error("private-slurm: " + started.output);
  export_environment(folder_ / "env.sh");
}

Cluster::~Cluster() {
  run_program({kScript, "stop", folder_.string()});
}

std::vector<std::string> daemons_of(const fs::path& folder) {
  std::vector<std::string> found;
  const auto marker = "SHARDRIFT_PRIVATE_SLURM=" + folder.string();
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    std::ifstream file(entry.path() / "environ", std::ios::binary);
    for (std::string variable; std::getline(file, variable, '\0');)
      if (variable == marker) found.push_back(entry.path().filename().string());
  }
  return found;
}

Finished shardrift(const fs::path& folder, std::vector<std::string> arguments) {
  std::vector<std::string> words{"env", "--chdir=" + folder.string(), SHARDRIFT_BINARY_DIR "/bin/shardrift"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return run_program(words);
}

::testing::AssertionResult wait_on_slurm(const std::string& what, const std::function<bool()>& is_so) {
  return wait_for(what, is_so, std::chrono::milliseconds(200));
}

std::string row_of(const std::string& status_text, const std::string& name) {
  std::istringstream stream(status_text);
  for (std::string line; std::getline(stream, line);)
    if (line.starts_with(name + " ")) return line;
  return {};
}

std::string job_of(const std::string& status_text, const std::string& name) {
  std::istringstream words(row_of(status_text, name));
  for (std::string word; words >> word;)
    if (word.find('_') != std::string::npos && word.find_first_not_of("0123456789_") == std::string::npos)
      return word;
  return {};
}

}  // namespace shardrift::testing
