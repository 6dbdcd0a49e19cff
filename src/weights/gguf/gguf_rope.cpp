#include "weights/gguf/gguf_rope.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/error.hpp"
#include "common/json_file.hpp"

namespace shardrift {
namespace {

constexpr double kTolerance = 1e-5;  // relative: the factors were computed and stored in float32

std::vector<double> shortest_of(const std::vector<float>& values) {
  std::vector<double> all;
  for (const float value : values) all.push_back(shortest(value));
  return all;
}

// As the converter computes them.
double llama3_factor(double frequency, double factor, double low, double high, double original) {
  const double length = 2 * std::numbers::pi / frequency;
  if (length < original / high) return 1;
  if (length > original / low) return factor;
  const double smooth = (original / length - low) / (high - low);
  return 1 / ((1 - smooth) / factor + smooth);
}

// Phi-3's: two lists of factors, and what attention is multiplied by.
nlohmann::json longrope(const GgufModel& model, const std::string& prefix) {
  const auto& metadata = model.metadata();
  const auto original = metadata.integer(prefix + "rope.scaling.original_context_length");
  const auto context = metadata.integer(prefix + "context_length");
  nlohmann::json scaling = {{"rope_type", "longrope"},
                            {"long_factor", shortest_of(model.vector("rope_factors_long.weight"))},
                            {"short_factor", shortest_of(model.vector("rope_factors_short.weight"))}};
  if (original) scaling["original_max_position_embeddings"] = *original;
  const auto attention = metadata.number(prefix + "rope.scaling.attn_factor");
  if (!attention || !original || !context) return scaling;
  // What follows from the lengths is left out: it stands in the file as a float32.
  const double ratio = static_cast<double>(*context) / static_cast<double>(*original);
  const double usual = ratio <= 1 || *original <= 1
                           ? 1
                           : std::sqrt(1 + std::log(ratio) / std::log(static_cast<double>(*original)));
  if (std::abs(*attention - usual) > kTolerance * usual) scaling["attention_factor"] = *attention;
  return scaling;
}

}  // namespace

nlohmann::json llama3_of(const std::vector<float>& factors, double theta) {
  const double factor = shortest(*std::max_element(factors.begin(), factors.end()));
  constexpr double kLow = 1, kHigh = 4;  // of all models that have it
  for (std::int64_t original = 1; original <= (std::int64_t{1} << 24); original *= 2) {
    bool all = true;
    for (std::size_t i = 0; i < factors.size() && all; ++i) {
      const double frequency = std::pow(theta, -static_cast<double>(i) / static_cast<double>(factors.size()));
      const double wanted = llama3_factor(frequency, factor, kLow, kHigh, static_cast<double>(original));
      all = std::abs(factors[i] - wanted) <= kTolerance * wanted;
    }
    if (all)
      return {{"rope_type", "llama3"},
              {"factor", factor},
              {"low_freq_factor", kLow},
              {"high_freq_factor", kHigh},
              {"original_max_position_embeddings", original}};
  }
  return nullptr;
}

nlohmann::json gguf_rope_scaling(const GgufModel& model, std::int64_t head_dim, double theta) {
  const auto& metadata = model.metadata();
  const auto prefix = std::string(model.architecture().name) + ".";
  const auto key = prefix + "rope.scaling.type";
  const auto type = metadata.text(key).value_or("none");
  const auto file = model.path().string();
  const auto factor = [&] {
    const auto given = metadata.number(prefix + "rope.scaling.factor");
    if (!given)
      throw bad_data("{}: key {} is {}, but {}rope.scaling.factor is missing", file, key, shown(type),
                     prefix);
    return *given;
  };
  if (const auto factors = model.vector("rope_freqs.weight"); !factors.empty()) {
    if (static_cast<std::int64_t>(factors.size()) * 2 != head_dim)
      throw bad_data(
          "{}: tensor rope_freqs.weight has {} numbers, {} are expected, one for each rotated pair", file,
          factors.size(), head_dim / 2);
    for (const float one : factors)
      if (!std::isfinite(one) || one <= 0)
        throw bad_data("{}: tensor rope_freqs.weight holds {}, positive numbers are expected", file, one);
    if (const auto llama3 = llama3_of(factors, theta); !llama3.is_null()) return llama3;
    // Other factors: each frequency is divided by its own, and nothing else changes.
    return {{"rope_type", "longrope"},
            {"long_factor", shortest_of(factors)},
            {"short_factor", shortest_of(factors)},
            {"factor", 1.0},
            {"attention_factor", 1.0}};
  }
  if (!model.vector("rope_factors_long.weight").empty()) return longrope(model, prefix);
  if (type == "none") return nullptr;
  if (type == "linear") return {{"rope_type", "linear"}, {"factor", factor()}};
  if (type == "yarn") {
    nlohmann::json scaling = {{"rope_type", "yarn"}, {"factor", factor()}};
    if (const auto original = metadata.integer(prefix + "rope.scaling.original_context_length"))
      scaling["original_max_position_embeddings"] = *original;
    for (const char* beta : {"beta_fast", "beta_slow"})
      if (const auto value = metadata.number(prefix + "rope.scaling.yarn_" + beta)) scaling[beta] = *value;
    // llama.cpp multiplies it by what config.json's attention_factor stands for.
    if (const auto attention = metadata.number(prefix + "rope.scaling.attn_factor");
        attention && *attention != 1)
      scaling["attention_factor"] = *attention * (0.1 * std::log(factor()) + 1);
    return scaling;
  }
  throw bad_data(
      "{}: key {} is {}; this version computes none, linear, yarn, and llama3's and longrope's factors", file,
      key, shown(type));
}

}  // namespace shardrift
