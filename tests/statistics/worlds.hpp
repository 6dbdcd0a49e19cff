// Made-up populations of prompts whose true mean is known, one for every way in which real differences were
// seen or feared to be distributed. For coverage.cpp.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "analysis/statistics/random.hpp"
#include "analysis/statistics/reweighting.hpp"

namespace shardrift::statistics::coverage {

struct Sample {
  Clustered values;
  Worst worst;
  Clustered others;  // of the same prompts, for a ratio of means; else empty
};

struct World {
  std::string limit;  // whose value this is
  std::string name;
  double truth = 0;
  std::function<Sample(Random& random, int prompts)> draw;
  // False: nothing in the sample tells what is to come, and no method can know. Shown, not required.
  bool held = true;
};

// Real prompts are read from `data`, smollm2-h200.csv.
std::vector<World> worlds(const std::string& data);

}  // namespace shardrift::statistics::coverage
