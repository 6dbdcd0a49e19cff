#include "analysis/measure/differences.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "common/error.hpp"
#include "common/field_text.hpp"
#include "common/text_columns.hpp"
#include "parallel/plan/plan_json.hpp"
#include "record/record_fields.hpp"

namespace shardrift::analysis {
namespace {

using Texts = std::map<std::string, std::string>;

// Read as plain JSON, not as a Plan: keys this version does not know are compared too.
Texts plan_fields(const std::string& plan) {
  const auto object = nlohmann::json::parse(plan, nullptr, false);
  if (!object.is_object()) return {{"text", plan}};
  Texts fields;
  for (const auto& [key, value] : object.items())
    fields[key] = value.is_string() ? value.get<std::string>()
                                    : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return fields;
}

void add_map(std::vector<Difference>& out, const std::string& prefix, const Texts& reference,
             const Texts& candidate) {
  Texts all = reference;
  all.insert(candidate.begin(), candidate.end());
  for (const auto& [key, ignored] : all) {
    const auto r = reference.find(key);
    const auto c = candidate.find(key);
    const std::string left = r == reference.end() ? "" : r->second;
    const std::string right = c == candidate.end() ? "" : c->second;
    if (left != right) out.push_back({fmt::format("{} {}", prefix, key), left, right});
  }
}

// What of a value is compared, as its table says, under names in words.
template <typename Value>
Texts compared_fields(const Value& value, const std::string& prefix = "") {
  Texts fields;
  for_each_field(value, [&](const auto& row, const auto& field) {
    if (row.compared == record::Compared::no) return;
    std::string name = prefix + std::string(row.key);
    std::replace(name.begin(), name.end(), '_', ' ');
    fields[name] = text_of(field);
  });
  return fields;
}

Texts model_fields(const record::RunInfo& run) {
  Texts fields = compared_fields(run.model);
  if (run.model.weights.empty() && engine_of(run).empty())
    for (const auto* name : {"weights", "generation config", "tokenizer"})
      fields[name] = "not hashed (an older version's record)";
  return fields;
}

Texts device_fields(const record::Environment& environment) {
  Texts fields;
  fields["count"] = environment.devices.empty() ? "" : std::to_string(environment.devices.size());
  for (std::size_t i = 0; i < environment.devices.size(); ++i) {
    fields.merge(compared_fields(environment.devices[i], std::to_string(i) + " "));
  }
  return fields;
}

// Ranks that only one run has are said by the count; their fields would only repeat it.
void add_devices(std::vector<Difference>& out, const record::Environment& reference,
                 const record::Environment& candidate) {
  const Texts left = device_fields(reference);
  const Texts right = device_fields(candidate);
  for (const auto& [key, value] : left) {
    const auto other = right.find(key);
    if (other != right.end() && other->second != value)
      out.push_back({key == "count" ? "devices" : "device " + key, value, other->second});
  }
}

// Our plans field by field; an engine has none of them.
void add_plans(std::vector<Difference>& out, const record::RunInfo& reference,
               const record::RunInfo& candidate) {
  if (engine_of(reference).empty() && engine_of(candidate).empty())
    add_map(out, "plan", plan_fields(reference.plan), plan_fields(candidate.plan));
  else if (reference.plan != candidate.plan)
    out.push_back({"plan", describe_plan(reference), describe_plan(candidate)});
}

// Token strings of the ids; ids whose meaning is known on one side only are no difference.
void add_vocabulary(std::vector<Difference>& out, const std::vector<std::string>& reference,
                    const std::vector<std::string>& candidate) {
  const std::size_t both = std::min(reference.size(), candidate.size());
  for (std::size_t id = 0; id < both; ++id)
    if (reference[id] != candidate[id]) {
      out.push_back({fmt::format("model token {}", id), reference[id], candidate[id]});
      return;  // one is enough to say that the tokenizers differ
    }
}

using nlohmann::json;

constexpr std::array kNoNumber{"_name_or_path", "transformers_version", "torch_dtype",  "dtype",
                               "use_cache",     "initializer_range",    "bos_token_id", "eos_token_id",
                               "pad_token_id",  "attention_dropout"};
constexpr const char* kQuantization = "quantization_config";

bool same_value(const json& a, const json& b) {
  if (!a.is_number() || !b.is_number()) return a == b;
  const double x = a.get<double>();
  const double y = b.get<double>();
  return std::abs(x - y) <= std::numeric_limits<float>::epsilon() * std::max(std::abs(x), std::abs(y));
}

std::string value_text(const json& value) {
  constexpr std::size_t kLongest = 60;
  auto text = legible(value.dump(-1, ' ', true, json::error_handler_t::replace));
  return text.size() > kLongest ? text.substr(0, kLongest) + "…" : text;
}

std::optional<Difference> first_difference(const json& a, const json& b, const std::string& path) {
  for (const auto& [key, value] : a.items()) {
    const auto other = b.find(key);
    if (other == b.end() || std::find(kNoNumber.begin(), kNoNumber.end(), key) != kNoNumber.end()) continue;
    if (value.is_object() && other->is_object()) {
      if (auto inside = first_difference(value, *other, path + key + ".")) return inside;
    } else if (!same_value(value, *other)) {
      return Difference{legible(path + key), value_text(value), value_text(*other)};
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Difference> config_difference(const std::string& reference, const std::string& candidate) {
  const auto r = json::parse(reference, nullptr, false);
  const auto c = json::parse(candidate, nullptr, false);
  if (!r.is_object() || !c.is_object()) return std::nullopt;
  if (r.contains(kQuantization) != c.contains(kQuantization)) {
    const auto text = [](const json& one) {
      return one.contains(kQuantization) ? value_text(one[kQuantization]) : std::string("none");
    };
    return Difference{kQuantization, text(r), text(c)};
  }
  return first_difference(r, c, "");
}

std::vector<Difference> differences_of(const record::RunInfo& reference, const record::RunInfo& candidate) {
  std::vector<Difference> out;
  add_map(out, "model", model_fields(reference), model_fields(candidate));
  add_vocabulary(out, reference.model.vocab, candidate.model.vocab);
  add_plans(out, reference, candidate);
  add_map(out, "run", compared_fields(reference), compared_fields(candidate));
  add_devices(out, reference.environment, candidate.environment);
  add_map(out, "library", reference.environment.libraries, candidate.environment.libraries);
  add_map(out, "setting", reference.environment.settings, candidate.environment.settings);
  add_map(out, "variable", reference.environment.variables, candidate.environment.variables);
  if (reference.environment.topology != candidate.environment.topology &&
      engine_of(reference).empty() == engine_of(candidate).empty())
    out.push_back({"topology", "(see shardrift inspect)", "(see shardrift inspect)"});
  const bool engine_r = !engine_of(reference).empty();
  const bool engine_c = !engine_of(candidate).empty();
  std::erase_if(out, [&](const Difference& one) {
    return (engine_r && one.reference.empty()) || (engine_c && one.candidate.empty());
  });
  return out;
}

std::string engine_of(const record::RunInfo& run) {
  const auto object = nlohmann::json::parse(run.plan, nullptr, false);
  if (!object.is_object() || !object.contains("engine") || !object["engine"].is_string()) return {};
  return legible(object["engine"].get<std::string>());
}

bool other_weights(const record::RunInfo& reference, const record::RunInfo& candidate) {
  const auto& r = reference.model.weights;
  const auto& c = candidate.model.weights;
  return !r.empty() && !c.empty() && r != c;
}

bool replays_routes(const record::RunInfo& run) {
  const auto found = run.environment.settings.find("routes");
  return found != run.environment.settings.end() && found->second.starts_with("replayed");
}

std::string describe_plan(const record::RunInfo& run) {
  if (auto engine = engine_of(run); !engine.empty()) return engine;
  try {
    // Another run's choice of experts: no plan that can be served with.
    return describe(plan_from_json(run.plan)) + (replays_routes(run) ? ", routes replayed" : "");
  } catch (const Error&) {  // a newer version's plan is still a record to compare
    return run.plan;
  }
}

int shards_of(const record::RunInfo& run) {
  const auto object = nlohmann::json::parse(run.plan, nullptr, false);
  if (!object.is_object() || !object.contains("shards") || !object["shards"].is_number_integer()) return 0;
  return object["shards"].get<int>();
}

}  // namespace shardrift::analysis
