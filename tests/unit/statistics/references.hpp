// The values of make-references.py (NumPy, SciPy), and small Measurements to try things on.
#pragma once
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace shardrift::statistics::testing {

inline const nlohmann::json& references() {
  static const nlohmann::json values = [] {
    std::ifstream file(std::string(SHARDRIFT_SOURCE_DIR) +
                       "/tests/unit/statistics/references/statistics.json");
    return nlohmann::json::parse(file);
  }();
  return values;
}

using Rows = std::vector<std::vector<double>>;  // [prompts][rows]

inline std::vector<double> sums(const Rows& rows) {
  std::vector<double> result;
  for (const auto& row : rows) {
    double sum = 0;
    for (const double value : row) sum += value;
    result.push_back(sum);
  }
  return result;
}
inline std::vector<double> counts(const Rows& rows) {
  std::vector<double> result;
  for (const auto& row : rows) result.push_back(static_cast<double>(row.size()));
  return result;
}

inline void expect_near(const std::vector<double>& expected, double low, double high, double tolerance) {
  EXPECT_NEAR(low, expected[0], tolerance);
  EXPECT_NEAR(high, expected[1], tolerance);
}

}  // namespace shardrift::statistics::testing
