#include "model/rope.hpp"

#include <cmath>
#include <numbers>

namespace shardrift {

std::vector<float> rope_inverse_frequencies(const RopeConfig& rope, std::int64_t head_dim) {
  std::vector<float> frequencies;
  for (std::int64_t i = 0; i < head_dim / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    float frequency = 1.0F / std::pow(static_cast<float>(rope.theta), exponent);
    if (rope.llama3) {
      const auto& scaling = *rope.llama3;
      const double wavelength = 2 * std::numbers::pi / frequency;
      const double low = scaling.original_max_position_embeddings / scaling.low_freq_factor;
      const double high = scaling.original_max_position_embeddings / scaling.high_freq_factor;
      if (wavelength > low) {
        frequency = static_cast<float>(frequency / scaling.factor);
      } else if (wavelength >= high) {  // between: interpolate
        const double smooth =
            (scaling.original_max_position_embeddings / wavelength - scaling.low_freq_factor) /
            (scaling.high_freq_factor - scaling.low_freq_factor);
        frequency = static_cast<float>((1 - smooth) * frequency / scaling.factor + smooth * frequency);
      }
    }
    frequencies.push_back(frequency);
  }
  return frequencies;
}

RopeTables rope_tables(const RopeConfig& rope, std::int64_t head_dim, std::int64_t positions) {
  const auto frequencies = rope_inverse_frequencies(rope, head_dim);
  RopeTables tables;
  tables.cosines.reserve(frequencies.size() * static_cast<std::size_t>(positions));
  tables.sines.reserve(tables.cosines.capacity());
  for (std::int64_t position = 0; position < positions; ++position) {
    for (const float frequency : frequencies) {
      const float angle = static_cast<float>(position) * frequency;
      tables.cosines.push_back(static_cast<float>(std::cos(static_cast<double>(angle))));
      tables.sines.push_back(static_cast<float>(std::sin(static_cast<double>(angle))));
    }
  }
  return tables;
}

}  // namespace shardrift
