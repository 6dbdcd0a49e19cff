#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "analysis/compare/comparison_presenters.hpp"
#include "analysis/measure/counting.hpp"
#include "analysis/measure/not_comparable.hpp"
#include "analysis/measure/totals.hpp"
#include "analysis/statistics/kl_report.hpp"
#include "common/counted.hpp"
#include "common/error.hpp"
#include "common/text_columns.hpp"

namespace shardrift::analysis {
namespace {

constexpr std::size_t kMaxListed = 50;  // prompts listed one by one
constexpr const char* kCounting = " (tokens and positions are counted from 1)";

// "-" where nothing was measured that it could be made of.
std::string number(double value) {
  return std::isnan(value) ? "-" : value == 0 ? "0" : fmt::format("{:.3g}", value);
}
std::string fixed(double value, int digits) {
  return std::isnan(value) ? "-" : fmt::format("{:.{}f}", value, digits);
}

// One row has a share, but no interval.
std::string with_error(double share, double error) {
  const auto percents = fixed(100 * share, 3);
  if (percents == "-") return percents;
  return std::isnan(error) ? percents + "%"
                           : fmt::format("{}% (standard error {}%, as if rows were independent)", percents,
                                         fixed(100 * error, 3));
}

std::string percent(std::int64_t part, std::int64_t whole) {
  if (whole == 0) return "-";
  // 100 % is only said where it is all of them.
  const double share = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  return part != whole && share > 99.99 ? "<100%"
         : part != 0 && share < 0.01    ? ">0%"
                                        : fmt::format("{:.4g}%", share);
}

// Of numbers over rows that some row has no value for.
std::string number(double value, const Totals& totals) {
  const auto rows = std::max(totals.rows_without_value, totals.rows_not_finite);
  if (!std::isnan(value) || rows == 0) return number(value);
  return fmt::format("{} in {} row{}", totals.rows_without_value > 0 ? "NaN" : "inf", rows,
                     rows == 1 ? "" : "s");
}

std::string flip_text(const Measurement& measurement, const PromptMeasurement& prompt) {
  const Step* flip = flip_of(prompt);
  return flip != nullptr ? place_text(measurement.reference, flip->step) : "none";
}

std::string first_flip_text(const Measurement& measurement) {
  const auto first = first_flip(measurement);
  if (!first) return "none";
  const auto& prompt = measurement.prompts[*first];
  return flip_text(measurement, prompt) + " of " + prompt.id;
}

// "-" where there are no bits to compare.
std::string equality(const Measurement& measurement, const PromptMeasurement& prompt) {
  if (in_other_dtypes(measurement)) return "-";
  return prompt.bit_equal ? "yes" : prompt.differs ? "NO" : "inconclusive";
}

std::string overall_equality(const Measurement& measurement) {
  if (in_other_dtypes(measurement)) return "-";
  return fmt::format("{}/{}{}", prompts_bit_equal(measurement), measurement.prompts.size(),
                     measurement.whole() ? "" : fmt::format(" of {}", measurement.all_prompts()));
}

// Numbers that need logits are "-" where there are none.
std::vector<std::string> measured(const Totals& totals) {
  if (totals.steps_measured == 0) return {"-", "-", "-", "-", "-", "-", "-"};
  return {fmt::format("{}/{}", totals.steps_differ, totals.steps_measured),
          fmt::format("{} ({})", totals.elements_differ, percent(totals.elements_differ, totals.elements)),
          number(totals.max_abs, totals),
          number(totals.mean_abs(), totals),
          number(totals.mean_kl(), totals),
          number(totals.max_kl, totals),
          fmt::format("{}/{}", totals.ties_reference, totals.ties_candidate)};
}

std::vector<std::string> line(std::string name, std::string steps, std::string equal, const Totals& totals,
                              std::string flip) {
  auto cells = measured(totals);
  std::vector<std::string> out{std::move(name), std::move(steps), std::move(equal)};
  out.insert(out.end(), cells.begin(), cells.end() - 1);
  out.push_back(percent(totals.top1_equal, totals.steps));
  out.push_back(cells.back());
  out.push_back(std::move(flip));
  return out;
}

std::string differences_text(const std::vector<Difference>& differences) {
  if (differences.empty()) return "plan and environment: no difference\n";
  std::string text = "what differs\n";
  std::size_t width = 0;
  for (const auto& difference : differences) width = std::max(width, characters(difference.what));
  const auto shown = [](const std::string& value) { return value.empty() ? std::string("(none)") : value; };
  for (const auto& difference : differences)
    text += fmt::format("  {:<{}}  {} -> {}\n", difference.what, width, shown(difference.reference),
                        shown(difference.candidate));
  return text;
}

std::string prompts_text(const Measurement& measurement) {
  TextColumns table({{"prompt", Align::left},
                     {"rows", Align::right},
                     {"bit-equal", Align::left},
                     {"rows differ", Align::right},
                     {"elements differ", Align::right},
                     {"max|Δ|", Align::right},
                     {"mean|Δ|", Align::right},
                     {"KL mean", Align::right},
                     {"KL max", Align::right},
                     {"top-1", Align::right},
                     {"ties r/c", Align::right},
                     {"first flip", Align::left}});
  const std::size_t listed = std::min(measurement.prompts.size(), kMaxListed);
  for (std::size_t i = 0; i < listed; ++i) {
    const auto& prompt = measurement.prompts[i];
    const std::int64_t longest = std::max(prompt.reference_steps, prompt.candidate_steps);
    const Totals totals = totals_of(prompt, measurement.reference.run.model.vocabulary);
    table.add(line(
        prompt.id,
        totals.steps == longest ? std::to_string(longest) : fmt::format("{} of {}", totals.steps, longest),
        equality(measurement, prompt), totals, flip_text(measurement, prompt)));
  }
  const Totals totals = totals_of(measurement);
  table.add(line("all", std::to_string(totals.steps), overall_equality(measurement), totals,
                 first_flip_text(measurement)));
  std::string text = table.str();
  if (listed < measurement.prompts.size())
    text += fmt::format("({} more prompts are in --json and in the last line)\n",
                        measurement.prompts.size() - listed);
  return text;
}

// Without logits a top list still tells how near to a tie the reference stood where another token was chosen.
std::string margins_text(const Measurement& measurement) {
  std::vector<double> margins;
  for (const auto& prompt : measurement.prompts)
    for (const auto& step : prompt.steps)
      if (!step.measured && step.flipped() && !std::isnan(step.margin_reference))
        margins.push_back(step.margin_reference);
  if (margins.empty()) return {};
  std::sort(margins.begin(), margins.end());
  return fmt::format(
      "without logits, by the most likely tokens: at the {} choice{} that differ{} the reference's first "
      "token led its "
      "second by {} to {} in logits, half of them by at most {}\n",
      margins.size(), margins.size() == 1 ? "" : "s", margins.size() == 1 ? "s" : "", number(margins.front()),
      number(margins.back()), number(margins[(margins.size() - 1) / 2]));
}

std::string remarks(const Measurement& measurement) {
  std::string text = margins_text(measurement);
  if (measurement.candidate.shards == 2)
    text += "two shards have one possible order (a + b = b + a), order studies need 3 or more\n";
  if (!measurement.candidate.complete) text += "the candidate is partial: compared as far as it goes\n";
  const Totals totals = totals_of(measurement);
  if (totals.not_finite > 0)
    text += fmt::format(
        "{} pairs of logits in {} row{} have no finite difference (NaN or infinity): numbers over all rows "
        "have "
        "no value\n",
        totals.not_finite, totals.rows_not_finite, totals.rows_not_finite == 1 ? "" : "s");
  return text;
}

std::vector<std::string> distribution_line(const char* name, const statistics::Distribution& d,
                                           double scale) {
  std::vector<std::string> cells{name};
  for (const double value : {d.mean, d.min, d.median, d.p90, d.p99, d.p99_9, d.max})
    cells.push_back(number(value * scale));
  return cells;
}

// Over all measured rows; docs/metrics.md says what each is.
std::string distributions_text(const Measurement& measurement) {
  const auto report = statistics::kl_report(measurement);
  if (report.rows == 0) return "";
  const std::string left_out =
      report.kl.without > 0 ? fmt::format(" ({} without a value)", report.kl.without) : "";
  TextColumns table({{fmt::format("over {} rows{}", report.kl.count, left_out), Align::left},
                     {"mean", Align::right},
                     {"min", Align::right},
                     {"median", Align::right},
                     {"90%", Align::right},
                     {"99%", Align::right},
                     {"99.9%", Align::right},
                     {"max", Align::right}});
  const auto add = [&](const char* name, double (*of)(const Step&)) {
    table.add(distribution_line(name, statistics::distribution_of(measurement, of), 1));
  };
  table.add(distribution_line("KL, nats", report.kl, 1));
  add("KL reverse, nats", [](const Step& step) { return step.kl_reverse; });
  add("JS, nats", [](const Step& step) { return step.js; });
  table.add(distribution_line(
      "TV, %", statistics::distribution_of(measurement, [](const Step& step) { return step.tv; }), 100));
  add("RMS Δ of a row", [](const Step& step) { return step.rms; });
  add("max ULP of a row", [](const Step& step) { return step.max_ulp; });
  table.add(distribution_line("Δp of the next token, %", report.delta_p, 100));
  add("regret, nats", [](const Step& step) { return step.regret; });
  add("margin of the reference", [](const Step& step) { return step.margin_reference; });
  const Totals totals = totals_of(measurement);
  const std::int64_t flips = totals.steps - totals.top1_equal;
  return table.str() +
         fmt::format("same top-1 {}; {} flip{}, of these {} at exact ties and {} clear\n",
                     with_error(report.same_top_p, report.same_top_p_error), flips, flips == 1 ? "" : "s",
                     totals.flips_at_ties, flips - totals.flips_at_ties) +
         fmt::format(
             "RMS Δp {}; token probability error {}; top-10 overlap {}; the reference's "
             "choice ranks at worst {}\n",
             std::isnan(report.delta_p.rms) ? "-" : fixed(100 * report.delta_p.rms, 3) + "%",
             fixed(report.token_probability_error, 6),
             fixed(totals.mean_of(static_cast<double>(totals.sum_top_overlap)), 2), totals.worst_rank);
}

std::string verdict_text(const Measurement& measurement) {
  const auto prompts = measurement.prompts.size();
  const std::string of_all = fmt::format("{} of {} prompt{}", prompts, measurement.all_prompts(),
                                         measurement.all_prompts() == 1 ? "" : "s");
  switch (equality_of(measurement)) {
    case Equality::bit_equal:  // of all prompts
      return fmt::format("verdict: bit-equal in {} of {} prompt{}\n", prompts_bit_equal(measurement), prompts,
                         prompts == 1 ? "" : "s");
    case Equality::same_numbers:
      return fmt::format(
          "verdict: the same numbers in {} of {} prompt{} ({} beside {}: no bits to compare)\n", prompts,
          prompts, prompts == 1 ? "" : "s", name_of(measurement.reference.run.logits_dtype),
          name_of(measurement.candidate.run.logits_dtype));
    case Equality::differs:
      return measurement.whole() ? "verdict: differs\n"
                                 : fmt::format("verdict: differs; {} could be compared\n", of_all);
    case Equality::inconclusive:
      break;
  }
  if (measurement.of_probabilities())
    return fmt::format("verdict: inconclusive, no difference in {}, but they hold no logits\n", of_all);
  return measurement.whole()
             ? "verdict: inconclusive, no difference as far as the files go together\n"
             : fmt::format("verdict: inconclusive, no difference in the {} that could be compared\n", of_all);
}

}  // namespace

std::string head_text(const record::Reader& reference) {
  const auto& run = reference.run();
  return fmt::format("reference  {}: {}; {}, {}, logits {}{}\n", legible(reference.path().string()),
                     describe_plan(run), run.mode, counted(reference.prompt_ids().size(), "prompt"),
                     name_of(run.logits_dtype),
                     reference.complete() ? "" : "\nthe reference is partial: compared as far as it goes");
}

std::string comparison_text(const Comparison& comparison) {
  const Measurement& measurement = comparison.measurement;
  std::string text =
      fmt::format("candidate  {}: {}\n\n", legible(measurement.candidate.path), measurement.candidate.plan);
  const auto apart = not_comparable_text(not_comparable(measurement));
  if (!apart.empty()) text += apart + "\n";
  text += differences_text(measurement.differences) + remarks(measurement) + "\n" +
          prompts_text(measurement) + "\n";
  const std::string distributions = distributions_text(measurement);
  if (!distributions.empty()) text += distributions + "\n";
  const std::string routes = routes_text(measurement);
  if (!routes.empty()) text += routes + "\n";
  if (comparison.table) {
    const auto first = first_flip(measurement);
    const bool is_first = first && measurement.prompts[*first].id == comparison.table->prompt;
    text += fmt::format("tokens of prompt {}{}{}\n{}\n", comparison.table->prompt,
                        is_first ? ", around the first that differs" : "", kCounting,
                        token_table_text(*comparison.table));
  } else {
    text += "no chosen token differs\n";
  }
  if (comparison.run_to_run) text += statistics::run_to_run_text(*comparison.run_to_run);
  return text + verdict_text(measurement);
}

std::string summary_text(const std::vector<Comparison>& comparisons) {
  TextColumns table({{"candidate", Align::left},
                     {"plan", Align::left},
                     {"bit-equal", Align::right},
                     {"elements differ", Align::right},
                     {"max|Δ|", Align::right},
                     {"KL mean", Align::right},
                     {"top-1", Align::right},
                     {"first flip", Align::left}});
  for (const auto& comparison : comparisons) {
    const Measurement& measurement = comparison.measurement;
    const Totals totals = totals_of(measurement);
    const auto cells = measured(totals);
    table.add({legible(measurement.candidate.path), measurement.candidate.plan, overall_equality(measurement),
               cells[1], cells[2], cells[4], percent(totals.top1_equal, totals.steps),
               first_flip_text(measurement)});
  }
  return table.str();
}

}  // namespace shardrift::analysis
