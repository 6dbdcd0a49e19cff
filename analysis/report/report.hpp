// The report: one HTML page that opens offline and says what scale-out does to a model. This folder turns
// measured values into data for the page (C++, JSON) and holds the page itself (page/: HTML, CSS, JavaScript,
// embedded at build time). It computes no metric: those come from analysis/measure and analysis/statistics.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/compare/token_table.hpp"
#include "analysis/measure/measurement.hpp"
#include "analysis/statistics/run_statistics.hpp"
#include "analysis/verdict/verdict.hpp"
#include "common/named_enum.hpp"

namespace shardrift::report {

// What a run is compared for. All runs of a report have one reference.
enum class Role {
  candidate,
  noise_floor,  // the reference's plan once more
  yardstick,    // another dtype or quantization: how far people already go without worry
};
constexpr auto names_of(Role) {
  return std::to_array<Named<Role>>(
      {{Role::candidate, "candidate"}, {Role::noise_floor, "noise floor"}, {Role::yardstick, "yardstick"}});
}

struct Run {
  analysis::Measurement measurement;
  Role role = Role::candidate;
  statistics::RunStatistics statistics;
};

// One point of a plot.
struct CurvePoint {
  double x = 0;
  double y = 0;
  double low = analysis::kNoValue;  // interval, where there is one
  double high = analysis::kNoValue;
};

// How the difference grows through the layers; x: layer (0 the embedding), y: RMS of the difference relative
// to the RMS of the reference's hidden state, median over rows; low, high: 10th and 90th percentile.
struct Growth {
  std::size_t run = 0;
  std::vector<CurvePoint> layers;
};

// One rung of the explanation ladder.
struct Rung {
  std::string name;
  std::string meaning;
  double share = analysis::kNoValue;  // of the sum of all steps' squares, 0 to 1
};

struct Ladder {
  std::size_t run = 0;
  std::vector<Rung> rungs;
  std::string residue;  // "0 bits: explained completely"
};

struct TokenStory {
  std::size_t run = 0;
  analysis::TokenTable table;
};

struct Report {
  std::string title;    // empty: made from the model and the number of runs
  std::string version;  // of shardrift
  std::string command;  // that made the report
  std::string created;  // ISO 8601, UTC
  std::vector<Run> runs;
  std::optional<verdict::Verdict> verdict;  // of runs[0], runs[1], …, its candidates, in this order
  std::vector<Growth> growth;
  std::vector<Ladder> ladders;
  std::vector<TokenStory> tokens;  // of prompts that flip
  std::vector<std::string> notes;  // what a reader has to know: partial files, missing prompts
};

// The page. Everything that comes from files is escaped; the page requests nothing.
std::string to_html(const Report& report);

}  // namespace shardrift::report
