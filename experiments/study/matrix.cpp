#include "experiments/study/matrix.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "common/error.hpp"
#include "common/text.hpp"

namespace shardrift::study {
namespace {

Error at(const std::string& file, int line, const std::string& text) {
  return bad_data("{}: {}", place_in(file, line), text);
}

bool same_value(const Setting& a, const Setting& b) {
  return a.text == b.text && a.is_switch == b.is_switch && a.on == b.on;
}

bool excluded_by(const Exclusion& exclusion, const Settings& settings) {
  return std::all_of(exclusion.values.begin(), exclusion.values.end(), [&](const auto& item) {
    const auto found = settings.find(item.first);
    return found != settings.end() && same_value(found->second, item.second);
  });
}

// What stands for a value in a name. A path is known by its stem.
std::string value_in_name(const std::string& flag, const Setting& setting) {
  if (setting.is_switch) return setting.on ? flag : "no-" + flag;
  std::string text = setting.text;
  if (text.find('/') != std::string::npos) text = std::filesystem::path(text).stem().string();
  for (auto& c : text)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '_' && c != '-') c = '-';
  return text;
}

// Flags whose value says by itself what it is get no prefix.
std::string prefix_of(const std::string& flag) {
  static const std::map<std::string, std::string> kPrefixes{{"tensor-parallel", "tp"},
                                                            {"pipeline", "pp"},
                                                            {"replicas", "dp"},
                                                            {"shards", "s"},
                                                            {"batch", "b"},
                                                            {"prefill-batch", "pb"},
                                                            {"reduction", ""},
                                                            {"dtype", ""},
                                                            {"prompts", ""},
                                                            {"model", ""},
                                                            {"row-linear", ""},
                                                            {"collective", ""},
                                                            {"mode", ""},
                                                            {"quantize", ""},
                                                            {"accumulate", "sum-"},
                                                            {"partial", "part-"},
                                                            {"collective-profile", ""}};
  const auto found = kPrefixes.find(flag);
  return found == kPrefixes.end() ? flag + "-" : found->second;
}

}  // namespace

Settings overlaid(Settings base, const Settings& other) {
  for (const auto& [flag, setting] : other) base[flag] = setting;
  return base;
}

std::vector<Combination> multiply(const std::vector<Axis>& axes, const std::vector<Exclusion>& exclusions,
                                  const Settings& base, const std::string& file) {
  std::vector<Combination> combinations(1);
  for (const auto& axis : axes) {
    std::vector<Combination> longer;
    for (const auto& combination : combinations) {
      for (const auto& value : axis.values) {
        Combination one = combination;
        one.settings[axis.flag] = value;
        one.order.push_back(axis.flag);
        longer.push_back(std::move(one));
      }
    }
    combinations = std::move(longer);
  }
  for (const auto& exclusion : exclusions) {
    const auto before = combinations.size();
    std::erase_if(combinations,
                  [&](const auto& one) { return excluded_by(exclusion, overlaid(base, one.settings)); });
    if (combinations.size() == before)
      throw at(file, exclusion.line,
               "exclude: this leaves out no combination that is still there: correct it or remove it");
  }
  if (combinations.empty())
    throw at(file, exclusions.back().line, "exclude: this leaves nothing of the matrix");
  return combinations;
}

std::string short_name(const Settings& settings, const std::vector<std::string>& order) {
  // A direction of one rank is not worth a word, unless nothing else is there.
  const auto plain = [&](const std::string& flag) {
    return (flag == "tensor-parallel" || flag == "pipeline" || flag == "replicas") &&
           settings.at(flag).text == "1";
  };
  const bool all_plain = std::all_of(order.begin(), order.end(), plain);
  std::string name;
  for (const auto& flag : order) {
    const auto& setting = settings.at(flag);
    if (!all_plain && plain(flag)) continue;
    if (!name.empty()) name += '-';
    name += setting.is_switch ? value_in_name(flag, setting) : prefix_of(flag) + value_in_name(flag, setting);
  }
  return name;
}

std::string filled_name(const std::string& pattern, const Settings& settings, const std::string& file,
                        int line) {
  std::string name;
  for (std::size_t i = 0; i < pattern.size();) {
    const auto open = pattern.find('{', i);
    if (open == std::string::npos) return name + pattern.substr(i);
    const auto close = pattern.find('}', open);
    if (close == std::string::npos)
      throw at(file, line, fmt::format("name '{}': a '{{' without its '}}'", pattern));
    const auto flag = pattern.substr(open + 1, close - open - 1);
    const auto found = settings.find(flag);
    if (found == settings.end())
      throw at(file, line, fmt::format("name '{}': there is no value of '{}' here", pattern, flag));
    name += pattern.substr(i, open - i) + value_in_name(flag, found->second);
    i = close + 1;
  }
  return name;
}

}  // namespace shardrift::study
