#include "slurm/submission.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/durable_file.hpp"
#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"

namespace shardrift::slurm {
namespace {

using nlohmann::json;

constexpr const char* kSchema = "shardrift submission 1";
constexpr std::size_t kLongest = 16U << 20U;
constexpr std::int64_t kMostRanks = 1 << 20;
constexpr std::int64_t kMostPrompts = std::int64_t{1} << 40;

}  // namespace

std::string task_id(const SubmittedJob& job, std::size_t index) {
  return job.configurations.empty() ? job.id : fmt::format("{}_{}", job.id, index);
}

const SubmittedJob* Submission::submitted_as(const std::string& name) const {
  for (const auto& job : jobs)
    if (job.configurations.empty() ? job.name == name
                                   : std::find(job.configurations.begin(), job.configurations.end(), name) !=
                                         job.configurations.end())
      return &job;
  return nullptr;
}

std::string Submission::job_of(const std::string& name) const {
  const auto* job = submitted_as(name);
  if (job == nullptr) return {};
  const auto task = std::find(job->configurations.begin(), job->configurations.end(), name);
  return task_id(*job, static_cast<std::size_t>(task - job->configurations.begin()));
}

std::set<std::string> Submission::clusters() const {
  std::set<std::string> names{cluster};
  for (const auto& job : jobs) names.insert(job.cluster);
  return names;
}

std::filesystem::path submission_path(const std::filesystem::path& output) {
  return output / "slurm" / "submission.json";
}

std::string to_json(const Submission& submission) {
  json jobs = json::array();
  for (const auto& job : submission.jobs) {
    jobs.push_back({{"id", job.id}, {"name", job.name}, {"configurations", job.configurations}});
    if (!job.cluster.empty()) jobs.back()["cluster"] = job.cluster;
  }
  json configurations = json::array();
  for (const auto& one : submission.configurations)
    configurations.push_back({{"name", one.name},
                              {"ranks", one.ranks},
                              {"device", one.device},
                              {"prompts", one.prompts},
                              {"output", one.output.string()},
                              {"after", one.after}});
  json all{{"schema", kSchema},
           {"study", submission.study},
           {"file", submission.file.string()},
           {"profile", submission.profile},
           {"output", submission.output.string()},
           {"submitted", submission.submitted},
           {"jobs", jobs},
           {"configurations", configurations}};
  if (!submission.cluster.empty()) all["cluster"] = submission.cluster;
  return all.dump(2) + "\n";
}

Submission submission_from_json(const std::string& text, const std::string& file) {
  const auto json = parse_json_object(text, file);
  const JsonObject object(json, file);
  if (const auto schema = object.text("schema"); schema != kSchema)
    throw object.wrong("schema", schema, fmt::format("'{}' is expected", kSchema));
  Submission submission;
  submission.study = object.text("study");
  submission.file = object.text("file");
  submission.profile = object.text("profile");
  submission.output = object.text("output");
  submission.submitted = object.text("submitted");
  submission.cluster = object.text("cluster", "");
  for (const auto& item : object.objects("jobs"))
    submission.jobs.push_back(
        {item.text("id"), item.text("name"), item.texts("configurations"), item.text("cluster", "")});
  for (const auto& item : object.objects("configurations")) {
    study::Configuration one;
    one.name = item.text("name");
    one.ranks = static_cast<int>(item.integer("ranks", 1, kMostRanks));
    one.device = item.text("device");
    one.prompts = item.integer("prompts", 0, kMostPrompts);
    one.output = item.text("output");
    one.after = item.texts("after");
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
