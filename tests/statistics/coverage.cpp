// How often is a limit passed that holds for no sample but by chance: candidates whose true value is the
// limit.
//
//   test_coverage                      a short run, as CI makes it
//   test_coverage --rounds 4000 --table     the table of docs/results/coverage.md
//
// A limit is passed where the whole interval lies at or below it; at 95% that may happen in 2.5% of all
// cases.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "common/error.hpp"
#include "tests/statistics/worlds.hpp"

namespace shardrift::statistics::coverage {
namespace {

constexpr int kPrompts[] = {30, 100, 300};
constexpr double kAllowed = 0.025;

struct Cell {
  double passes = 0;     // share of rounds whose upper end lies at or below the truth
  double fails = 0;      // … whose lower end lies above it
  double bootstrap = 0;  // passes of the bootstrap (BCa)
  double length = 0;     // median of upper end / truth
};

Cell run(const World& world, int prompts, int rounds, bool with_bootstrap) {
  Cell cell;
  std::vector<double> lengths;
  BootstrapOptions options;
  options.resamples = with_bootstrap ? 2000 : 500;
  Random random(20261129 + static_cast<std::uint64_t>(prompts));
  for (int round = 0; round < rounds; ++round) {
    const Sample sample = world.draw(random, prompts);
    options.seed = random.below(1ULL << 62U);
    const auto quotient = [](double a, double b) { return a / b; };
    const bool ratio = !sample.others.rows.empty();
    const auto estimate = ratio
                              ? reweighted_pair(sample.values, sample.worst, sample.others, quotient, options)
                              : reweighted_mean(sample.values, sample.worst, options);
    const bool none = estimate.method == IntervalMethod::none;  // decides nothing
    cell.passes += !none && estimate.interval.high <= world.truth ? 1 : 0;
    cell.fails += !none && estimate.interval.low > world.truth ? 1 : 0;
    lengths.push_back(none ? std::numeric_limits<double>::infinity() : estimate.interval.high / world.truth);
    if (!with_bootstrap) continue;
    const auto before =
        bootstrap_ratio(sample.values.sum, ratio ? sample.others.sum : sample.values.rows, options);
    cell.bootstrap += before.method != IntervalMethod::none && before.interval.high <= world.truth ? 1 : 0;
  }
  for (double* share : {&cell.passes, &cell.fails, &cell.bootstrap}) *share /= rounds;
  std::nth_element(lengths.begin(), lengths.begin() + rounds / 2, lengths.end());
  cell.length = lengths[static_cast<std::size_t>(rounds / 2)];
  return cell;
}

std::string percent(double share) {
  return fmt::format("{:.1f}", 100 * share);
}
std::string times(double value) {
  return std::isinf(value) ? "none" : fmt::format("{:.2f}", value);
}

// Three standard errors of a share that is exactly what is allowed.
double most(int rounds) {
  return kAllowed + 3 * std::sqrt(kAllowed * (1 - kAllowed) / rounds);
}

int check(const std::string& data, int rounds, bool table) {
  const auto all = worlds(data);
  constexpr std::size_t kSizes = std::size(kPrompts);
  std::vector<Cell> cells(all.size() * kSizes);
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < cells.size(); i = next++)
      cells[i] = run(all[i / kSizes], kPrompts[i % kSizes], rounds, table);
  };
  std::vector<std::future<void>> workers;
  for (unsigned i = 1; i < std::max(1U, std::thread::hardware_concurrency()); ++i)
    workers.push_back(std::async(std::launch::async, work));
  work();
  for (auto& worker : workers) worker.get();

  int broken = 0;
  if (table)
    fmt::print(
        "| limit | prompts are | false passes at 30, 100, 300, % | the bootstrap's | false fails, % | upper "
        "end, times the truth |\n| --- | --- | --- | --- | --- | --- |\n");
  for (std::size_t w = 0; w < all.size(); ++w) {
    const Cell* one = &cells[w * kSizes];
    if (table)
      fmt::print("| `{}` | {}{} | {}, {}, {} | {}, {}, {} | {}, {}, {} | {}, {}, {} |\n", all[w].limit,
                 all[w].name, all[w].held ? "" : " (not held)", percent(one[0].passes),
                 percent(one[1].passes), percent(one[2].passes), percent(one[0].bootstrap),
                 percent(one[1].bootstrap), percent(one[2].bootstrap), percent(one[0].fails),
                 percent(one[1].fails), percent(one[2].fails), times(one[0].length), times(one[1].length),
                 times(one[2].length));
    for (std::size_t n = 0; n < kSizes; ++n) {
      if (!all[w].held || (one[n].passes <= most(rounds) && one[n].fails <= most(rounds))) continue;
      ++broken;
      fmt::print(
          stderr,
          "{}, {}, {} prompts: passed in {}% and failed in {}% of {} rounds at its limit; {}% are allowed\n",
          all[w].limit, all[w].name, kPrompts[n], percent(one[n].passes), percent(one[n].fails), rounds,
          percent(most(rounds)));
    }
  }
  // A control: the check finds what it is to find. The bootstrap passes such a tail far too often.
  if (!table) {
    const auto heavy =
        std::find_if(all.begin(), all.end(), [](const World& w) { return w.name == "log-normal, sigma 2"; });
    if (run(*heavy, 30, rounds, true).bootstrap <= most(rounds)) {
      ++broken;
      fmt::print(stderr, "the control passed: {} rounds do not tell the bootstrap from what holds\n", rounds);
    }
  }
  fmt::print("\n{} cells beyond {}% of false passes or fails\n", broken, percent(most(rounds)));
  return broken == 0 ? 0 : 1;
}

}  // namespace
}  // namespace shardrift::statistics::coverage

int main(int argc, char** argv) {
  int rounds = 300;
  bool table = false;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--table") table = true;
    if (word == "--rounds" && i + 1 < argc) rounds = std::atoi(argv[++i]);
  }
  try {
    return shardrift::statistics::coverage::check(
        SHARDRIFT_SOURCE_DIR "/tests/statistics/data/smollm2-h200.csv", rounds, table);
  } catch (const shardrift::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return static_cast<int>(error.code());
  }
}
