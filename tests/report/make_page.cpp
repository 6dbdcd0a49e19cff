// make_page OUT.html CONFIGURATIONS PROMPTS ROWS [KIND]: a report of made-up runs with every section. For
// check_page.py, and for working on page/ without a model. KIND (default: hostile):
//   hostile   plans of several kinds, some equal; strings that try to become HTML
//   equal     every candidate has the reference's bits
//   flipped   tensor parallelism only: every candidate changes text
//   mixed     as hostile, without such strings
//   missing   as mixed; one candidate is partial, two were asked for and not run
//   broken    as mixed; the first candidate has rows of NaN
//   score     as mixed; runs over given texts
//   foreign   as mixed; the first candidate is an engine that gave its most likely tokens alone
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "analysis/report/report.hpp"
#include "common/named_enum.hpp"
#include "parallel/plan/plan_json.hpp"
#include "tests/support/synthetic_measurement.hpp"

namespace shardrift::report {
namespace {

const std::string kHostile = "</script><script>hostile=1</script><img src=x onerror=hostile=2>";

void add_run(Report& report, analysis::Measurement measurement, Role role) {
  Run run;
  run.measurement = std::move(measurement);
  run.role = role;
  statistics::BootstrapOptions options;
  options.resamples = 200;
  run.statistics = statistics::statistics_of(run.measurement, options);
  report.runs.push_back(std::move(run));
}

void add_tokens(Report& report, std::size_t run, const std::string& seventh) {
  for (const auto& prompt : report.runs[run].measurement.prompts) {
    if (!prompt.first_flip) continue;
    analysis::TokenTable table;
    table.prompt = prompt.id;
    for (const auto& step : prompt.steps) {
      if (step.step + 8 < prompt.steps.back().step) continue;
      const auto token = [&](std::int32_t id) {
        return id % 7 == 0 ? seventh : fmt::format("\u0120word{}", id);
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

// Of a mixture whose later layers move more.
void add_routes(analysis::Measurement& measurement, double noise) {
  for (auto& prompt : measurement.prompts) {
    auto& routes = prompt.routes;
    routes = {2, 100, 10, {}};
    for (std::int64_t layer = 0; layer < 30; ++layer)
      routes.layers.push_back(
          {.layer = layer, .flips = layer / 3, .first_flip = layer < 3 ? -1 : 7, .max_drift = noise});
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

enum class Kind { hostile, equal, flipped, mixed, missing, broken, score, foreign };
constexpr auto names_of(Kind) {
  return std::to_array<Named<Kind>>({{Kind::hostile, "hostile"},
                                     {Kind::equal, "equal"},
                                     {Kind::flipped, "flipped"},
                                     {Kind::mixed, "mixed"},
                                     {Kind::missing, "missing"},
                                     {Kind::broken, "broken"},
                                     {Kind::score, "score"},
                                     {Kind::foreign, "foreign"}});
}

// SmolLM2-135M's.
const std::string kConfig =
    R"({"architectures":["LlamaForCausalLM"],"hidden_size":576,"intermediate_size":1536,"num_hidden_layers":30,)"
    R"("num_attention_heads":9,"num_key_value_heads":3,"vocab_size":49152,"tie_word_embeddings":true,)"
    R"("max_position_embeddings":8192,"rms_norm_eps":1e-5,"rope_theta":100000,"hidden_act":"silu",)"
    R"("torch_dtype":"bfloat16"})";

Plan plan_of(int shards, bool moves, int i) {
  Plan plan;
  plan.device = Device::cuda;
  plan.dtype = plan.logits_dtype = DType::bfloat16;
  if (shards == 1) return plan;
  if (moves)
    plan.tensor_parallel = plan.shards = shards;
  else
    (i % 2 == 0 ? plan.pipeline : plan.replicas) = shards;
  return plan;
}

void use_plan(analysis::RunSummary& run, const Plan& plan) {
  run.run.plan = plan_to_json(plan);
  run.plan = describe(plan);
  run.shards = plan.shards;
  run.run.model.config = kConfig;
  run.run.command =
      "shardrift-run run --model models/smollm2-135m --prompts prompts.jsonl --output " + run.path;
}

// Timed, and evenly: a token in so many seconds.
void use_times(analysis::RunSummary& run, double seconds) {
  run.pace = {96, true, seconds, 0.98 * seconds, 1.02 * seconds};
  run.decode_tokens = 1000;
  run.decode_seconds = 1000 * seconds;
}

std::string name_of_plan(const Plan& plan, int i) {
  const auto word = plan.pipeline > 1 ? "pp" : plan.replicas > 1 ? "dp" : "tp";
  const int count = plan.pipeline * plan.replicas * plan.tensor_parallel;
  return fmt::format("{}{}{}", word, count, i < 3 ? "" : fmt::format("-{}", i));
}

void add_hostile(Report& report) {
  report.runs.front().measurement.candidate.plan = kHostile;
  report.runs.front().measurement.differences.push_back({"variable " + kHostile, kHostile, ""});
  report.notes = {"Made up: no model was run. " + kHostile};
  report.command = "shardrift report " + kHostile;
}

// Most of its rows were not there yet.
void cut(analysis::Measurement& measurement) {
  measurement.candidate.complete = false;
  for (std::size_t p = measurement.prompts.size() / 3; p < measurement.prompts.size(); ++p)
    measurement.missing_in_candidate.push_back(measurement.prompts[p].id);
  measurement.prompts.resize(measurement.prompts.size() / 3);
}

// A row in every third prompt.
void spoil(analysis::Measurement& measurement) {
  for (std::size_t p = 0; p < measurement.prompts.size(); p += 3) {
    auto& step = measurement.prompts[p].steps.front();
    step.not_finite = 1;
    step.kl = step.kl_reverse = step.js = step.tv = step.log_ratio = analysis::kNoValue;
    step.p_candidate = step.p_own = analysis::kNoValue;
  }
}

// Choices are left, and no logits.
void strip(analysis::Measurement& measurement) {
  measurement.candidate.run.level = "top";
  measurement.candidate.run.environment.devices.clear();
  for (auto& prompt : measurement.prompts) {
    prompt.has_logits = prompt.bit_equal = false;
    prompt.differs = prompt.first_flip.has_value();
    for (auto& step : prompt.steps)
      step = {.step = step.step,
              .candidate_step = step.candidate_step,
              .position = step.position,
              .chosen_reference = step.chosen_reference,
              .chosen_candidate = step.chosen_candidate};
  }
}

Report made_up(int configurations, int prompts, int rows, Kind kind) {
  Report report;
  for (int i = 0; i < configurations; ++i) {
    const bool moves = kind == Kind::flipped || (kind != Kind::equal && i % 5 != 1);
    const double noise = moves ? 0.02 * (1 + i % 7) : 0;
    const int shards = 2 + i % 3;
    const Plan plan = plan_of(shards, moves, i / 2);
    testing::SyntheticRun made{
        name_of_plan(plan, i), shards, noise, prompts, rows, static_cast<std::uint64_t>(i + 1)};
    auto measurement = testing::synthetic_measurement(made);
    use_plan(measurement.reference, plan_of(1, false, 0));
    use_plan(measurement.candidate, plan);
    use_times(measurement.reference, 0.004);
    use_times(measurement.candidate, 0.004 / (1 + 0.25 * (shards - 1) - 0.02 * i));
    if (kind == Kind::missing && i == 0) cut(measurement);
    if (kind == Kind::broken && i == 0) spoil(measurement);
    if (kind == Kind::foreign && i == 0) strip(measurement);
    if (kind == Kind::score) measurement.reference.run.mode = measurement.candidate.run.mode = "score";
    add_run(report, std::move(measurement), Role::candidate);
    const auto run = report.runs.size() - 1;
    if (noise == 0) continue;
    if (kind == Kind::hostile)
      add_tokens(report, run, kHostile);
    else
      add_tokens(report, run, "\u0120the");
    add_layers(report, run, noise);
    add_routes(report.runs[run].measurement, noise);
  }
  auto again = testing::synthetic_measurement({"again", 1, 0, prompts, rows});
  use_plan(again.reference, plan_of(1, false, 0));
  use_plan(again.candidate, plan_of(1, false, 0));
  use_times(again.reference, 0.004);
  use_times(again.candidate, 0.004);
  if (kind == Kind::score) again.reference.run.mode = again.candidate.run.mode = "score";
  add_run(report, std::move(again), Role::noise_floor);
  if (kind == Kind::hostile) add_hostile(report);
  if (kind != Kind::equal)
    report.ladders.push_back(
        {0,
         {{"kernel", "the library's product against float32 products rounded once", 0.31},
          {"shape", "smaller products, exact sums", 0.42},
          {"order", "the real order", 0.27}},
         "0 bits: explained completely"});
  verdict::Evidence evidence;
  for (const auto& run : report.runs)
    (run.role == Role::candidate ? evidence.candidates : evidence.repeats).push_back(run.measurement);
  if (kind == Kind::missing)
    evidence.not_judged = {
        {"tp3-asked", "TP=3, native, bfloat16, cuda", "interrupted (12 of 36 prompts recorded)"},
        {"tp4-asked", "TP=4, native, bfloat16, cuda", "interrupted (12 of 36 prompts recorded)"}};
  auto thresholds = verdict::preset("serving");
  thresholds.bootstrap.resamples = 200;
  thresholds.tokens = rows;
  if (kind == Kind::mixed) {  // every column that a table can have, and another confidence
    thresholds.bootstrap.confidence = 0.99;
    const auto beside = [&](const char* name, double noise) {
      return testing::synthetic_measurement({name, 2, noise, prompts, rows, 99});
    };
    evidence.yardsticks.push_back(beside("float16-weights", 0.05));
    evidence.truth_reference = beside("float32", 0.01);
    evidence.truth_candidates.assign(evidence.candidates.size(), beside("float32", 0.02));
  }
  report.verdict = verdict::judge(evidence, thresholds);
  if (kind == Kind::hostile) report.verdict->headline += kHostile;
  report.version = "0.1.0";
  if (report.command.empty()) report.command = "shardrift report one.h5 tp2.h5 --output report.html";
  report.created = "2026-11-26T12:00:00Z";
  return report;
}

}  // namespace
}  // namespace shardrift::report

int main(int argc, char** argv) {
  using shardrift::report::Kind;
  const auto kind = shardrift::from_name<Kind>(argc == 6 ? argv[5] : "hostile");
  if (argc < 5 || argc > 6 || !kind) {
    std::fputs(
        "usage: make_page OUT.html CONFIGURATIONS PROMPTS ROWS "
        "[hostile|equal|flipped|mixed|missing|broken|score|foreign]\n",
        stderr);
    return 64;
  }
  std::ofstream file(argv[1], std::ios::binary);
  file << shardrift::report::to_html(
      shardrift::report::made_up(std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]), *kind));
  return file.flush() ? 0 : 70;
}
