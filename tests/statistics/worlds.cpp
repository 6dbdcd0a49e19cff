#include "tests/statistics/worlds.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "common/error.hpp"
#include "tests/unit/statistics/synthetic.hpp"

namespace shardrift::statistics::coverage {
namespace {

using testing::normal;
using testing::uniform;

double lognormal(Random& random, double sigma) {
  return std::exp(sigma * normal(random));
}
double mean_of_lognormal(double sigma) {
  return std::exp(sigma * sigma / 2);
}
double beta(Random& random, double a, double b) {
  const double x = random.gamma(a);
  return x / (x + random.gamma(b));
}

// One row a prompt, or rows that say the same: a mean over prompts.
World of_prompts(std::string limit, std::string name, double truth, std::function<double(Random&)> value,
                 double highest = std::numeric_limits<double>::infinity()) {
  World world;
  world.limit = std::move(limit);
  world.name = std::move(name);
  world.truth = truth;
  world.draw = [value = std::move(value), highest](Random& random, int prompts) {
    Sample sample;
    for (int j = 0; j < prompts; ++j) {
      sample.values.sum.push_back(value(random));
      sample.values.rows.push_back(1);
    }
    sample.worst = {highest, 1};
    return sample;
  };
  return world;
}

World greedy_flips(const std::string& name, int rows, std::function<double(Random&)> hazard,
                   const std::vector<double>& hazards) {
  World world;
  world.limit = "flips";
  world.name = name;
  double flips = 0;
  double compared = 0;
  for (const double h : hazards) {  // equally likely
    flips += 1 - std::pow(1 - h, rows);
    compared += (1 - std::pow(1 - h, rows)) / h;
  }
  world.truth = flips / compared;
  world.draw = [rows, hazard = std::move(hazard)](Random& random, int prompts) {
    Sample sample;
    for (int j = 0; j < prompts; ++j) {
      const double h = hazard(random);
      int row = 1;
      while (row < rows && uniform(random) >= h) ++row;
      const bool flip = row < rows || uniform(random) < h;
      sample.values.sum.push_back(flip ? 1 : 0);
      sample.values.rows.push_back(row);
    }
    sample.worst = {1, 1, true};
    return sample;
  };
  return world;
}

// `rows` rows a prompt that go on after a flip; a prompt's own rate is drawn from a beta law.
World follow_flips(const std::string& limit, const std::string& name, int rows, double share, double alike) {
  World world;
  world.limit = limit;
  world.name = name;
  world.truth = share;
  world.draw = [=](Random& random, int prompts) {
    Sample sample;
    for (int j = 0; j < prompts; ++j) {
      const double size = alike > 0 ? (1 - alike) / alike : 0;
      const double rate = alike == 0   ? share
                          : alike == 1 ? (uniform(random) < share ? 1.0 : 0.0)
                                       : beta(random, share * size, (1 - share) * size);
      int flips = 0;
      for (int i = 0; i < rows; ++i) flips += uniform(random) < rate ? 1 : 0;
      sample.values.sum.push_back(flips);
      sample.values.rows.push_back(rows);
    }
    sample.worst = worst_of_rows(sample.values.rows, 1, true);
    return sample;
  };
  return world;
}

// Regrets of flips: 0 at ties, else on the lattice of bfloat16's logits. `share`: of prompts, that flip.
World regrets(const std::string& name, double share, double at_ties) {
  World world;
  world.limit = "flip_regret";
  world.name = name;
  world.truth = (1 - at_ties) * 0.125 * 1.5;
  world.draw = [=](Random& random, int prompts) {
    Sample sample;
    for (int j = 0; j < prompts; ++j) {
      const bool flips = uniform(random) < share;
      double regret = 0;
      if (flips && uniform(random) >= at_ties) {
        regret = 0.125;
        while (uniform(random) < 1.0 / 3) regret += 0.125;  // mean 1.5 steps
      }
      sample.values.sum.push_back(regret);
      sample.values.rows.push_back(flips ? 1 : 0);
    }
    sample.worst = {4, 1, true};
    return sample;
  };
  return world;
}

World ratios(const std::string& name, double sigma, double shared) {
  World world;
  world.limit = "excess_error";
  world.name = name;
  world.truth = 1;
  world.draw = [=](Random& random, int prompts) {
    Sample sample;
    for (int j = 0; j < prompts; ++j) {
      const double common = shared * normal(random);
      const double own = std::sqrt(1 - shared * shared);
      sample.values.sum.push_back(std::exp(sigma * (common + own * normal(random))));
      sample.others.sum.push_back(std::exp(sigma * (common + own * normal(random))));
      sample.values.rows.push_back(1);
      sample.others.rows.push_back(1);
    }
    return sample;
  };
  return world;
}

struct Real {
  Clustered kl;
  Clustered delta_p;
  Clustered flips;
};

std::map<std::string, Real> read_real(const std::string& data) {
  std::map<std::string, Real> runs;
  std::ifstream file(data);
  if (!file) throw bad_data("{}: cannot be read", data);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    const auto end = line.find('"', 1);
    auto& run = runs[line.substr(1, end - 1)];
    std::istringstream cells(line.substr(end + 2));
    std::string cell;
    std::getline(cells, cell, ',');
    std::vector<double> numbers;
    while (std::getline(cells, cell, ',')) numbers.push_back(std::stod(cell));
    for (auto* one : {&run.kl, &run.delta_p, &run.flips}) one->rows.push_back(numbers.at(0));
    run.kl.sum.push_back(numbers.at(1));
    run.delta_p.sum.push_back(numbers.at(2));
    run.flips.sum.push_back(numbers.at(3));
  }
  return runs;
}

World resampled(const std::string& limit, const std::string& name, const Clustered& real, double highest,
                bool greedy_events) {
  World world;
  world.limit = limit;
  world.name = "real: " + name;
  double sum = 0;
  double rows = 0;
  for (std::size_t j = 0; j < real.rows.size(); ++j) {
    sum += real.sum[j];
    rows += real.rows[j];
  }
  world.truth = sum / rows;
  world.draw = [=](Random& random, int prompts) {
    Sample sample;
    for (int j = 0; j < prompts; ++j) {
      const auto one = random.below(real.rows.size());
      sample.values.sum.push_back(real.sum[one]);
      sample.values.rows.push_back(real.rows[one]);
    }
    sample.worst = greedy_events ? Worst{1, 1, true} : worst_of_rows(sample.values.rows, highest, false);
    return sample;
  };
  return world;
}

}  // namespace

std::vector<World> worlds(const std::string& data) {
  constexpr double kUnbounded = std::numeric_limits<double>::infinity();
  std::vector<World> all;
  all.push_back(follow_flips("flips", "1 row a prompt, 3%", 1, 0.03, 0));
  all.push_back(greedy_flips("greedy, 32 rows, hazard 3%", 32, [](Random&) { return 0.03; }, {0.03}));
  all.push_back(greedy_flips("greedy, 32 rows, hazard 0.5% or 10%", 32,
                             [](Random& random) { return uniform(random) < 0.5 ? 0.005 : 0.1; },
                             {0.005, 0.1}));
  for (const double alike : {0.0, 0.1, 0.3, 1.0})
    all.push_back(follow_flips("flips", fmt::format("follow, 32 rows, 3%, correlation in a prompt {}", alike),
                               32, 0.03, alike));
  for (const double sigma : {0.5, 0.8, 1.0, 1.5, 2.0})
    all.push_back(of_prompts("kl_mean", fmt::format("log-normal, sigma {}", sigma), mean_of_lognormal(sigma),
                             [=](Random& random) { return lognormal(random, sigma); }));
  for (const double index : {1.5, 2.0, 3.0})
    all.push_back(of_prompts("kl_mean", fmt::format("Pareto, index {}", index), index / (index - 1),
                             [=](Random& random) { return std::pow(uniform(random), -1 / index); }));
  for (const double zero : {0.5, 0.8, 0.9})
    all.push_back(of_prompts("kl_mean", fmt::format("{}% zeros, else log-normal, sigma 1", 100 * zero),
                             (1 - zero) * mean_of_lognormal(1), [=](Random& random) {
                               return uniform(random) < zero ? 0 : lognormal(random, 1);
                             }));
  World clustered = of_prompts("kl_mean", "rows log-normal in log-normal prompts", 0, {});
  clustered.truth = mean_of_lognormal(0.8) * mean_of_lognormal(1);
  clustered.draw = [](Random& random, int prompts) {
    Sample sample;
    for (int j = 0; j < prompts; ++j) {
      const double own = lognormal(random, 0.8);
      const auto rows = 1 + random.below(32);
      double sum = 0;
      for (std::uint64_t i = 0; i < rows; ++i) sum += own * lognormal(random, 1);
      sample.values.sum.push_back(sum);
      sample.values.rows.push_back(static_cast<double>(rows));
    }
    return sample;
  };
  all.push_back(clustered);
  for (const double rare : {0.03, 0.01}) {
    all.push_back(of_prompts("kl_mean", fmt::format("{}% of prompts 20 times the others", 100 * rare),
                             mean_of_lognormal(0.5) * (1 + 19 * rare), [=](Random& random) {
                               return lognormal(random, 0.5) * (uniform(random) < rare ? 20 : 1);
                             }));
    all.back().held = false;
  }
  all.push_back(of_prompts(
      "delta_p_mean", "beta(0.5, 25)", 0.5 / 25.5, [](Random& random) { return beta(random, 0.5, 25); }, 1));
  all.push_back(of_prompts(
      "delta_p_mean", "90% zeros, else beta(1, 4)", 0.02,
      [](Random& random) { return uniform(random) < 0.9 ? 0 : beta(random, 1, 4); }, 1));
  for (const auto& [share, ties] : {std::pair{0.1, 0.8}, {0.5, 0.8}, {0.9, 0.0}})
    all.push_back(
        regrets(fmt::format("{:.0f}% of prompts flip, {:.0f}% of flips at ties", 100 * share, 100 * ties),
                share, ties));
  all.push_back(follow_flips("kl_p99", "rows above the limit: 1%, correlation 0.1", 32, 0.01, 0.1));
  all.push_back(follow_flips("kl_p99", "rows above the limit: 1%, correlation 0.5", 32, 0.01, 0.5));
  for (const double shared : {0.0, 0.9})
    all.push_back(ratios(fmt::format("log-normal, sigma 1, correlation {}", shared), 1, shared));
  for (const auto& [name, real] : read_real(data)) {
    all.push_back(resampled("kl_mean", name, real.kl, kUnbounded, false));
    all.push_back(resampled("delta_p_mean", name, real.delta_p, 1, false));
    if (name.starts_with("float32")) continue;  // nothing flips
    all.push_back(resampled("flips", name, real.flips, 1, true));
  }
  return all;
}

}  // namespace shardrift::statistics::coverage
