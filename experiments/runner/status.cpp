#include "experiments/runner/status.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "common/durable_file.hpp"
#include "common/error.hpp"
#include "common/json_file.hpp"
#include "record/reader.hpp"

namespace shardrift::runner {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kSchema = "shardrift study status 1";
constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20;

json json_of(const RunStatus& run) {
  return {{"name", run.name},
          {"role", run.role},
          {"plan", run.plan},
          {"asked", run.asked},
          {"predicted", run.predicted},
          {"prediction", run.prediction},
          {"ranks", run.ranks},
          {"state", name_of(run.state)},
          {"reason", run.reason},
          {"output", run.output.string()},
          {"log", run.log.string()},
          {"arguments", run.arguments},
          {"fingerprint", run.fingerprint},
          {"replacing", run.replacing},
          {"prompts", run.prompts},
          {"attempts", run.attempts},
          {"started", run.started},
          {"finished", run.finished},
          {"seconds", run.seconds},
          {"estimated_seconds", run.estimated_seconds},
          {"compare_with", run.compare_with}};
}

// Missing keys keep their defaults, so that a later version's file can be read.
template <typename Value>
void take(const json& object, const char* key, Value& value) {
  if (const auto* found = member(object, key)) value = found->get<Value>();
}
void take_path(const json& object, const char* key, fs::path& path) {
  std::string text;
  take(object, key, text);
  path = text;
}

RunStatus run_of(const json& object) {
  if (!object.is_object()) throw bad_data("a run is {}, an object is expected", shown(object));
  RunStatus run;
  take(object, "name", run.name);
  take(object, "role", run.role);
  take(object, "plan", run.plan);
  take(object, "asked", run.asked);
  take(object, "predicted", run.predicted);
  take(object, "prediction", run.prediction);
  take(object, "ranks", run.ranks);
  std::string state = "waiting";
  take(object, "state", state);
  run.state = named<RunState>("state", state);
  take(object, "reason", run.reason);
  take_path(object, "output", run.output);
  take_path(object, "log", run.log);
  take(object, "arguments", run.arguments);
  take(object, "fingerprint", run.fingerprint);
  take(object, "replacing", run.replacing);
  take(object, "prompts", run.prompts);
  take(object, "attempts", run.attempts);
  take(object, "started", run.started);
  take(object, "finished", run.finished);
  take(object, "seconds", run.seconds);
  take(object, "estimated_seconds", run.estimated_seconds);
  take(object, "compare_with", run.compare_with);
  return run;
}

}  // namespace

RunStatus* StudyStatus::find(std::string_view run) {
  const auto found =
      std::find_if(runs.begin(), runs.end(), [&](const RunStatus& one) { return one.name == run; });
  return found == runs.end() ? nullptr : &*found;
}

const RunStatus* StudyStatus::find(std::string_view run) const {
  const auto found =
      std::find_if(runs.begin(), runs.end(), [&](const RunStatus& one) { return one.name == run; });
  return found == runs.end() ? nullptr : &*found;
}

fs::path status_path(const fs::path& output_folder) {
  return output_folder / "status.json";
}

std::string to_json(const StudyStatus& status) {
  json runs = json::array();
  for (const auto& run : status.runs) runs.push_back(json_of(run));
  json not_possible = json::array();
  for (const auto& one : status.not_possible)
    not_possible.push_back({{"name", one.name}, {"reason", one.reason}});
  const json all = {{"schema", kSchema},         {"study", status.study.string()},
                    {"name", status.name},       {"question", status.question},
                    {"host", status.host},       {"pid", status.pid},
                    {"started", status.started}, {"updated", status.updated},
                    {"state", status.state},     {"machine", status.machine},
                    {"runs", std::move(runs)},   {"not_possible", std::move(not_possible)}};
  return all.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::optional<StudyStatus> read_status(const fs::path& output_folder) {
  const auto path = status_path(output_folder);
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  const auto object = parse_json_object(read_text_file(path, kMaxFileBytes), path.string());
  try {
    std::string schema;
    take(object, "schema", schema);
    if (schema != kSchema) throw bad_data("schema is {}, {} is expected", shown(schema), shown(kSchema));
    StudyStatus status;
    take_path(object, "study", status.study);
    take(object, "name", status.name);
    take(object, "question", status.question);
    take(object, "host", status.host);
    take(object, "pid", status.pid);
    take(object, "started", status.started);
    take(object, "updated", status.updated);
    take(object, "state", status.state);
    take(object, "machine", status.machine);
    if (const auto* runs = member(object, "runs")) {
      if (!runs->is_array()) throw bad_data("runs is {}, a list is expected", shown(*runs));
      for (const auto& run : *runs) status.runs.push_back(run_of(run));
    }
    if (const auto* list = member(object, "not_possible")) {
      for (const auto& item : *list) {
        study::NotPossible one;
        take(item, "name", one.name);
        take(item, "reason", one.reason);
        status.not_possible.push_back(std::move(one));
      }
    }
    return status;
  } catch (const json::exception& wrong) {
    throw bad_data("{}: {}", path.string(), wrong.what());
  } catch (const Error& wrong) {
    throw bad_data("{}: {}", path.string(), wrong.what());
  }
}

void write_status(const StudyStatus& status, const fs::path& output_folder) {
  write_text_durably(status_path(output_folder), to_json(status));
}

RunStatus status_of(const study::Configuration& configuration, const fs::path& output_folder) {
  RunStatus run;
  run.name = configuration.name;
  run.role = name_of(configuration.role);
  run.plan = configuration.plan;
  run.asked = configuration.asked;
  run.predicted = configuration.predicted;
  run.prediction = configuration.prediction;
  run.ranks = configuration.ranks;
  run.output = configuration.output;
  run.log = output_folder / "logs" / (configuration.name + ".log");
  run.arguments = configuration.arguments;
  run.fingerprint = configuration.fingerprint;
  run.prompts = configuration.prompts;
  run.estimated_seconds = configuration.estimated_seconds;
  run.compare_with = configuration.compare_with;
  return run;
}

std::int64_t finished_prompts(const fs::path& output, std::int64_t all) {
  std::error_code error;
  if (fs::exists(output, error)) return all;
  std::int64_t count = 0;
  for (fs::directory_iterator it(output.string() + ".parts", error), end; !error && it != end;
       it.increment(error))
    if (it->path().extension() == ".h5" && record::valid_id(it->path().stem().string())) ++count;
  return count;
}

bool is_complete(const fs::path& output) {
  std::error_code error;
  if (!fs::exists(output, error)) return false;
  try {
    return record::Reader::open(output).complete();
  } catch (const Error&) {
    return false;  // the worker will say what is wrong with it
  }
}

bool is_record_of(const study::Configuration& configuration) {
  if (configuration.role == study::Role::probe) {
    std::error_code error;
    return fs::exists(configuration.output, error);
  }
  return is_complete(configuration.output) &&
         record::Reader::open(configuration.output).run().plan == configuration.plan_json;
}

}  // namespace shardrift::runner
