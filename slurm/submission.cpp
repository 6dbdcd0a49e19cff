#include "slurm/submission.hpp"

#include <nlohmann/json.hpp>

#include "common/durable_file.hpp"
#include "common/error.hpp"
#include "common/json_file.hpp"

namespace shardrift::slurm {
namespace {

using nlohmann::json;

constexpr const char* kSchema = "shardrift submission 1";
constexpr std::size_t kLongest = 16U << 20U;

template <typename T>
T value(const json& object, const char* key, const std::string& file) {
  const auto* found = member(object, key);
  if (found == nullptr) throw bad_data("{}: no '{}': it is no submission of this program", file, key);
  try {
    return found->get<T>();
  } catch (const json::exception&) {
    throw bad_data("{}: '{}' is {}", file, key, shown(*found));
  }
}

std::vector<json> list(const json& object, const char* key, const std::string& file) {
  const auto* found = member(object, key);
  if (found == nullptr || !found->is_array()) throw bad_data("{}: '{}' is no list", file, key);
  for (const auto& item : *found)
    if (!item.is_object()) throw bad_data("{}: '{}' holds {}", file, key, shown(item));
  return *found;
}

}  // namespace

std::string task_id(const SubmittedJob& job, std::size_t index) {
  return job.configurations.empty() ? job.id : fmt::format("{}_{}", job.id, index);
}

std::string Submission::job_of(const std::string& name) const {
  for (const auto& job : jobs) {
    if (job.configurations.empty() && job.name == name) return job.id;
    for (std::size_t i = 0; i < job.configurations.size(); ++i)
      if (job.configurations[i] == name) return task_id(job, i);
  }
  return {};
}

std::filesystem::path submission_path(const std::filesystem::path& output) {
  return output / "slurm" / "submission.json";
}

std::string to_json(const Submission& submission) {
  json jobs = json::array();
  for (const auto& job : submission.jobs)
    jobs.push_back({{"id", job.id}, {"name", job.name}, {"configurations", job.configurations}});
  json configurations = json::array();
  for (const auto& one : submission.configurations)
    configurations.push_back({{"name", one.name},
                              {"ranks", one.ranks},
                              {"device", one.device},
                              {"prompts", one.prompts},
                              {"output", one.output.string()},
                              {"after", one.after}});
  return json{{"schema", kSchema},
              {"study", submission.study},
              {"file", submission.file.string()},
              {"profile", submission.profile},
              {"output", submission.output.string()},
              {"submitted", submission.submitted},
              {"jobs", jobs},
              {"configurations", configurations}}
             .dump(2) +
         "\n";
}

Submission submission_from_json(const std::string& text, const std::string& file) {
  const auto object = parse_json_object(text, file);
  if (value<std::string>(object, "schema", file) != kSchema)
    throw bad_data("{}: schema is {}, '{}' is expected", file, shown(object["schema"]), kSchema);
  Submission submission;
  submission.study = value<std::string>(object, "study", file);
  submission.file = value<std::string>(object, "file", file);
  submission.profile = value<std::string>(object, "profile", file);
  submission.output = value<std::string>(object, "output", file);
  submission.submitted = value<std::string>(object, "submitted", file);
  for (const auto& item : list(object, "jobs", file))
    submission.jobs.push_back({value<std::string>(item, "id", file), value<std::string>(item, "name", file),
                               value<std::vector<std::string>>(item, "configurations", file)});
  for (const auto& item : list(object, "configurations", file)) {
    study::Configuration one;
    one.name = value<std::string>(item, "name", file);
    one.ranks = value<int>(item, "ranks", file);
    one.device = value<std::string>(item, "device", file);
    one.prompts = value<std::int64_t>(item, "prompts", file);
    one.output = value<std::string>(item, "output", file);
    one.after = value<std::vector<std::string>>(item, "after", file);
    submission.configurations.push_back(one);
  }
  return submission;
}

std::optional<Submission> read_submission(const std::filesystem::path& output) {
  const auto path = submission_path(output);
  if (!std::filesystem::exists(path)) return std::nullopt;
  auto submission = submission_from_json(read_text_file(path, kLongest), path.string());
  // Where it is now: the folder may have been copied.
  for (auto& one : submission.configurations)
    if (one.output.parent_path() == submission.output) one.output = output / one.output.filename();
  submission.output = output;
  return submission;
}

void write_submission(const Submission& submission) {
  write_text_durably(submission_path(submission.output), to_json(submission));
}

}  // namespace shardrift::slurm
