// A matrix: flags with several values each, multiplied out, less its exclusions.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "experiments/study/study.hpp"

namespace shardrift::study {

struct Axis {
  std::string flag;
  std::vector<Setting> values;
};

struct Exclusion {
  Settings values;  // leaves out every combination that has all of these
  int line = 0;
};

struct Combination {
  Settings settings;
  std::vector<std::string> order;  // its flags as the axes are written: names are made in this order
};

// Every combination, the last axis turning fastest; without axes: one, empty. `base` is what a combination is
// laid over: exclusions may name its flags too. Throws bad_data where an exclusion leaves nothing out, or
// everything.
std::vector<Combination> multiply(const std::vector<Axis>& axes, const std::vector<Exclusion>& exclusions,
                                  const Settings& base, const std::string& file);

// base with the other's settings laid over it.
Settings overlaid(Settings base, const Settings& other);

// A name made of what a configuration varies: "tp2-pp2", "s4-tree-7", "float16". Only characters of valid
// names.
std::string short_name(const Settings& settings, const std::vector<std::string>& order);
// "tp{tensor-parallel}" with the settings' values filled in. Throws bad_data for a flag that is not there.
std::string filled_name(const std::string& pattern, const Settings& settings, const std::string& file,
                        int line);

}  // namespace shardrift::study
