#include "experiments/study/scale_out.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/listed_names.hpp"
#include "common/text.hpp"
#include "experiments/study/matrix.hpp"
#include "parallel/plan/plan.hpp"
#include "weights/model_config.hpp"

namespace shardrift::study {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxPromptsBytes = std::size_t{1} << 30;

Entry entry_of(const std::string& name, Role role, const Settings& settings) {
  Entry entry;
  entry.name = name;
  entry.role = role;
  entry.settings = settings;
  if (role != Role::reference) entry.compare_with = "reference";
  return entry;
}

Setting value(const std::string& text) {
  Setting setting;
  setting.text = text;
  return setting;
}

// What a yardstick may be beside a quantization: float64 and tf32 move a model less than anybody asks about.
constexpr std::array kYardstickDtypes{DType::float16, DType::bfloat16, DType::float32};

// The flag and its value that make a run this yardstick: a word such as "int8" or "float16".
std::pair<std::string, std::string> yardstick_flag(const std::string& word, const std::string& dtype) {
  const auto quantization = from_name<Quantization>(word);
  if (quantization && *quantization != Quantization::none) return {"quantize", word};
  const auto other = from_name<DType>(word);
  if (!other ||
      std::find(kYardstickDtypes.begin(), kYardstickDtypes.end(), *other) == kYardstickDtypes.end()) {
    std::vector<std::string_view> known;
    for (const auto name : all_names<Quantization>())
      if (name != name_of(Quantization::none)) known.push_back(name);
    for (const auto one : kYardstickDtypes) known.push_back(name_of(one));
    throw usage_error("unknown --yardstick '{}': use one or several of {}, separated by commas", word,
                      fmt::join(known, ", "));
  }
  if (word == dtype)
    throw usage_error("--yardstick {}: every run is in {} and would not differ from it: name another dtype",
                      word, dtype);
  return {"dtype", word};
}

// On one device, fed the reference's tokens, so that every row can be compared.
std::vector<Entry> yardsticks_of(const std::string& words, const Settings& common) {
  std::vector<Entry> entries;
  for (const auto& word : listed_names("--yardstick", words)) {
    const auto [flag, text] = yardstick_flag(word, common.at("dtype").text);
    Settings settings = common;
    settings[flag] = value(text);
    settings["mode"] = value("follow");
    settings.erase("prompts");
    if (std::any_of(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.name == word; }))
      throw usage_error("--yardstick {}: {} is there twice", words, word);
    entries.push_back(entry_of(word, Role::yardstick, settings));
    entries.back().follow = "reference";
  }
  if (entries.empty()) throw usage_error("--yardstick '{}' names none", words);
  return entries;
}

}  // namespace

Study scale_out_study(const ScaleOutWanted& wanted, const Machine& machine) {
  if (wanted.to < 2 || wanted.to > 8) throw usage_error("--to {}: use 2 to 8 devices", wanted.to);
  if (wanted.max_new_tokens < 1)
    throw usage_error("--max-new-tokens {}: must be at least 1", wanted.max_new_tokens);
  if (wanted.batch < 1) throw usage_error("--batch {}: must be at least 1", wanted.batch);
  const auto config = read_model_config(wanted.model);
  const std::string dtype = wanted.dtype.empty()
                                ? std::string(name_of(config.dtype))
                                : std::string(name_of(named<DType>("--dtype", wanted.dtype)));

  Study study;
  study.name = "scale-out";
  study.question = fmt::format("What will change when this model goes from one device to {}?", wanted.to);
  study.judgement.preset = "serving";
  Settings common;
  common["model"] = value(fs::absolute(wanted.model).lexically_normal().string());
  common["prompts"] = value(fs::absolute(wanted.prompts).lexically_normal().string());
  common["dtype"] = value(dtype);
  common["max-new-tokens"] = value(std::to_string(wanted.max_new_tokens));
  common["batch"] = value(std::to_string(wanted.batch));

  const auto add_tensor_parallel = [&](int ranks) {
    Settings settings = common;
    settings["tensor-parallel"] = value(std::to_string(ranks));
    if (wanted.collective != Collective::library)
      settings["collective"] = value(std::string(name_of(wanted.collective)));
    study.entries.push_back(entry_of(fmt::format("tp{}", ranks), Role::candidate, settings));
  };
  study.entries.push_back(entry_of("reference", Role::reference, common));
  add_tensor_parallel(wanted.to);
  study.entries.push_back(entry_of("reference-again", Role::repeat, common));
  for (int ranks = 2; ranks < wanted.to; ++ranks) add_tensor_parallel(ranks);
  const int largest_live = std::min(wanted.to, machine.devices);
  if (machine.devices >= 2) {
    Settings settings = common;
    settings["pipeline"] = value("2");
    study.entries.push_back(entry_of("pp2", Role::candidate, settings));
  }
  if (largest_live > 1) {
    Entry check = *study.find(fmt::format("tp{}", largest_live));
    check.compare_with = check.name;
    check.name += "-check";
    check.role = Role::repeat;
    check.predict = true;
    study.entries.push_back(std::move(check));
  }
  const std::string other = dtype == "bfloat16" ? "float16" : "bfloat16";
  for (auto& yardstick : yardsticks_of(wanted.yardsticks.empty() ? other : wanted.yardsticks, common))
    study.entries.push_back(std::move(yardstick));
  return study;
}

std::string some_prompts(const fs::path& file, int count) {
  std::vector<std::string> prompts;
  for (const auto& line : split(read_text_file(file, kMaxPromptsBytes), '\n'))
    if (!is_blank(line)) prompts.push_back(line);
  std::string text;
  const auto all = prompts.size();
  const auto wanted = std::min(all, static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < wanted; ++i) text += prompts[i * all / wanted] + "\n";
  return text;
}

fs::path shipped_prompts() {
  constexpr const char* kName = "short.jsonl";
  std::vector<fs::path> folders;
  if (const char* set = std::getenv("SHARDRIFT_PROMPTS"); set != nullptr && *set != '\0')
    folders.emplace_back(set);
  std::error_code error;
  const auto program = fs::read_symlink("/proc/self/exe", error);
  if (!error) folders.push_back(program.parent_path().parent_path() / "share/shardrift/prompts");
  folders.emplace_back(SHARDRIFT_SOURCE_DIR "/experiments/prompts");
  for (const auto& folder : folders)
    if (fs::exists(folder / kName, error)) return folder / kName;
  throw usage_error("the shipped prompts are nowhere (looked for {} in {}): give --prompts FILE.jsonl", kName,
                    folders.back().string());
}

}  // namespace shardrift::study
