// Reading a study file (docs/studies.md describes its keys).
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/program_options/parsers.hpp>
#include <set>

#include "common/json_file.hpp"
#include "common/toml_reader.hpp"
#include "experiments/study/matrix.hpp"
#include "experiments/study/study.hpp"
#include "options/run_options.hpp"
#include "record/record.hpp"

namespace shardrift::study {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxEntries = 1000;
constexpr std::int64_t kMaxRepeats = 100;
constexpr std::int64_t kMaxEngineRanks = 64;

// Flags that are the runner's own.
constexpr std::array kRunnersOwn{"output", "overwrite", "quiet", "config", "help"};

// Overrides that have options of their own (cli/study_overrides.hpp).
constexpr std::array kOwnOptions{"model", "prompts"};

// compare-with of a run that others are compared with, itself with none.
constexpr const char* kNothing = "none";

// A file's name as a study's: "my study" is "my-study". What is no id even so is refused like a given name.
std::string id_from(std::string text) {
  for (char& c : text)
    if (!record::valid_id(std::string("x") + c)) c = '-';
  return text;
}

bool one_of(std::string_view name, const auto& list) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// What a section says beside flags: reserved keys of [reference], [truth], [[candidate]] and [[yardstick]].
struct Section {
  Role role = Role::candidate;
  std::string title;
  std::string name;  // a pattern; empty: made of what varies
  std::string follow;
  std::string replay_routes;
  std::string compare_with;
  std::int64_t repeats = 0;
  int gpu = -1;
  bool predict = false;
  std::vector<std::string> engine;
  int ranks = 1;
  bool checks = false;
  int line = 0;
  Settings settings;
  std::vector<std::string> order;  // of the settings, as written
  std::vector<Axis> axes;
  std::vector<Exclusion> exclusions;
};

class StudyFile {
 public:
  StudyFile(const std::string& text, const fs::path& path, const Overrides& overrides)
      : path_(fs::absolute(path).lexically_normal()), name_(path.string()), overrides_(overrides) {
    study_.file = path_;
    study_.text = text;
  }

  Study read() {
    const toml::table root = parse_toml(study_.text, name_);
    TomlTable file(root, name_, "a study file");
    study_.name = file.text("name").value_or(id_from(path_.stem().string()));
    if (!record::valid_id(study_.name))
      throw error_at(name_, 1, "name '{}': use letters, digits, '.', '_' and '-', at most 64", study_.name);
    study_.question = file.text("question").value_or("");
    read_judgement(file.table("judge", "[judge]"));
    auto run = file.table("run", "[run]");
    if (run) common_ = settings_of(*run, nullptr);
    const auto each = file.table("each", "[each]");
    std::vector<Axis> each_axes;
    if (each) each_axes = axes_of(*each);
    apply_overrides(each_axes);
    std::vector<Section> sections;
    add_sections(file, "reference", Role::reference, sections);
    std::vector<Section> probes;
    add_sections(file, "probe", Role::probe, probes);
    const bool only_probes = !probes.empty() && !run && sections.empty();
    if (sections.empty() && !only_probes) {  // the plain one: [run] on one device
      sections.emplace_back();
      sections.back().role = Role::reference;
      sections.back().title = "[reference]";
    }
    if (sections.size() > 1)
      throw error_at(name_, sections[1].line, "a second [reference]: use [each] for several comparisons");
    if (!sections.empty() && !sections.front().axes.empty())
      throw error_at(name_, sections.front().line,
                     "[reference] is one run and has no matrix: use [each] for several comparisons");
    add_sections(file, "truth", Role::truth, sections);
    add_sections(file, "yardstick", Role::yardstick, sections);
    add_sections(file, "candidate", Role::candidate, sections);
    file.done();
    if (only_probes && !sections.empty())
      throw error_at(name_, sections.front().line, "{} needs [run]: a model and prompts",
                     sections.front().title);
    add_probes(probes);
    for (const auto& combination : multiply(each_axes, {}, {}, name_)) add_group(combination, sections);
    check_names();
    check_scored();
    put_in_order();
    return std::move(study_);
  }

 private:
  void read_judgement(std::optional<TomlTable> judge) {
    if (!judge) return;
    auto& judgement = study_.judgement;
    judgement.line = judge->line();
    judgement.preset = judge->text("preset").value_or("");
    if (const auto thresholds = judge->text("thresholds")) judgement.thresholds = from_here(*thresholds);
    judgement.report = judge->boolean("report").value_or(true);
    judge->done();
    if (!judgement.preset.empty() && !judgement.thresholds.empty())
      throw error_at(name_, judgement.line, "[judge] has both preset and thresholds: keep one");
  }

  fs::path from_here(const fs::path& path) const {
    return path.is_absolute() ? path : (path_.parent_path() / path).lexically_normal();
  }

  Setting setting_of(const std::string& title, const std::string& flag, const toml::node& node) const {
    if (!std::all_of(flag.begin(), flag.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }))
      throw error_at(name_, line_of(node), "'{}' in {} is no flag of shardrift-run run", flag, title);
    if (one_of(flag, kRunnersOwn))
      throw error_at(name_, line_of(node), "{} in {}: the runner gives this flag itself, leave it out", flag,
                     title);
    Setting setting;
    setting.line = line_of(node);
    if (const auto* text = node.as_string()) {
      setting.text = text->get();
    } else if (const auto* integer = node.as_integer()) {
      setting.text = std::to_string(integer->get());
    } else if (const auto* number = node.as_floating_point()) {
      setting.text = fmt::format("{}", number->get());
    } else if (const auto* flagged = node.as_boolean()) {
      setting.is_switch = true;
      setting.on = flagged->get();
    } else if (node.is_array()) {
      throw error_at(name_, line_of(node),
                     "{} in {} is a list: several values belong into matrix = {{ {} = [...] }}", flag, title,
                     flag);
    } else {
      throw error_at(name_, line_of(node), "{} in {} is {}; one value is expected", flag, title,
                     type_of(node));
    }
    if (!setting.is_switch && setting.text.empty())
      throw error_at(name_, setting.line, "{} in {} is empty", flag, title);
    if (takes_path(flag)) setting.text = from_here(setting.text).string();
    return setting;
  }

  // A command as words, {ranks} filled in; files beside the study by their whole path.
  std::vector<std::string> engine_words(const std::string& text, const Section& section) const {
    auto words = boost::program_options::split_unix(text);
    if (words.empty())
      throw error_at(name_, section.line, "engine in {} is empty: the command that writes a record",
                     section.title);
    if (section.predict || section.gpu >= 0)
      throw error_at(name_, section.line,
                     "{} has engine with {}: an engine's run is neither predicted nor bound to a GPU",
                     section.title, section.predict ? "predict" : "gpu");
    for (auto& word : words) {
      constexpr std::string_view kRanks = "{ranks}";
      if (const auto at = word.find(kRanks); at != std::string::npos)
        word.replace(at, kRanks.size(), std::to_string(section.ranks));
      std::error_code ignored;
      if (word.find('/') != std::string::npos && fs::is_regular_file(from_here(word), ignored))
        word = from_here(word).string();
    }
    return words;
  }

  // Every key of the table that was not asked for is a flag.
  Settings settings_of(TomlTable& table, std::vector<std::string>* order) const {
    Settings settings;
    for (const auto& flag : table.left()) {
      settings[flag] = setting_of(table.title(), flag, *table.get(flag));
      if (order != nullptr) order->push_back(flag);
    }
    return settings;
  }

  std::vector<Axis> axes_of(TomlTable table) const {
    std::vector<Axis> axes;
    for (const auto& flag : table.left()) {
      const auto* node = table.get(flag);
      const auto* list = node->as_array();
      if (list == nullptr || list->empty()) throw table.wrong(flag, *node, "a list of values");
      Axis axis{flag, {}};
      for (const auto& item : *list) axis.values.push_back(setting_of(table.title(), flag, item));
      axes.push_back(std::move(axis));
    }
    return axes;
  }

  void apply_overrides(const std::vector<Axis>& each) {
    for (const auto& [flag, value] : overrides_) {
      if (one_of(flag, kRunnersOwn) || flag == "follow" || flag == "replay-routes")
        throw usage_error("--set {}: the runner gives this flag itself", flag);
      for (const auto& axis : each)
        if (axis.flag == flag)
          throw usage_error("--set {}: {} varies it in [each]; edit the file instead", flag, name_);
      Setting setting;
      setting.is_switch = value == "true" || value == "false";
      setting.on = value != "false";
      if (!setting.is_switch) setting.text = takes_path(flag) ? fs::absolute(value).string() : value;
      setting.given = one_of(flag, kOwnOptions) ? fmt::format("--{} {}", flag, value)
                                                : fmt::format("--set {}={}", flag, value);
      common_[flag] = setting;
    }
  }

  void add_sections(TomlTable& file, std::string_view key, Role role, std::vector<Section>& sections) const {
    const bool list = role == Role::candidate || role == Role::yardstick || role == Role::probe;
    const auto title = fmt::format("{}{}{}", list ? "[[" : "[", key, list ? "]]" : "]");
    for (auto& table : file.tables(key, title)) {
      Section section;
      section.role = role;
      section.title = title;
      section.line = table.line();
      section.name = table.text("name").value_or("");
      section.follow = table.text("follow").value_or("");
      section.replay_routes = table.text("replay-routes").value_or("");
      section.compare_with = table.text("compare-with").value_or("");
      section.repeats = table.integer("repeats", 0, kMaxRepeats).value_or(0);
      section.gpu = static_cast<int>(table.integer("gpu", 0, 4095).value_or(-1));
      section.predict = table.boolean("predict").value_or(false);
      if (const auto engine = role == Role::probe ? std::nullopt : table.text("engine")) {
        section.ranks = static_cast<int>(table.integer("ranks", 1, kMaxEngineRanks).value_or(1));
        section.checks = table.boolean("check").value_or(false);
        section.engine = engine_words(*engine, section);
      }
      if (auto matrix = table.table("matrix", title + "'s matrix")) section.axes = axes_of(*matrix);
      for (auto& exclusion : table.tables("exclude", title + "'s exclude")) {
        if (section.axes.empty())
          throw error_at(name_, exclusion.line(), "{} has exclude but no matrix", title);
        section.exclusions.push_back({settings_of(exclusion, nullptr), exclusion.line()});
        if (section.exclusions.back().values.empty())
          throw error_at(name_, exclusion.line(), "an empty exclude would leave out everything");
      }
      section.settings = settings_of(table, &section.order);
      for (const auto& axis : section.axes)
        if (section.settings.contains(axis.flag))
          throw error_at(name_, section.line, "{} has {} and varies it in its matrix too", title, axis.flag);
      if (role == Role::reference && !section.compare_with.empty())
        throw error_at(name_, section.line,
                       "[reference] is what the others are compared with: no compare-with");
      sections.push_back(std::move(section));
    }
  }

  // Probes run no model: [run] and [each] say nothing about them.
  void add_probes(const std::vector<Section>& probes) {
    for (const auto& section : probes) {
      if (!section.follow.empty() || !section.replay_routes.empty() || !section.compare_with.empty() ||
          section.repeats > 0 || section.gpu >= 0 || section.predict)
        throw error_at(
            name_, section.line,
            "[[probe]] takes flags of shardrift-run probe and ranks; follow, replay-routes, compare-with, "
            "repeats, gpu and predict are for runs of a model");
      for (const auto& combination : multiply(section.axes, section.exclusions, section.settings, name_)) {
        Entry entry;
        entry.role = Role::probe;
        entry.settings = overlaid(section.settings, combination.settings);
        entry.name = name_of_entry(section, combination, entry.settings);
        entry.line = section.line;
        study_.entries.push_back(std::move(entry));
      }
    }
  }

  // One comparison: the sections under one combination of [each].
  void add_group(const Combination& each, const std::vector<Section>& sections) {
    const auto prefix = short_name(each.settings, each.order);
    const auto named = [&](const std::string& name) { return prefix.empty() ? name : prefix + "-" + name; };
    const auto common = overlaid(common_, each.settings);
    std::string reference;
    for (const auto& section : sections) {
      const auto base = overlaid(common, section.settings);
      for (const auto& combination : multiply(section.axes, section.exclusions, base, name_)) {
        Entry entry;
        entry.role = section.role;
        entry.settings = overlaid(base, combination.settings);
        entry.name = named(name_of_entry(section, combination, entry.settings));
        entry.gpu = section.gpu;
        entry.predict = section.predict;
        entry.engine = section.engine;
        entry.ranks = section.ranks;
        entry.checks = section.checks;
        entry.line = section.line;
        if (section.role == Role::reference) reference = entry.name;
        if (section.role != Role::reference)
          entry.compare_with = section.compare_with.empty() ? reference : named(section.compare_with);
        if (section.compare_with == kNothing) entry.compare_with.clear();
        if (!section.replay_routes.empty()) entry.replay_routes = named(section.replay_routes);
        if (!section.follow.empty()) {
          entry.follow = named(section.follow);
          const auto mode = entry.settings.find("mode");
          const bool given = section.settings.contains("mode");
          if (given && mode->second.text != "follow" && mode->second.text != "score")
            throw error_at(
                name_, mode->second.line,
                "{} has follow and mode = \"{}\": use follow (tokens fed one by one, the default) or "
                "score (at once)",
                section.title, mode->second.text);
          if (!given) entry.settings["mode"] = {"follow", false, true, section.line};
          entry.settings.erase("prompts");
        }
        study_.entries.push_back(entry);
        for (std::int64_t i = 1; i <= section.repeats; ++i) {
          Entry repeat = entry;
          repeat.role = Role::repeat;
          repeat.name = fmt::format("{}-again{}", entry.name, section.repeats == 1 ? "" : std::to_string(i));
          repeat.compare_with = entry.name;
          study_.entries.push_back(std::move(repeat));
        }
        if (study_.entries.size() > kMaxEntries)
          throw error_at(name_, section.line, "more than {} runs: split the study", kMaxEntries);
      }
    }
  }

  std::string name_of_entry(const Section& section, const Combination& combination,
                            const Settings& settings) const {
    if (!section.name.empty()) {
      auto name = filled_name(section.name, settings, name_, section.line);
      if (name == section.name && !combination.order.empty())
        name += "-" + short_name(combination.settings, combination.order);
      return name;
    }
    if (section.role == Role::reference) return "reference";
    if (section.role == Role::truth) return "truth";
    std::vector<std::string> order = section.order;
    order.insert(order.end(), combination.order.begin(), combination.order.end());
    auto name = short_name(settings, order);
    if (name.empty())
      throw error_at(name_, section.line, "{} varies nothing: give it a name, or use repeats", section.title);
    return name;
  }

  void check_names() const {
    std::set<std::string> names;
    for (const auto& entry : study_.entries) {
      if (!record::valid_id(entry.name))
        throw error_at(name_, entry.line,
                       "name '{}': use letters, digits, '.', '_' and '-', at most 64, not starting with '.'",
                       entry.name);
      if (!names.insert(entry.name).second)
        throw error_at(name_, entry.line,
                       "two runs are called '{}': give one a name, e.g. name = \"tp{{tensor-parallel}}\"",
                       entry.name);
    }
    if (names.contains(kNothing))
      throw error_at(name_, study_.find(kNothing)->line, "name '{}': it means no run in compare-with",
                     kNothing);
    for (const auto& entry : study_.entries)
      for (const auto& other : {entry.follow, entry.replay_routes, entry.compare_with})
        if (!other.empty() && !names.contains(other))
          throw error_at(name_, entry.line, "'{}' names '{}', but there is no such run (there are {})",
                         entry.name, other, fmt::join(names, ", "));
  }

  // A run that is fed a record at once has its answers in the prompt: only another such run has the same
  // tokens.
  void check_scored() const {
    const auto scored = [](const Entry& entry) {
      const auto mode = entry.settings.find("mode");
      return !entry.follow.empty() && mode != entry.settings.end() && mode->second.text == "score";
    };
    for (const auto& entry : study_.entries) {
      if (entry.compare_with.empty()) continue;
      const auto& other = *study_.find(entry.compare_with);
      if (scored(entry) == scored(other) && (!scored(entry) || entry.follow == other.follow)) continue;
      throw error_at(
          name_, entry.line,
          "'{}' and '{}', which it is compared with, do not get the same tokens: where one has mode = "
          "\"score\" and follow, the other needs them too (compare-with names it, \"none\" is for the "
          "first of them)",
          entry.name, other.name);
    }
  }

  // After what they follow or replay; apart from that the file's order.
  void put_in_order() {
    std::vector<Entry> ordered;
    std::set<std::string> done;
    auto waiting = std::move(study_.entries);
    while (!waiting.empty()) {
      const auto ready = std::find_if(waiting.begin(), waiting.end(), [&](const Entry& entry) {
        return (entry.follow.empty() || done.contains(entry.follow)) &&
               (entry.replay_routes.empty() || done.contains(entry.replay_routes));
      });
      if (ready == waiting.end()) {
        const Entry& first = waiting.front();
        const bool follows = !first.follow.empty() && !done.contains(first.follow);
        throw error_at(name_, first.line, "'{}' reads the record of '{}', which in the end reads its own",
                       first.name, follows ? first.follow : first.replay_routes);
      }
      done.insert(ready->name);
      ordered.push_back(std::move(*ready));
      waiting.erase(ready);
    }
    study_.entries = std::move(ordered);
  }

  fs::path path_;
  std::string name_;  // the file as the user named it
  Overrides overrides_;
  Settings common_;
  Study study_;
};

}  // namespace

const Entry* Study::find(const std::string& wanted) const {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.name == wanted; });
  return found == entries.end() ? nullptr : &*found;
}

Study study_from_text(const std::string& text, const fs::path& path, const Overrides& overrides) {
  return StudyFile(text, path, overrides).read();
}

Study load_study(const fs::path& path, const Overrides& overrides) {
  return study_from_text(read_text_file(path, kMaxFileBytes), path, overrides);
}

}  // namespace shardrift::study
