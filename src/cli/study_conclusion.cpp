#include "cli/study_conclusion.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "analysis/compare/comparison_presenters.hpp"
#include "analysis/measure/measure.hpp"
#include "analysis/report/make_report.hpp"
#include "analysis/verdict/gathering.hpp"
#include "analysis/verdict/verdict.hpp"
#include "analysis/verdict/verdict_presenters.hpp"
#include "common/durable_file.hpp"
#include "common/error.hpp"
#include "experiments/runner/reasons.hpp"
#include "record/reader.hpp"

namespace shardrift::cli {
namespace {

namespace fs = std::filesystem;
using analysis::Measurement;
using study::Configuration;
using study::Role;

std::string shown_name(const Configuration& one) {
  return one.predicted ? one.name + " (predicted)" : one.name;
}

// A predicted run speaks for the plan that was asked for; what it cost says nothing about that one.
void name_sides(const Configuration& reference, const Configuration& candidate, Measurement& measurement) {
  const auto name = [](const Configuration& one, analysis::RunSummary& summary) {
    summary.name = shown_name(one);
    if (!one.predicted) return;
    summary.predicted = true;
    summary.plan = one.asked;
    summary.prefill_seconds = summary.decode_seconds = 0;
    summary.pace = {};
  };
  name(reference, measurement.reference);
  name(candidate, measurement.candidate);
}

// A prediction beside the live run of the very plan it stands for: may predictions be believed here?
std::string check_text(const Configuration& live, const Configuration& predicted,
                       const Measurement& measurement) {
  const auto& prompts = measurement.prompts;
  const auto equal =
      std::count_if(prompts.begin(), prompts.end(), [](const auto& one) { return one.bit_equal; });
  if (equal == static_cast<std::ptrdiff_t>(prompts.size()))
    return fmt::format("prediction checked: {} gave every bit of the live {}, in all {} prompts",
                       predicted.name, live.name, prompts.size());
  return fmt::format(
      "PREDICTION FAILED: {} has other bits than the live {} in {} of {} prompts ({}): this machine adds in "
      "another "
      "order, probe it (shardrift-run probe --save-profile) and do not believe the other predictions",
      predicted.name, live.name, prompts.size() - static_cast<std::size_t>(equal), prompts.size(),
      predicted.prediction);
}

std::optional<verdict::Part> part_of(Role role) {
  switch (role) {
    case Role::candidate:
      return verdict::Part::candidate;
    case Role::repeat:
      return verdict::Part::repeat;
    case Role::yardstick:
      return verdict::Part::yardstick;
    default:
      return std::nullopt;
  }
}

// Before the reason why something else than a candidate is not there.
std::string words_of(Role role) {
  switch (role) {
    case Role::repeat:
      return "noise floor, ";
    case Role::yardstick:
      return "yardstick, ";
    case Role::truth:
      return "truth, ";
    default:
      return "";
  }
}

class Conclusion {
 public:
  Conclusion(const study::Study& study, const study::StudyPlan& plan, const runner::StudyStatus& status,
             const std::vector<std::string>& only, fs::path output, ProgressLine& line)
      : study_(study),
        plan_(plan),
        status_(status),
        everything_(only.empty()),
        output_(std::move(output)),
        line_(line) {
    const auto names = study::chosen_names(plan, only);
    chosen_ = {names.begin(), names.end()};
  }

  // False: something that was chosen could not be compared.
  bool write() {
    for (const auto& probe : plan_.configurations)
      if (probe.role == Role::probe && is_done(probe))
        line_.say(fmt::format("\n{} ({})\n{}", probe.name, probe.plan,
                              runner::output_of_attempt(status_.find(probe.name)->log)));
    for (const auto& reference : plan_.configurations) {
      if (!is_done(reference)) {
        if (reference.role == Role::reference)
          line_.say(fmt::format("no answer yet: {}: {}", reference.name, why_not_done(reference)));
        continue;
      }
      const auto others = compared_with(reference);
      if (!others.empty() || !not_judged(reference).empty()) compare(reference, others);
    }
    for (const auto& run : status_.runs)
      if (run.state != runner::RunState::done)
        line_.say(fmt::format("left out: {}: {}", run.name, runner::state_words(run.state, run.reason)));
    for (const auto& one : plan_.not_possible)
      line_.say(fmt::format("not possible here: {}: {}", one.name, one.reason));
    const bool all_done =
        std::all_of(status_.runs.begin(), status_.runs.end(), [&](const runner::RunStatus& run) {
          return run.state == runner::RunState::done || !chosen_.contains(run.name);
        });
    return all_done && unusable_.empty() && (!everything_ || plan_.not_possible.empty());
  }

 private:
  bool is_done(const Configuration& one) const {
    const auto* run = status_.find(one.name);
    return run != nullptr && run->state == runner::RunState::done;
  }

  std::string why_not_done(const Configuration& one) const {
    using runner::RunState;
    const auto* run = status_.find(one.name);
    const auto recorded =
        run == nullptr ? 0 : runner::finished_prompts(run->output, run->replacing ? 0 : run->prompts);
    const std::string so_far =
        recorded > 0 ? fmt::format(" ({} of {} prompts recorded)", recorded, one.prompts) : "";
    if (run != nullptr && run->state == RunState::interrupted) return "interrupted" + so_far;
    if (run != nullptr && (run->state == RunState::skipped || run->state == RunState::failed))
      return runner::state_words(run->state, run->reason) + so_far;
    return (chosen_.contains(one.name) ? "not run yet" : "left out by --only") + so_far;
  }

  // A repeat, yardstick or truth that this command, or an earlier one, began. Without it the limits are
  // others.
  bool is_expected(const Configuration& one) const {
    const auto* run = status_.find(one.name);
    return one.role != Role::probe && (chosen_.contains(one.name) || is_done(one) ||
                                       (run != nullptr && run->state != runner::RunState::waiting));
  }

  // Candidates that the study asked for, and what they are judged with, that are not compared with this
  // reference.
  std::vector<verdict::NotJudged> not_judged(const Configuration& reference) const {
    std::vector<verdict::NotJudged> list;
    if (reference.role != Role::reference) return list;
    for (const auto& one : plan_.configurations) {
      if (one.compare_with != reference.name) continue;
      if (one.role != Role::candidate && !is_expected(one)) continue;
      const auto unusable = unusable_.find(one.name);
      if (is_done(one) && unusable == unusable_.end()) continue;
      list.push_back({shown_name(one), one.predicted ? one.asked : one.plan,
                      words_of(one.role) + (is_done(one) ? unusable->second : why_not_done(one))});
    }
    for (const auto& one : plan_.not_possible) {
      const auto* entry = study_.find(one.name);
      if (entry != nullptr && entry->role == Role::candidate && entry->compare_with == reference.name)
        list.push_back({one.name, one.plan, "not possible here: " + one.reason});
    }
    return list;
  }

  std::vector<const Configuration*> compared_with(const Configuration& reference) const {
    std::vector<const Configuration*> others;
    for (const auto& one : plan_.configurations)
      if (one.compare_with == reference.name && is_done(one)) others.push_back(&one);
    return others;
  }

  // What was compared with one reference. comparisons[i]: of others[i], where it could be.
  struct Compared {
    std::vector<std::optional<analysis::Comparison>> comparisons;
    std::vector<report::Excerpt> excerpts;
    verdict::Evidence evidence;
  };

  // Every record is opened once; one that cannot be used is left out, and said so. The truth comes first:
  // candidates are measured against it while they are open.
  Compared measure(const Configuration& reference, const record::Reader& base,
                   const std::vector<const Configuration*>& others) {
    std::string now;
    analysis::MeasureOptions options;
    options.say = [this](const std::string& note) { line_.say("note: " + note); };
    options.progress = [&](double share) {
      line_.show(fmt::format("comparing {} with {}: {:.0f}%", now, reference.name, 100 * share));
    };
    const bool judged = reference.role == Role::reference;
    verdict::Gathering gathering(base, options);
    Compared compared;
    compared.comparisons.resize(others.size());
    const auto each = [&](bool truths) {
      for (std::size_t i = 0; i < others.size(); ++i) {
        const Configuration& other = *others[i];
        if ((other.role == Role::truth) != truths) continue;
        now = other.name;
        const auto seen = [&](const record::Reader& r, const record::Reader& c, Measurement& measurement) {
          name_sides(reference, other, measurement);
          if (judged && !truths) compared.excerpts.push_back(report::excerpt_of(r, c, measurement));
          compared.comparisons[i].emplace().measurement = measurement;
        };
        try {
          if (const auto part = part_of(other.role); part && judged) {
            gathering.add(*part, other.output, seen);
            continue;
          }
          auto record = record::Reader::open(other.output);
          auto measurement = analysis::measure(base, record, options);
          seen(base, record, measurement);
          if (truths && judged) gathering.use_truth(std::move(record));
        } catch (const Error& error) {
          line_.say(fmt::format("not compared: {}: {}", other.name, error.what()));
          unusable_[other.name] = error.what();
        }
      }
    };
    each(true);
    each(false);
    compared.evidence = std::move(gathering).evidence();
    return compared;
  }

  void compare(const Configuration& reference, const std::vector<const Configuration*>& others) {
    std::optional<record::Reader> base;
    try {
      base.emplace(record::Reader::open(reference.output));
    } catch (const Error& error) {
      line_.say(fmt::format("nothing is compared with {}: {}", reference.name, error.what()));
      unusable_[reference.name] = error.what();
      return;
    }
    auto compared = measure(reference, *base, others);
    std::vector<analysis::Comparison> comparisons;
    std::vector<std::string> checks;
    for (std::size_t i = 0; i < others.size(); ++i) {
      if (!compared.comparisons[i]) continue;
      auto& comparison = *compared.comparisons[i];
      if (others[i]->predicted && !reference.predicted && others[i]->asked == reference.plan)
        checks.push_back(check_text(reference, *others[i], comparison.measurement));
      comparison.measurement.candidate.path =
          comparison.measurement.candidate.name;  // the tables' first column
      comparisons.push_back(std::move(comparison));
    }
    compared.evidence.not_judged = not_judged(reference);
    const bool judged = reference.role == Role::reference && !compared.evidence.candidates.empty();
    // Without a single candidate there is no verdict to say it.
    if (!judged)
      for (const auto& one : compared.evidence.not_judged)
        line_.say(fmt::format("not judged: {}: {}", one.name, one.why));
    if (comparisons.empty()) return;
    std::optional<verdict::Verdict> verdict;
    if (judged) verdict = verdict::judge(compared.evidence, thresholds());
    line_.say(fmt::format("\ncompared with {} ({})", shown_name(reference),
                          reference.predicted ? reference.asked : reference.plan));
    if (verdict) line_.say(verdict::short_verdict_text(*verdict));  // it begins with the answer
    line_.say(analysis::summary_text(comparisons));
    for (const auto& check : checks) line_.say(check);
    write_text_durably(output_ / ("compare-" + reference.name + ".json"),
                       analysis::comparisons_json(*base, comparisons));
    if (!verdict) return;
    write_text_durably(output_ / ("verdict-" + reference.name + ".json"), verdict::verdict_json(*verdict));
    const fs::path page = output_ / ("report-" + reference.name + ".html");
    auto report =
        report::make_report(std::move(compared.evidence), std::move(*verdict), std::move(compared.excerpts));
    report.title = study_.question;
    report::write_page(report, page);
    line_.say(fmt::format("report: {}", page.string()));
  }

  verdict::Thresholds thresholds() const {
    const auto& judgement = study_.judgement;
    if (!judgement.thresholds.empty()) return verdict::read_thresholds(judgement.thresholds);
    return verdict::preset(judgement.preset.empty() ? "serving" : judgement.preset);
  }

  const study::Study& study_;
  const study::StudyPlan& plan_;
  const runner::StudyStatus& status_;
  bool everything_ = true;  // no --only
  std::set<std::string> chosen_;
  std::map<std::string, std::string> unusable_;  // finished, but not to be compared: why
  fs::path output_;
  ProgressLine& line_;
};

}  // namespace

bool conclude_study(const study::Study& study, const study::StudyPlan& plan,
                    const runner::StudyStatus& status, const std::vector<std::string>& only,
                    const fs::path& output, ProgressLine& line) {
  return Conclusion(study, plan, status, only, output, line).write();
}

}  // namespace shardrift::cli
