// make_page OUT.html CONFIGURATIONS PROMPTS ROWS: a report of made-up runs with every section, and strings
// that try to become HTML. For check_page.py, and for working on page/ without a model.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "analysis/report/report.hpp"
#include "tests/support/synthetic_measurement.hpp"

namespace shardrift::report {
namespace {

const std::string kHostile = "</script><script>hostile=1</script><img src=x onerror=hostile=2>";

void add_run(Report& report, const testing::SyntheticRun& made, Role role) {
  Run run;
  run.measurement = testing::synthetic_measurement(made);
  run.role = role;
  statistics::BootstrapOptions options;
  options.resamples = 200;
  run.statistics = statistics::statistics_of(run.measurement, options);
  report.runs.push_back(std::move(run));
}

void add_tokens(Report& report, std::size_t run) {
  for (const auto& prompt : report.runs[run].measurement.prompts) {
    if (!prompt.first_flip) continue;
    analysis::TokenTable table;
    table.prompt = prompt.id;
    for (const auto& step : prompt.steps) {
      if (step.step + 8 < prompt.steps.back().step) continue;
      const auto token = [&](std::int32_t id) {
        return id % 7 == 0 ? kHostile : fmt::format("\u0120word{}", id);
      };
      table.rows.push_back(
          {step.step, step.position,
           analysis::TokenCell{step.chosen_reference, token(step.chosen_reference), step.p_reference},
           analysis::TokenCell{step.chosen_candidate, token(step.chosen_candidate), step.p_own},
           step.flipped()});
    }
    report.tokens.push_back({run, std::move(table)});
  }
}

void add_layers(Report& report, std::size_t run, double noise) {
  Growth growth;
  growth.run = run;
  for (int layer = 0; layer <= 30; ++layer) {
    const double size = layer == 0 ? 0 : noise * 0.01 * std::pow(1.12, layer);
    growth.layers.push_back({static_cast<double>(layer), size, size * 0.7, size * 1.4});
  }
  report.growth.push_back(std::move(growth));
}

Report made_up(int configurations, int prompts, int rows) {
  Report report;
  for (int i = 0; i < configurations; ++i) {
    const double noise = i % 5 == 4 ? 0 : 0.02 * (1 + i % 7);
    const int shards = 2 + i % 3;
    add_run(
        report,
        {fmt::format("tp{}-{}", shards, i), shards, noise, prompts, rows, static_cast<std::uint64_t>(i + 1)},
        Role::candidate);
    const auto run = report.runs.size() - 1;
    if (noise == 0) continue;
    add_tokens(report, run);
    add_layers(report, run, noise);
  }
  add_run(report, {"again", 1, 0, prompts, rows}, Role::noise_floor);
  report.runs.front().measurement.candidate.plan = kHostile;
  report.runs.front().measurement.differences.push_back({"variable " + kHostile, kHostile, ""});
  report.ladders.push_back({0,
                            {{"kernel", "the library's product against float32 products rounded once", 0.31},
                             {"shape", "smaller products, exact sums", 0.42},
                             {"order", "the real order", 0.27}},
                            "0 bits: explained completely"});
  verdict::Evidence evidence;
  for (const auto& run : report.runs)
    (run.role == Role::candidate ? evidence.candidates : evidence.repeats).push_back(run.measurement);
  auto thresholds = verdict::preset("serving");
  thresholds.bootstrap.resamples = 200;
  report.verdict = verdict::judge(evidence, thresholds);
  report.verdict->headline += kHostile;
  report.version = "0.1.0";
  report.command = "shardrift report " + kHostile;
  report.created = "2026-11-26T12:00:00Z";
  report.notes = {"Made up: no model was run. " + kHostile};
  return report;
}

}  // namespace
}  // namespace shardrift::report

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("usage: make_page OUT.html CONFIGURATIONS PROMPTS ROWS\n", stderr);
    return 64;
  }
  std::ofstream file(argv[1], std::ios::binary);
  file << shardrift::report::to_html(
      shardrift::report::made_up(std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4])));
  return file.flush() ? 0 : 70;
}
