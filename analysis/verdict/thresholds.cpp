#include "analysis/verdict/thresholds.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>

#include "analysis/verdict/words.hpp"
#include "common/toml_reader.hpp"

namespace shardrift::verdict {
namespace {

void set(Thresholds& thresholds, std::string_view name, double value) {
  auto& limits = thresholds.limits;
  const LimitKind* kind = &limit_kind(name);
  const auto place =
      std::find_if(limits.begin(), limits.end(), [&](const Limit& limit) { return limit.kind == kind; });
  if (place != limits.end())
    place->value = value;
  else
    limits.push_back({kind, value});
  std::sort(limits.begin(), limits.end(),
            [](const Limit& a, const Limit& b) { return a.kind < b.kind; });  // one array's elements
}

void drop(Thresholds& thresholds, std::string_view name) {
  auto& limits = thresholds.limits;
  limits.erase(std::remove_if(limits.begin(), limits.end(),
                              [&](const Limit& limit) { return limit.kind == &limit_kind(name); }),
               limits.end());
}

void read_limits(TomlTable table, Thresholds& thresholds) {
  for (const auto& kind : limit_kinds()) {
    if (std::string_view(kind.name) == "bit_equal") {
      if (const auto wanted = table.boolean(kind.name))
        *wanted ? set(thresholds, kind.name, 0) : drop(thresholds, kind.name);
    } else if (const auto* node = table.get(kind.name); node != nullptr && node->is_boolean()) {
      // `false` takes a preset's limit away; `true` would not say which.
      if (*table.boolean(kind.name))
        throw error_at(table.file(), line_of(*node),
                       "{} of {} is true; a number is expected, or false for no limit", kind.name,
                       table.title());
      drop(thresholds, kind.name);
    } else if (const auto value = table.number(kind.name, 0, kind.highest)) {
      set(thresholds, kind.name, *value);
    }
  }
  table.done();
}

void read_data(TomlTable table, Thresholds& thresholds) {
  if (const auto value = table.integer("prompts", 1, 1000000)) thresholds.prompts = *value;
  if (const auto value = table.integer("tokens", 1, 10000000)) thresholds.tokens = *value;
  if (const auto value = table.number("confidence", 0.5, 0.9999)) thresholds.bootstrap.confidence = *value;
  if (const auto value = table.integer("resamples", 100, 1000000))
    thresholds.bootstrap.resamples = static_cast<int>(*value);
  if (const auto value = table.integer("seed", 0, std::numeric_limits<std::int64_t>::max()))
    thresholds.bootstrap.seed = static_cast<std::uint64_t>(*value);
  table.done();
}

}  // namespace

const std::vector<LimitKind>& limit_kinds() {
  static const std::vector<LimitKind> kinds{
      {"bit_equal", Unit::none, 1, "every bit equal", "equal bits"},
      {"changed_prompts", Unit::share, 1, "text changed in at most {} of prompts", "changed answers"},
      {"flips", Unit::share, 1, "another token chosen at no more than {} of positions", "flips"},
      {"clear_flips", Unit::share, 1,
       "another token chosen, without an exact tie, at no more than {} of positions", "clear flips"},
      {"flip_regret", Unit::nats, 100,
       "where another token is chosen, the reference liked its own at most {} better", "regret at flips"},
      {"clear_flip_regret", Unit::nats, 100,
       "where another token is chosen without an exact tie, the reference liked its own at most {} better",
       "regret at clear flips"},
      {"kl_mean", Unit::nats, 100, "mean KL at most {}", "mean KL"},
      {"kl_p99", Unit::nats, 100, "99th percentile of KL at most {}", "the 99th percentile of KL"},
      {"tv_mean", Unit::share, 1, "mean total variation at most {}", "mean total variation"},
      {"delta_p_mean", Unit::share, 1, "probability of the chosen token moves by at most {} on average",
       "the mean change of probability"},
      {"delta_p_p99", Unit::share, 1,
       "probability of the chosen token moves by at most {} at 99% of positions",
       "the 99th percentile of the change of probability"},
      {"excess_error", Unit::times, 1e6, "KL against the truth at most {} the reference's own",
       "error against the truth"},
      {"yardstick", Unit::times, 1e6, "moves the model at most {} as much as the yardstick (KL)",
       "distance in yardsticks"},
  };
  return kinds;
}

const LimitKind& limit_kind(std::string_view name) {
  return *std::find_if(limit_kinds().begin(), limit_kinds().end(),
                       [&](const LimitKind& kind) { return kind.name == name; });
}

Thresholds preset(std::string_view name) {
  Thresholds thresholds;
  thresholds.source = fmt::format("preset {}", name);
  if (name == "bitwise") {
    set(thresholds, "bit_equal", 0);
    thresholds.prompts = 1;
  } else if (name == "strict") {
    set(thresholds, "changed_prompts", 0.05);
    set(thresholds, "kl_mean", 1e-4);
    set(thresholds, "delta_p_p99", 0.01);
  } else if (name == "serving") {
    set(thresholds, "flips", 0.05);
    set(thresholds, "clear_flips", 0.03);
    set(thresholds, "flip_regret", 0.2);
    set(thresholds, "kl_mean", 0.01);
    set(thresholds, "delta_p_mean", 0.02);
  } else {
    throw usage_error("preset '{}': there are bitwise, strict and serving", name);
  }
  return thresholds;
}

Thresholds parse_thresholds(std::string_view text, const std::string& file) {
  const toml::table root = parse_toml(text, file);
  TomlTable table(root, file, "a thresholds file");
  Thresholds thresholds;
  if (const auto* node = table.get("preset")) {
    const auto name = *table.text("preset");
    try {
      thresholds = preset(name);
    } catch (const Error& error) {
      throw error_at(file, line_of(*node), "{}", error.what());
    }
  }
  thresholds.source = file;
  if (auto data = table.table("data", "[data]")) read_data(*data, thresholds);
  if (auto limits = table.table("limits", "[limits]")) read_limits(*limits, thresholds);
  if (auto recommend = table.table("recommend", "[recommend]")) {
    if (const auto slack = recommend->number("cost_slack", 1, 1000)) thresholds.cost_slack = *slack;
    recommend->done();
  }
  table.done();
  if (thresholds.limits.empty())
    throw error_at(file, 1, "no limit: name a preset, or give at least one limit under [limits]");
  return thresholds;
}

Thresholds read_thresholds(const std::filesystem::path& file) {
  constexpr std::uintmax_t kMaxBytes = 1 << 20;
  std::error_code failed;
  const auto bytes = std::filesystem::file_size(file, failed);
  if (failed) throw bad_data("{}: cannot be read: {}", file.string(), failed.message());
  if (bytes > kMaxBytes)
    throw bad_data("{}: {} bytes: a thresholds file has a few lines", file.string(), bytes);
  std::ifstream stream(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) throw bad_data("{}: cannot be read", file.string());
  return parse_thresholds(text, file.string());
}

std::string limit_text(const Limit& limit, const Thresholds& thresholds) {
  std::string text = fmt::format(fmt::runtime(limit.kind->text), amount(limit.value, limit.kind->unit));
  if (std::string_view(limit.kind->name) == "changed_prompts")
    text += fmt::format(" within {} tokens", thresholds.tokens);
  return text;
}

}  // namespace shardrift::verdict
