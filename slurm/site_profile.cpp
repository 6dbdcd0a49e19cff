#include "slurm/site_profile.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <regex>

#include "common/json_file.hpp"
#include "common/toml_reader.hpp"
#include "slurm/embedded.hpp"

namespace shardrift::slurm {
namespace {

constexpr std::size_t kLongestProfile = 1U << 20U;

// A value that becomes part of an #SBATCH line or of a bash line: one line, nothing that ends it early.
void check_one_line(const TomlTable& table, const toml::node& node, std::string_view key,
                    const std::string& text) {
  const bool control = std::any_of(text.begin(), text.end(),
                                   [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
  if (control)
    throw error_at(table.file(), line_of(node), "{} of {} holds a line break or control character", key,
                   table.title());
}

// A word for an #SBATCH line: sbatch splits at blanks and reads quotes and '#' in its own way.
std::string word(TomlTable& table, std::string_view key, std::string otherwise = {}) {
  const auto* node = table.get(key);
  const auto text = table.text(key);
  if (!text) return otherwise;
  if (text->find_first_of(" \t\n\r\"'\\#") != std::string::npos)
    throw error_at(table.file(), line_of(*node), "{} of {} is \"{}\"; one word without quotes is expected",
                   key, table.title(), *text);
  check_one_line(table, *node, key, *text);
  return *text;
}

std::vector<std::string> lines(TomlTable& table, std::string_view key) {
  std::vector<std::string> list;
  const auto* node = table.get(key);
  if (node == nullptr) return list;
  const auto* array = node->as_array();
  if (array == nullptr) throw table.wrong(key, *node, "a list of strings");
  for (const auto& item : *array) {
    const auto* text = item.as_string();
    if (text == nullptr) throw table.wrong(key, item, "a list of strings");
    check_one_line(table, item, key, text->get());
    list.push_back(text->get());
  }
  return list;
}

template <NamedEnum E>
E choice(TomlTable& table, std::string_view key, E otherwise) {
  const auto* node = table.get(key);
  const auto text = table.text(key);
  if (!text) return otherwise;
  if (const auto value = from_name<E>(*text)) return *value;
  throw error_at(table.file(), line_of(*node), "{} is \"{}\"; one of {} is expected", key, *text,
                 fmt::join(all_names<E>(), ", "));
}

// sbatch's own spellings: minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]]
std::string time_limit(TomlTable& table, const std::string& otherwise) {
  static const std::regex kTime(R"(\d+(:\d{1,2}){0,2}|\d+-\d{1,2}(:\d{1,2}){0,2})");
  auto text = word(table, "time_limit", otherwise);
  if (!std::regex_match(text, kTime))
    throw error_at(table.file(), table.line(),
                   "time_limit of {} is \"{}\"; \"HH:MM:SS\" or \"D-HH:MM:SS\" is expected", table.title(),
                   text);
  return text;
}

// Options that submit itself decides: a second one would silently win or lose.
void check_sbatch_options(TomlTable& table, const std::vector<std::string>& options) {
  static const std::regex kOption(R"(--([a-z][a-z-]*)(=\S*)?)");
  constexpr std::array kOurs{"array",      "job-name", "output", "error",    "open-mode",
                             "requeue",    "signal",   "nodes",  "ntasks",   "ntasks-per-node",
                             "dependency", "chdir",    "wrap",   "parsable", "no-requeue"};
  const auto* node = table.get("sbatch");
  for (const auto& option : options) {
    std::smatch match;
    if (!std::regex_match(option, match, kOption))
      throw error_at(table.file(), line_of(*node), "sbatch of {} has \"{}\"; --name=value is expected",
                     table.title(), option);
    if (std::find(kOurs.begin(), kOurs.end(), match[1].str()) != kOurs.end())
      throw error_at(table.file(), line_of(*node),
                     "sbatch of {} sets --{}, which shardrift submit sets itself", table.title(),
                     match[1].str());
  }
}

constexpr std::string_view kClusters = "--clusters=";

std::string cluster_in(const std::vector<std::string>& options) {
  for (const auto& option : options)
    if (option.starts_with(kClusters)) return option.substr(kClusters.size());
  return {};
}

// Jobs that wait for each other are in one queue.
void settle_cluster(const TomlTable& table, SiteProfile& profile) {
  const auto cluster = cluster_in(profile.run.sbatch);
  if (cluster.find(',') != std::string::npos)
    throw error_at(
        table.file(), table.line(),
        "sbatch of {} has --clusters={}; the jobs of a study wait for each other, so name one cluster",
        table.title(), cluster);
  const auto own = cluster_in(profile.analysis.sbatch);
  if (!own.empty() && own != cluster)
    throw error_at(table.file(), table.line(),
                   "[analysis] has --clusters={}, the runs {}; it waits for them, so name the same cluster",
                   own, cluster.empty() ? "none" : "--clusters=" + cluster);
  if (own.empty() && !cluster.empty()) profile.analysis.sbatch.push_back(std::string(kClusters) + cluster);
}

// `otherwise` gives what the table leaves out.
JobSettings job_settings(TomlTable& table, JobSettings otherwise) {
  JobSettings job;
  job.partition = word(table, "partition", otherwise.partition);
  job.account = word(table, "account", otherwise.account);
  job.qos = word(table, "qos", otherwise.qos);
  job.constraint = word(table, "constraint", otherwise.constraint);
  job.memory = word(table, "memory", otherwise.memory);
  job.time_limit = time_limit(table, otherwise.time_limit);
  job.cpus = static_cast<int>(table.integer("cpus", 1, 1024).value_or(otherwise.cpus));
  job.sbatch = table.get("sbatch") == nullptr ? otherwise.sbatch : lines(table, "sbatch");
  check_sbatch_options(table, job.sbatch);
  return job;
}

std::map<std::string, std::string> environment(TomlTable& table) {
  static const std::regex kName("[A-Za-z_][A-Za-z0-9_]*");
  std::map<std::string, std::string> variables;
  const auto* node = table.get("environment");
  if (node == nullptr) return variables;
  const auto* values = node->as_table();
  if (values == nullptr) throw table.wrong("environment", *node, "a table of strings");
  for (const auto& [key, value] : *values) {
    const std::string name(key.str());
    const auto* text = value.as_string();
    if (text == nullptr) throw table.wrong("environment." + name, value, "a string");
    if (!std::regex_match(name, kName))
      throw error_at(table.file(), line_of(value), "environment: '{}' is no variable's name", name);
    check_one_line(table, value, name, text->get());
    variables[name] = text->get();
  }
  return variables;
}

void check_together(const TomlTable& table, const SiteProfile& profile) {
  if (profile.gpus == GpuRequest::none && !profile.gpu_type.empty())
    throw error_at(table.file(), table.line(),
                   "gpu_type is \"{}\", but gpus = \"none\" asks for no GPU: leave one out",
                   profile.gpu_type);
  for (const auto& option : profile.run.sbatch)
    if (option.starts_with("--gpus") || option.starts_with("--gres="))
      throw error_at(table.file(), table.line(),
                     "sbatch has {}: say it with gpus, gpu_type and ranks_per_node, or set gpus = \"none\"",
                     option);
}

}  // namespace

SiteProfile site_profile_from_text(const std::string& text, const std::string& file) {
  const auto parsed = parse_toml(text, file);
  TomlTable table(parsed, file, "the site profile");
  SiteProfile profile;
  profile.name = std::filesystem::path(file).stem().string();
  profile.text = text;
  JobSettings run;
  run.time_limit = "01:00:00";
  profile.run = job_settings(table, run);
  // The analysis wants no GPU: neither the constraint nor the further options of the runs are its own.
  JobSettings analysis = profile.run;
  analysis.constraint.clear();
  analysis.sbatch.clear();
  analysis.memory.clear();
  analysis.time_limit = "01:00:00";
  analysis.cpus = 2;
  profile.analysis = analysis;
  if (auto own = table.table("analysis", "[analysis]")) {
    profile.analysis = job_settings(*own, analysis);
    own->done();
  }
  profile.gpus = choice(table, "gpus", profile.gpus);
  profile.gpu_type = word(table, "gpu_type");
  profile.ranks_per_node =
      static_cast<int>(table.integer("ranks_per_node", 1, 1024).value_or(profile.ranks_per_node));
  profile.signal_seconds =
      static_cast<int>(table.integer("signal_seconds", 5, 65535).value_or(profile.signal_seconds));
  profile.at_once = static_cast<int>(table.integer("at_once", 1, 100000).value_or(0));
  profile.launcher = choice(table, "launcher", profile.launcher);
  profile.launcher_options = lines(table, "launcher_options");
  profile.modules = lines(table, "modules");
  profile.setup = lines(table, "setup");
  profile.environment = environment(table);
  if (const auto worker = table.text("worker")) {
    check_one_line(table, *table.get("worker"), "worker", *worker);
    profile.worker = *worker;
  }
  settle_cluster(table, profile);
  check_together(table, profile);
  table.done();
  return profile;
}

std::string cluster_of(const SiteProfile& profile) {
  const auto asked = cluster_in(profile.run.sbatch);
  const char* set = std::getenv("SBATCH_CLUSTERS");
  return asked.empty() && set != nullptr ? set : asked;
}

std::vector<std::string> shipped_site_profiles() {
  std::vector<std::string> names;
  for (const auto& file : embedded_profiles) names.emplace_back(file.name);
  std::sort(names.begin(), names.end());
  return names;
}

SiteProfile load_site_profile(const std::string& name_or_file) {
  if (name_or_file.find_first_of("/.") != std::string::npos)
    return site_profile_from_text(read_text_file(name_or_file, kLongestProfile), name_or_file);
  for (const auto& file : embedded_profiles)
    if (file.name == name_or_file)
      return site_profile_from_text(std::string(file.text), name_or_file + ".toml");
  throw usage_error("no site profile '{}': there are {}; or name a file, ./{}.toml", name_or_file,
                    fmt::join(shipped_site_profiles(), ", "), name_or_file);
}

}  // namespace shardrift::slurm
