#include "model/rope.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace shardrift {
namespace {

using Frequencies = std::vector<float>;

std::int64_t rotated_of(const RopeConfig& rope, std::int64_t head_dim) {
  return rope.rotated > 0 ? rope.rotated : head_dim;
}

Frequencies unscaled(double theta, std::int64_t rotated) {
  Frequencies frequencies;
  for (std::int64_t i = 0; i < rotated / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(rotated);
    frequencies.push_back(1.0F / std::pow(static_cast<float>(theta), exponent));
  }
  return frequencies;
}

// Each kind's frequencies out of the unscaled ones.
struct Scaled {
  const RopeConfig& rope;
  std::int64_t rotated;
  std::int64_t length;

  Frequencies plain() const { return unscaled(rope.theta, rotated); }

  Frequencies operator()(std::monostate) const { return plain(); }

  Frequencies operator()(const RopeConfig::Linear& linear) const {
    auto frequencies = plain();
    for (float& frequency : frequencies) frequency /= static_cast<float>(linear.factor);
    return frequencies;
  }

  Frequencies operator()(const RopeConfig::Dynamic& dynamic) const {
    if (length <= dynamic.original_length) return plain();
    const auto dim = static_cast<double>(rotated);
    // In float32, as transformers: there the length is a tensor.
    const float stretch = static_cast<float>(dynamic.factor) * static_cast<float>(length) /
                              static_cast<float>(dynamic.original_length) -
                          static_cast<float>(dynamic.factor - 1);
    const auto power = static_cast<float>(std::pow(static_cast<double>(stretch), dim / (dim - 2)));
    return unscaled(static_cast<float>(rope.theta) * power, rotated);
  }

  Frequencies operator()(const RopeConfig::Yarn& yarn) const {
    const auto dim = static_cast<double>(rotated);
    const auto dimension_of = [&](double rotations) {  // that turns so often within the original length
      return dim * std::log(yarn.original_length / (rotations * 2 * std::numbers::pi)) /
             (2 * std::log(rope.theta));
    };
    double low = dimension_of(yarn.beta_fast), high = dimension_of(yarn.beta_slow);
    if (yarn.truncate) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, dim - 1);
    if (low == high) high += 0.001;
    auto frequencies = plain();
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
      const float exponent = static_cast<float>(2 * i) / static_cast<float>(rotated);
      const float ramp = std::clamp(
          (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0F, 1.0F);
      const float kept = 1.0F - ramp;
      const float divided =
          1.0F / (static_cast<float>(yarn.factor) * std::pow(static_cast<float>(rope.theta), exponent));
      frequencies[i] = divided * (1.0F - kept) + frequencies[i] * kept;
    }
    return frequencies;
  }

  Frequencies operator()(const RopeConfig::Llama3& scaling) const {
    auto frequencies = plain();
    const double low = scaling.original_max_position_embeddings / scaling.low_freq_factor;
    const double high = scaling.original_max_position_embeddings / scaling.high_freq_factor;
    for (float& frequency : frequencies) {
      const double wavelength = 2 * std::numbers::pi / frequency;
      if (wavelength > low) {
        frequency = static_cast<float>(frequency / scaling.factor);
      } else if (wavelength >= high) {  // between: interpolate
        const double smooth =
            (scaling.original_max_position_embeddings / wavelength - scaling.low_freq_factor) /
            (scaling.high_freq_factor - scaling.low_freq_factor);
        frequency = static_cast<float>((1 - smooth) * frequency / scaling.factor + smooth * frequency);
      }
    }
    return frequencies;
  }

  Frequencies operator()(const RopeConfig::LongRope& longrope) const {
    const auto& factors = length > longrope.original_length ? longrope.long_factors : longrope.short_factors;
    Frequencies frequencies;
    for (std::int64_t i = 0; i < rotated / 2; ++i) {
      const float exponent = static_cast<float>(2 * i) / static_cast<float>(rotated);
      frequencies.push_back(1.0F / (static_cast<float>(factors[static_cast<std::size_t>(i)]) *
                                    std::pow(static_cast<float>(rope.theta), exponent)));
    }
    return frequencies;
  }
};

void add_table(const Frequencies& frequencies, double factor, std::int64_t positions, RopeTables& tables) {
  for (std::int64_t position = 0; position < positions; ++position) {
    for (const float frequency : frequencies) {
      const float angle = static_cast<float>(position) * frequency;
      const auto cosine = static_cast<float>(std::cos(static_cast<double>(angle)));
      const auto sine = static_cast<float>(std::sin(static_cast<double>(angle)));
      tables.cosines.push_back(cosine * static_cast<float>(factor));
      tables.sines.push_back(sine * static_cast<float>(factor));
    }
  }
}

}  // namespace

std::vector<float> rope_inverse_frequencies(const RopeConfig& rope, std::int64_t head_dim,
                                            std::int64_t length) {
  return std::visit(Scaled{rope, rotated_of(rope, head_dim), length}, rope.scaling);
}

RopeTables rope_tables(const RopeConfig& rope, std::int64_t head_dim, std::int64_t positions) {
  RopeTables tables;
  tables.pairs = rotated_of(rope, head_dim) / 2;
  add_table(rope_inverse_frequencies(rope, head_dim), rope.attention_factor, positions, tables);
  if (const auto* longrope = std::get_if<RopeConfig::LongRope>(&rope.scaling)) {
    tables.short_length = longrope->original_length;
    if (positions > tables.short_length)
      add_table(rope_inverse_frequencies(rope, head_dim, tables.short_length + 1), rope.attention_factor,
                positions, tables);
  }
  if (const auto* dynamic = std::get_if<RopeConfig::Dynamic>(&rope.scaling)) {
    tables.short_length = dynamic->original_length;
    for (auto length = tables.short_length + 1; length <= positions; ++length) {
      const auto frequencies = rope_inverse_frequencies(rope, head_dim, length);
      tables.frequencies.insert(tables.frequencies.end(), frequencies.begin(), frequencies.end());
    }
  }
  return tables;
}

}  // namespace shardrift
