#include "experiments/runner/launch.hpp"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options/parsers.hpp>
#include <cstdlib>

#include "common/error.hpp"

namespace shardrift::runner {
namespace {

// As scripts/lib.sh, which says why each.
std::map<std::string, std::string> usual_environment(const study::Configuration& configuration) {
  std::map<std::string, std::string> usual{{"OMP_NUM_THREADS", "1"},
                                           {"OMPI_MCA_hwloc_base_binding_policy", "none"},
                                           {"OMPI_MCA_btl_vader_single_copy_mechanism", "none"}};
  if (configuration.device == "cpu") {
    usual.emplace("OMPI_MCA_rmaps_base_oversubscribe", "1");
    usual.emplace("OMPI_MCA_mpi_yield_when_idle", "1");
  }
  if (geteuid() == 0) {
    usual.emplace("OMPI_ALLOW_RUN_AS_ROOT", "1");
    usual.emplace("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
  }
  std::erase_if(usual, [](const auto& item) { return std::getenv(item.first.c_str()) != nullptr; });
  return usual;
}

std::string replaced(const std::string& text, const std::string& what, const std::string& with) {
  std::string result;
  std::size_t from = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, from)) {
    result.append(text, from, at - from).append(with);
    from = at + what.size();
  }
  return result.append(text, from, std::string::npos);
}

}  // namespace

std::vector<std::string> launcher_words(const std::string& text) {
  auto words = boost::program_options::split_unix(text);
  if (words.empty()) throw usage_error("--launcher is empty");
  if (text.find("{ranks}") == std::string::npos)
    throw usage_error("--launcher '{}': write {{ranks}} where the number of ranks belongs", text);
  return words;
}

Command command_of(const study::Configuration& configuration, const Launcher& launcher,
                   const std::vector<std::string>& devices, int threads, bool replace,
                   const std::filesystem::path& log) {
  Command command;
  const auto ranks = std::to_string(configuration.ranks);
  const bool ours = configuration.engine.empty();
  if (!ours) {
    command.words = configuration.engine;
  } else if (!launcher.words.empty()) {
    for (const auto& word : launcher.words) command.words.push_back(replaced(word, "{ranks}", ranks));
  } else if (configuration.ranks > 1) {
    command.words = {"mpirun", "-n", ranks};
  }
  if (ours) command.words.insert(command.words.end(), {launcher.worker.string(), configuration.command});
  command.words.insert(command.words.end(), configuration.arguments.begin(), configuration.arguments.end());
  command.words.insert(command.words.end(), {"--output", configuration.output.string()});
  const auto given = [&](const char* flag) {
    return std::find(configuration.arguments.begin(), configuration.arguments.end(), flag) !=
           configuration.arguments.end();
  };
  if (ours && threads > 0 && !given("--threads") && configuration.command == "run")
    command.words.insert(command.words.end(), {"--threads", std::to_string(threads)});
  // A probe that was cut off has nothing to go on from.
  if (replace || configuration.command == "probe") command.words.emplace_back("--overwrite");
  command.environment = usual_environment(configuration);
  // A site's SLURM_EXPORT_ENV=NONE would keep all this from the ranks that srun starts.
  if (std::getenv("SLURM_EXPORT_ENV") != nullptr) command.environment["SLURM_EXPORT_ENV"] = "ALL";
  if (!devices.empty())
    command.environment["CUDA_VISIBLE_DEVICES"] = fmt::format("{}", fmt::join(devices, ","));
  command.log = log;
  return command;
}

std::string shell_text(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) {
    const bool plain =
        !word.empty() && word.find_first_of(" \t\n'\"\\$`*?[]{}()<>|&;#~!") == std::string::npos;
    text += fmt::format("{}{}", text.empty() ? "" : " ",
                        plain ? word : fmt::format("'{}'", replaced(word, "'", "'\\''")));
  }
  return text;
}

}  // namespace shardrift::runner
