#include "experiments/runner/status.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/durable_file.hpp"
#include "common/error.hpp"
#include "common/field_json.hpp"
#include "common/json_file.hpp"
#include "common/name_length.hpp"
#include "record/reader.hpp"

namespace shardrift::runner {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kSchema = "shardrift study status 1";
constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20;

template <typename Value>
json list_to_json(const std::vector<Value>& values) {
  json list = json::array();
  for (const auto& value : values) list.push_back(fields_to_json(value));
  return list;
}

// Missing keys keep their defaults, so that a later version's file can be read.
template <typename Value>
void take_list(const json& object, const char* key, std::vector<Value>& values) {
  const auto* list = member(object, key);
  if (list == nullptr) return;
  if (!list->is_array()) throw bad_data("{} is {}, a list is expected", key, shown(*list));
  for (const auto& item : *list) {
    if (!item.is_object()) throw bad_data("one of {} is {}, an object is expected", key, shown(item));
    take_fields(item, values.emplace_back());
  }
}

StudyStatus status_from(const json& object) {
  const auto schema = object.value("schema", "");
  if (schema != kSchema) throw bad_data("schema is {}, {} is expected", shown(schema), shown(kSchema));
  StudyStatus status;
  take_fields(object, status);
  take_list(object, "runs", status.runs);
  take_list(object, "not_possible", status.not_possible);
  return status;
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

void refuse_long_folder(const fs::path& output_folder) {
  // A run's note in slurm/state while it is written: the longest of them all (slurm/templates/task.sh).
  constexpr std::size_t kLongestName = 64;
  const std::string job = ".4294967295_4294967295.module";
  refuse_long_name("--output", output_folder,
                   output_folder / "slurm" / "state" / (std::string(kLongestName, 'x') + job));
}

fs::path status_path(const fs::path& output_folder) {
  return output_folder / "status.json";
}

std::string to_json(const StudyStatus& status) {
  json all = fields_to_json(status);
  all["schema"] = kSchema;
  all["runs"] = list_to_json(status.runs);
  all["not_possible"] = list_to_json(status.not_possible);
  return all.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::optional<StudyStatus> read_status(const fs::path& output_folder) {
  const auto path = status_path(output_folder);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  // What it tells can be found out anew.
  const auto wrong = [&](const std::string& what) {
    return bad_data("{}: move it away and give the command again: records beside it that are whole are kept",
                    what);
  };
  try {
    const auto object = parse_json_object(read_text_file(path, kMaxFileBytes), path.string());
    return status_from(object);
  } catch (const json::exception& error) {
    throw wrong(fmt::format("{}: {}", path.string(), error.what()));
  } catch (const Error& error) {
    const std::string text = error.what();
    throw wrong(text.starts_with(path.string()) ? text : fmt::format("{}: {}", path.string(), text));
  }
}

void write_status(const StudyStatus& status, const fs::path& output_folder) {
  write_text_durably(status_path(output_folder), to_json(status));
}

std::string state_words(RunState state, const std::string& reason) {
  const std::string name(name_of(state));
  if (reason.empty()) return name;
  return reason.starts_with(name) ? reason : name + ": " + reason;
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
  if (fs::exists(output, error)) return is_complete(output) ? all : 0;
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

std::string fault_of_output(const study::Configuration& configuration) {
  const auto& output = configuration.output;
  std::error_code error;
  if (!fs::exists(output, error)) return fmt::format("{} is not there", output.string());
  if (configuration.role == study::Role::probe) return {};
  try {
    if (!record::Reader::open(output).complete()) return fmt::format("{} is not complete", output.string());
    return {};
  } catch (const Error& unread) {
    return unread.what();  // which names the file
  }
}

bool is_record_of(const study::Configuration& configuration) {
  if (!fault_of_output(configuration).empty()) return false;
  // Of a probe nothing more is known, of another engine's record the fingerprint tells the rest.
  if (configuration.role == study::Role::probe || !configuration.engine.empty()) return true;
  return record::Reader::open(configuration.output).run().plan == configuration.plan_json;
}

}  // namespace shardrift::runner
