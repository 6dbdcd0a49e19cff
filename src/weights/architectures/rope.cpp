#include "weights/architectures/rope.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "common/json_file.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kLongestContext = std::int64_t{1} << 28;

// Adds one spelling's keys to those read before; null is absent. What both give must have one value.
void fill_in(nlohmann::json& all, const JsonObject& spelling) {
  for (const auto& [key, value] : spelling.json().items()) {
    if (value.is_null()) continue;
    const auto [known, fresh] = all.emplace(key, value);
    if (!fresh && *known != value)
      throw bad_data(
          "{}: {} is {}, but elsewhere it is {} (rope_theta, rope_local_base_freq, rope_scaling, "
          "rope_parameters): remove one of the two",
          spelling.where(), key, shown(value), shown(*known));
  }
}

double read_factor(const JsonObject& reader) {
  const double factor = reader.positive("factor");
  if (factor < 1) throw reader.wrong("factor", factor, "a number of at least 1 is expected");
  return factor;
}

// Where it is absent: as many as the model's positions.
std::int64_t original_length(const JsonObject& reader, const ModelConfig& model) {
  return reader.size("original_max_position_embeddings", model.max_positions);
}

RopeConfig::Llama3 read_llama3(const JsonObject& reader) {
  RopeConfig::Llama3 llama3;
  llama3.factor = reader.positive("factor");
  llama3.low_freq_factor = reader.positive("low_freq_factor");
  llama3.high_freq_factor = reader.positive("high_freq_factor");
  llama3.original_max_position_embeddings = reader.positive("original_max_position_embeddings");
  if (llama3.high_freq_factor <= llama3.low_freq_factor) {
    throw reader.wrong("high_freq_factor", llama3.high_freq_factor,
                       fmt::format("more than low_freq_factor ({}) is expected", llama3.low_freq_factor));
  }
  return llama3;
}

RopeConfig::Dynamic read_dynamic(const JsonObject& reader, const ModelConfig& model, std::int64_t dim) {
  if (dim < 4) throw bad_data("{}: heads of {} rotated elements: dynamic rope needs 4", reader.where(), dim);
  return {read_factor(reader), model.max_positions};
}

double mscale(double factor, double multiplier) {
  return factor <= 1 ? 1.0 : 0.1 * multiplier * std::log(factor) + 1.0;
}

RopeConfig::Yarn read_yarn(const JsonObject& reader, const ModelConfig& model, double& attention_factor) {
  RopeConfig::Yarn yarn;
  const std::int64_t original = original_length(reader, model);
  yarn.original_length = static_cast<double>(original);
  yarn.factor = reader.get("factor") != nullptr
                    ? read_factor(reader)
                    : static_cast<double>(model.max_positions) / static_cast<double>(original);
  yarn.beta_fast = reader.positive("beta_fast", yarn.beta_fast);
  yarn.beta_slow = reader.positive("beta_slow", yarn.beta_slow);
  if (yarn.beta_fast < yarn.beta_slow)
    throw reader.wrong("beta_fast", yarn.beta_fast,
                       fmt::format("at least beta_slow ({}) is expected", yarn.beta_slow));
  yarn.truncate = reader.flag("truncate", true);
  const double one = reader.number("mscale", 0.0), all = reader.number("mscale_all_dim", 0.0);
  attention_factor = reader.positive(
      "attention_factor",
      one != 0 && all != 0 ? mscale(yarn.factor, one) / mscale(yarn.factor, all) : mscale(yarn.factor, 1.0));
  return yarn;
}

std::vector<double> read_factors(const JsonObject& reader, const char* key, std::int64_t pairs) {
  std::vector<double> factors;
  const auto& list = reader.required(key);
  if (!list.is_array() || static_cast<std::int64_t>(list.size()) != pairs)
    throw reader.wrong(key, list.is_array() ? nlohmann::json(fmt::format("a list of {}", list.size())) : list,
                       fmt::format("a list of {} numbers is expected, one for each rotated pair", pairs));
  for (const auto& factor : list) {
    if (!factor.is_number() || !std::isfinite(factor.get<double>()) || factor.get<double>() <= 0)
      throw reader.wrong(key, factor, "positive numbers are expected");
    factors.push_back(factor.get<double>());
  }
  return factors;
}

RopeConfig::LongRope read_longrope(const JsonObject& reader, const ModelConfig& model, std::int64_t dim,
                                   double& attention_factor) {
  RopeConfig::LongRope longrope;
  longrope.short_factors = read_factors(reader, "short_factor", dim / 2);
  longrope.long_factors = read_factors(reader, "long_factor", dim / 2);
  longrope.original_length = original_length(reader, model);
  const auto original = static_cast<double>(longrope.original_length);
  const double factor = reader.positive("factor", static_cast<double>(model.max_positions) / original);
  attention_factor = reader.positive(
      "attention_factor",
      factor <= 1 || original <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(original)));
  return longrope;
}

// How many of a head's elements are rotated.
std::int64_t rotated_elements(const JsonObject& reader, const ModelConfig& model,
                              const RopeDefaults& defaults) {
  constexpr const char* kKey = "partial_rotary_factor";
  const double share = reader.positive(kKey, 1.0);
  if (share == 1.0) return model.head_dim;
  if (defaults.whole_heads)
    throw reader.wrong(kKey, *reader.get(kKey), model.architecture + " rotates whole heads only");
  const auto dim = static_cast<std::int64_t>(static_cast<double>(model.head_dim) * share);
  if (share > 1 || dim < 2 || dim % 2 != 0)
    throw reader.wrong(
        kKey, *reader.get(kKey),
        fmt::format("{} of {} elements of a head would be rotated; an even number of 2 or more "
                    "is expected",
                    dim, model.head_dim));
  return dim;
}

// An object of kind, theta and parameters.
RopeConfig read_parameters(const JsonObject& reader, const ModelConfig& model, const RopeDefaults& defaults) {
  RopeConfig rope;
  rope.theta = reader.positive("rope_theta", defaults.theta);
  const char* type_key = reader.has("rope_type") ? "rope_type" : "type";  // type: before transformers 4.43
  auto type = reader.text(type_key, "default");
  if (reader.text("type", type) != type)
    throw reader.wrong("type", *reader.get("type"),
                       fmt::format("rope_type is {}: remove one of the two", shown(type)));
  if (defaults.yarn_is_longrope && (type == "su" || type == "yarn")) type = "longrope";
  const std::int64_t dim = rotated_elements(reader, model, defaults);
  if (dim != model.head_dim) rope.rotated = dim;
  if (type == "linear") {
    rope.scaling = RopeConfig::Linear{read_factor(reader)};
  } else if (type == "dynamic") {
    rope.scaling = read_dynamic(reader, model, dim);
  } else if (type == "yarn") {
    rope.scaling = read_yarn(reader, model, rope.attention_factor);
  } else if (type == "llama3") {
    rope.scaling = read_llama3(reader);
  } else if (type == "longrope") {
    rope.scaling = read_longrope(reader, model, dim, rope.attention_factor);
  } else if (type != "default") {
    throw reader.wrong(type_key, type,
                       "this version computes default, linear, dynamic, yarn, llama3 and longrope");
  }
  return rope;
}

}  // namespace

RopeConfig read_rope(const JsonObject& config, ModelConfig& model, const RopeDefaults& defaults) {
  auto all = nlohmann::json::object();
  for (const char* key : {"rope_theta", "partial_rotary_factor", "original_max_position_embeddings"})
    if (const auto* value = config.get(key)) all[key] = *value;
  auto where = config.where();
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (const auto spelling = config.object(key)) {
      for (const auto& [name, value] : spelling->json().items())
        if (value.is_object())
          throw spelling->wrong(name.c_str(), value, model.architecture + " has one rope for all its layers");
      fill_in(all, *spelling);
      where = spelling->where();
    }
  }
  RopeConfig rope = read_parameters(JsonObject(all, where), model, defaults);
  extend_context(rope, model);
  return rope;
}

LayerRopes read_layer_ropes(const JsonObject& config, const ModelConfig& model,
                            const ByLayerType<RopeDefaults>& defaults, const char* sliding_theta) {
  ByLayerType<nlohmann::json> all{nlohmann::json::object(), nlohmann::json::object()};
  ByLayerType<std::string> where{config.where(), config.where()};
  const auto take = [&](nlohmann::json& parameters, const char* key, const char* spelling) {
    if (const auto* value = config.get(spelling)) parameters[key] = *value;
  };
  take(all.full, "rope_theta", "rope_theta");
  if (sliding_theta != nullptr) take(all.sliding, "rope_theta", sliding_theta);
  for (auto* parameters : {&all.sliding, &all.full})
    take(*parameters, "partial_rotary_factor", "partial_rotary_factor");
  const auto fill = [](nlohmann::json& parameters, std::string& from,
                       const std::optional<JsonObject>& spelling) {
    if (!spelling) return;
    fill_in(parameters, *spelling);
    from = spelling->where();
  };
  fill(all.full, where.full, config.object("rope_scaling"));
  if (const auto parameters = config.object("rope_parameters")) {
    fill(all.full, where.full, parameters->object("full_attention"));
    fill(all.sliding, where.sliding, parameters->object("sliding_attention"));
    for (const auto& [key, value] : parameters->json().items())
      if (key != "full_attention" && key != "sliding_attention")
        throw parameters->wrong(key.c_str(), value, "full_attention and sliding_attention are expected");
  }
  return {read_parameters(JsonObject(all.sliding, where.sliding), model, defaults.sliding),
          read_parameters(JsonObject(all.full, where.full), model, defaults.full)};
}

void extend_context(const RopeConfig& rope, ModelConfig& model) {
  // As vLLM counts: what the factor stretches is the length that the model was trained with.
  double context = static_cast<double>(model.max_positions);
  if (const auto* linear = std::get_if<RopeConfig::Linear>(&rope.scaling)) context *= linear->factor;
  if (const auto* dynamic = std::get_if<RopeConfig::Dynamic>(&rope.scaling)) context *= dynamic->factor;
  if (const auto* yarn = std::get_if<RopeConfig::Yarn>(&rope.scaling))
    context = std::max(context, yarn->original_length * yarn->factor);
  model.max_positions = static_cast<std::int64_t>(std::min(context, static_cast<double>(kLongestContext)));
}

}  // namespace shardrift
