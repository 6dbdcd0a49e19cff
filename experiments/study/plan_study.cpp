#include "experiments/study/plan_study.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "common/text.hpp"
#include "experiments/study/estimate.hpp"
#include "experiments/study/prediction.hpp"
#include "experiments/study/prompts_summary.hpp"
#include "options/launch.hpp"
#include "options/probe_options.hpp"
#include "options/run_options.hpp"
#include "parallel/plan/plan_json.hpp"
#include "parallel/probe/given_sum.hpp"
#include "parallel/profile/messages.hpp"
#include "parallel/profile/profile.hpp"
#include "record/output_names.hpp"
#include "weights/codings/matrix_coding.hpp"
#include "weights/fit.hpp"
#include "weights/model_config.hpp"
#include "weights/model_files.hpp"
#include "weights/quantize.hpp"
#include "weights/safetensors.hpp"

namespace shardrift::study {
namespace {

namespace fs = std::filesystem;

constexpr double kProbeSeconds = 5;  // libraries and communicator; the collectives take milliseconds

struct Model {
  ModelConfig config;
  std::string identity;
  std::string coding;  // of its matrices, described; empty: plain numbers
};

// The records of other runs that a run reads; empty: none.
struct ReadRecords {
  fs::path follow;
  fs::path replay_routes;
};

// Words after `shardrift-run run`.
std::vector<std::string> words_of(const Settings& settings, const ReadRecords& records) {
  std::vector<std::string> words;
  for (const auto& [flag, setting] : settings) {
    if (setting.is_switch && !setting.on) continue;
    words.push_back("--" + flag);
    if (!setting.is_switch) words.push_back(setting.text);
  }
  if (!records.follow.empty()) words.insert(words.end(), {"--follow", records.follow.string()});
  if (!records.replay_routes.empty())
    words.insert(words.end(), {"--replay-routes", records.replay_routes.string()});
  return words;
}

RunOptions parsed(std::vector<std::string> words, const fs::path& output) {
  words.insert(words.end(), {"--output", output.string()});
  bool helped = false;
  return parse_run_options(words, helped);
}

// Where the flag stands that a message of the worker's parser is about, the one it names first: its line, or
// the words of the command line.
std::string place_of_error(const std::string& message, const fs::path& file, const Entry& entry) {
  int line = entry.line;
  std::string given;
  auto first = std::string::npos;
  for (const auto& [flag, setting] : entry.settings) {
    const auto at = message.find("--" + flag);
    if (at >= first || (setting.line == 0 && setting.given.empty())) continue;
    first = at;
    line = setting.line;
    given = setting.given;
  }
  return given.empty() ? place_in(file.string(), line) : given;
}

class Planner {
 public:
  Planner(const Study& study, const Machine& machine, const PlanOptions& options)
      : study_(study), machine_(machine), options_(options) {}

  StudyPlan plan() {
    for (const auto& entry : study_.entries) {
      try {
        add(entry);
      } catch (const Error& error) {
        errors_.push_back(message(error, entry));
      }
    }
    if (!errors_.empty()) throw bad_data("{}", joined_errors());
    return std::move(plan_);
  }

 private:
  std::string message(const Error& error, const Entry& entry) const {
    if (study_.file.empty()) return fmt::format("{}: {}", entry.name, error.what());
    return fmt::format("{}: {}: {}", place_of_error(error.what(), study_.file, entry), entry.name,
                       error.what());
  }

  std::string joined_errors() const {
    std::string text = errors_.front();
    for (std::size_t i = 1; i < errors_.size(); ++i) text += "\n           " + errors_[i];
    if (errors_.size() > 1)
      text += fmt::format("\n           {} entries cannot be; nothing was started", errors_.size());
    return text;
  }

  const Model& model_at(const fs::path& directory) {
    const auto found = models_.find(directory);
    if (found != models_.end()) return found->second;
    Model model;
    model.config = read_model_config(directory);
    const auto checkpoint = Checkpoint::open(directory);
    model.identity = checkpoint.identity(model.config.text);
    model.coding = quantization_by(matrix_coding(model.config, checkpoint).get());
    return models_.emplace(directory, std::move(model)).first->second;
  }

  const PromptsSummary& prompts_at(const fs::path& file) {
    const auto found = prompts_.find(file);
    return found != prompts_.end() ? found->second
                                   : prompts_.emplace(file, summarize_prompts(file)).first->second;
  }

  void leave_out(const Entry& entry, const std::string& reason, const std::string& plan = {}) {
    plan_.not_possible.push_back({entry.name, reason, entry.line, plan});
  }

  const Configuration* planned(const std::string& name) const {
    const auto found = std::find_if(plan_.configurations.begin(), plan_.configurations.end(),
                                    [&](const Configuration& one) { return one.name == name; });
    return found == plan_.configurations.end() ? nullptr : &*found;
  }

  Work work_of(const Entry& entry, const RunOptions& options, const ModelConfig& config) {
    if (!entry.follow.empty()) {
      Work work;
      if (const auto found = work_.find(entry.follow); found != work_.end()) work = found->second;
      if (options.mode != Mode::score || work.prompts == 0) return work;
      work.longest += work.new_tokens / work.prompts;
      work.lengths.assign(static_cast<std::size_t>(work.prompts),
                          work.longest);  // where texts end is not known
      work.prompt_tokens += std::exchange(work.new_tokens, 0);
      return work;
    }
    if (!options.follow.empty()) return {};  // a record from elsewhere (explain): no estimate
    const auto& summary = prompts_at(options.prompts);
    check_prompts(summary.file, config.vocabulary, !tokenizer_file(options.model).empty());
    if (!summary.estimated && summary.longest > config.max_positions)  // of texts the worker knows
      throw usage_error("--prompts {}: a prompt of {} tokens, the model's context ends at {}",
                        options.prompts.string(), summary.longest, config.max_positions);
    return {summary.prompts, summary.tokens, summary.longest, summary.lengths,
            options.mode == Mode::score ? 0 : summary.prompts * options.max_new_tokens};
  }

  // How many ranks a probe asks for: the setting `ranks`, which is no flag.
  static int take_ranks(Settings& settings) {
    const auto found = settings.find("ranks");
    if (found == settings.end()) throw usage_error("[[probe]] needs ranks = N, 2 to {}", kMaxProbeRanks);
    const std::string text = found->second.text;
    settings.erase(found);
    const auto ranks = number_from<int>(text);
    if (!ranks || *ranks < 2 || *ranks > kMaxProbeRanks)
      throw usage_error("ranks = {}: 2 to {} can be probed", text, kMaxProbeRanks);
    return *ranks;
  }

  void add_probe(const Entry& entry) {
    Settings settings = entry.settings;
    Configuration one;
    one.name = entry.name;
    one.role = entry.role;
    one.command = "probe";
    one.device = machine_.device;
    one.ranks = take_ranks(settings);
    one.output = options_.output / (entry.name + ".h5");
    record::refuse_long_names(one.output);
    one.line = entry.line;
    settings["device"] = {machine_.device, false, true, 0};
    one.arguments = words_of(settings, {});
    bool helped = false;
    const auto probe = parse_probe_options(one.arguments, helped);
    for (const auto dtype : probe.dtypes)
      if (!probe.numbers.empty()) check_numbers(probe.numbers, one.ranks, dtype);
    if (one.ranks > machine_.devices) {
      leave_out(entry, fmt::format("a live collective of {} ranks is probed with {} {}, here {} {}",
                                   one.ranks, one.ranks, machine_.device == "cuda" ? "GPUs" : "cores",
                                   machine_.devices == 1 ? "is" : "are", machine_.devices));
      return;
    }
    one.plan = fmt::format("probe of {}, {} ranks, {}", name_of(probe.operation), one.ranks, one.device);
    one.estimated_seconds = kProbeSeconds;
    std::string text = std::to_string(one.ranks);
    for (const auto& word : one.arguments) text += '\0' + word;
    one.fingerprint = sha256_hex(text);
    plan_.configurations.push_back(std::move(one));
  }

  void add(const Entry& entry) {
    if (entry.role == Role::probe) return add_probe(entry);
    Settings settings = entry.settings;
    const auto device = settings.find("device");
    if (device != settings.end() && device->second.text != "auto" && device->second.text != machine_.device) {
      named<Device>("--device", device->second.text);
      leave_out(entry, fmt::format("asks for --device {}, this study runs on {}", device->second.text,
                                   machine_.device));
      return;
    }
    settings["device"] = {machine_.device, false, true, device == settings.end() ? 0 : device->second.line};

    Configuration one;
    one.name = entry.name;
    one.role = entry.role;
    one.device = machine_.device;
    one.output = options_.output / (entry.name + ".h5");
    record::refuse_long_names(one.output);
    one.compare_with = entry.compare_with;
    one.line = entry.line;
    one.gpu = entry.gpu;
    const auto record_of = [&](const std::string& name) {
      return name.empty() ? fs::path() : options_.output / (name + ".h5");
    };
    const ReadRecords records{record_of(entry.follow), record_of(entry.replay_routes)};
    for (const auto& name : {entry.follow, entry.replay_routes})
      if (!name.empty() && std::find(one.after.begin(), one.after.end(), name) == one.after.end())
        one.after.push_back(name);

    RunOptions options = parsed(words_of(settings, records), one.output);
    const Model& model = model_at(options.model);
    one.model = options.model;
    const auto layers = static_cast<int>(model.config.layers);
    resolve_launch(options, why_not_captured(options.plan, model.config));
    Plan plan = validated(options.plan, layers, world_size(options.plan));
    // A study of scale-out has no flags of its own but --yardstick's.
    refuse_quantized_twice(plan.quantize, model.coding, study_.file.empty() ? "--yardstick" : kQuantizeFlag);
    if (!entry.engine.empty() && world_size(plan) > 1)
      throw usage_error(
          "engine: another engine says by its own command how it is spread: give ranks = {} instead of {}",
          world_size(plan), describe(plan));
    if (entry.ranks > machine_.devices) {
      leave_out(entry, fmt::format("the engine takes {} {}, here {} {}", entry.ranks,
                                   machine_.device == "cuda" ? "GPUs" : "cores",
                                   machine_.devices == 1 ? "is" : "are", machine_.devices));
      return;
    }
    if (entry.gpu >= 0 && world_size(plan) > 1)
      throw usage_error("gpu = {}: only a run on a single device can be bound to one, this has {} ranks",
                        entry.gpu, world_size(plan));
    if (entry.gpu > 0 && machine_.device == "cpu") {
      leave_out(entry, fmt::format("asks for GPU {}, this study runs on CPUs", entry.gpu), describe(plan));
      return;
    }
    if (entry.gpu >= machine_.devices) {
      leave_out(entry, fmt::format("asks for GPU {}, here are {}", entry.gpu, machine_.devices),
                describe(plan));
      return;
    }
    for (const auto& name : one.after) {
      if (planned(name) != nullptr) continue;
      leave_out(entry,
                fmt::format("{} {}, which cannot run here",
                            name == entry.follow ? "follows" : "replays the routes of", name),
                describe(plan));
      return;
    }
    if (!entry.compare_with.empty() && planned(entry.compare_with) == nullptr &&
        entry.role != Role::reference && study_.find(entry.compare_with) != nullptr &&
        is_left_out(entry.compare_with)) {
      leave_out(entry, fmt::format("is compared with {}, which cannot run here", entry.compare_with),
                describe(plan));
      return;
    }
    const Work work = work_of(entry, options, model.config);
    const bool needs_less = world_size(plan) > (entry.predict ? 1 : machine_.devices);
    if (needs_less) {
      Machine machine = machine_;
      if (entry.predict) machine.devices = 1;
      const auto outcome =
          predict(plan, settings, machine, options_,
                  messages_of(plan, model.config.hidden, work.lengths, options.mode != Mode::score));
      if (const auto* none = std::get_if<NoPrediction>(&outcome)) {
        leave_out(entry, none->reason, describe(plan));
        return;
      }
      const auto& prediction = std::get<Prediction>(outcome);
      one.predicted = true;
      one.asked = describe(plan);
      one.prediction = prediction.why;
      settings = prediction.settings;
      options = parsed(words_of(settings, records), one.output);
      resolve_launch(options, why_not_captured(options.plan, model.config));
      plan = validated(options.plan, layers, world_size(options.plan));
      plan_.notes.push_back(fmt::format("{} is predicted: {}", one.name, one.prediction));
    }
    one.ranks = world_size(plan);
    one.plan = describe(plan) + (options.replay_routes.empty() ? "" : ", routes replayed");
    one.plan_json = plan_to_json(plan);
    if (!entry.engine.empty()) take_engine(entry, one);
    one.arguments = words_of(settings, records);

    work_[entry.name] = work;
    const auto cost = estimate(options, model.config, work, machine_);
    one.prompts = work.prompts;
    one.estimated_seconds = cost.seconds;
    one.estimated_bytes = cost.disk_bytes;
    one.estimated_memory = cost.memory_bytes;
    one.fingerprint = fingerprint_of(one, options, model);
    plan_.configurations.push_back(std::move(one));
  }

  static void take_engine(const Entry& entry, Configuration& one) {
    one.engine = entry.engine;
    one.checks = entry.checks;
    one.ranks = entry.ranks;
    one.plan_json.clear();
    one.plan.clear();
    for (const auto& word : entry.engine)  // paths by their names
      one.plan += (one.plan.empty() ? "" : " ") +
                  (word.find('/') == std::string::npos ? word : fs::path(word).filename().string());
  }

  bool is_left_out(const std::string& name) const {
    return std::any_of(plan_.not_possible.begin(), plan_.not_possible.end(),
                       [&](const NotPossible& one) { return one.name == name; });
  }

  // Whatever decides the bits: a follower's depend on what it follows.
  std::string fingerprint_of(const Configuration& one, const RunOptions& options, const Model& model) {
    std::string text = model.identity;
    for (const auto& word : one.engine) text += '\0' + word;
    for (const auto& word : one.arguments) text += '\0' + word;
    if (!options.prompts.empty()) text += '\0' + prompts_at(options.prompts).file.sha256;
    if (!options.collective_profile.empty())
      text += '\0' + sha256_hex(profile_to_json(read_profile(options.collective_profile)));
    for (const auto& name : one.after)
      if (const auto* other = planned(name)) text += '\0' + other->fingerprint;
    return sha256_hex(text);
  }

  const Study& study_;
  const Machine& machine_;
  const PlanOptions& options_;
  StudyPlan plan_;
  std::vector<std::string> errors_;
  std::map<fs::path, Model> models_;
  std::map<fs::path, PromptsSummary> prompts_;
  std::map<std::string, Work> work_;
};

}  // namespace

StudyPlan plan_study(const Study& study, const Machine& machine, const PlanOptions& options) {
  return Planner(study, machine, options).plan();
}

std::vector<std::string> chosen_names(const StudyPlan& plan, const std::vector<std::string>& only) {
  std::vector<std::string> all;
  for (const auto& configuration : plan.configurations) all.push_back(configuration.name);
  if (only.empty()) return all;
  std::set<std::string> chosen(only.begin(), only.end());
  for (const auto& one : plan.not_possible)
    if (chosen.contains(one.name))
      throw usage_error("--only {}: not possible here: {}", one.name, one.reason);
  for (const auto& name : only)
    if (std::find(all.begin(), all.end(), name) == all.end())
      throw usage_error("--only {}: there is no such run here; there are {}", name, fmt::join(all, ", "));
  // Followed runs stand before their followers.
  for (auto it = plan.configurations.rbegin(); it != plan.configurations.rend(); ++it)
    if (chosen.contains(it->name)) chosen.insert(it->after.begin(), it->after.end());
  std::erase_if(all, [&](const std::string& name) { return !chosen.contains(name); });
  return all;
}

}  // namespace shardrift::study
