#include "analysis/explain/explain_runs.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "analysis/explain/growth.hpp"
#include "analysis/measure/alignment.hpp"
#include "analysis/measure/not_comparable.hpp"
#include "common/error.hpp"
#include "parallel/plan/plan_json.hpp"

namespace shardrift::analysis {
namespace {

using record::Checksums;
using record::Point;
using record::PromptRecord;
using record::Reader;

std::optional<Plan> plan_of(const record::RunInfo& run) {
  try {
    return plan_from_json(run.plan);
  } catch (const Error&) {  // of another version: only then unknown
    return std::nullopt;
  }
}

// Walks the prompts of both files and adds up what their rows differ in.
class Walk {
 public:
  Walk(const Reader& reference, const Reader& candidate, Explanation& explanation)
      : reference_(reference), candidate_(candidate), explanation_(explanation) {
    comparable_ = comparability(reference.run(), candidate.run());
    explanation.partials_compared = comparable_.partials;
    if (!comparable_.reason.empty())
      explanation.notes.push_back("checksums are not compared: " + comparable_.reason);
  }

  void add(const std::string& id) {
    const PromptRecord r = reference_.prompt(id);
    const PromptRecord c = candidate_.prompt(id);
    const Alignment alignment = align(r.rows, c.rows);
    if (r.checksums.empty() || c.checksums.empty() || r.checksums.layers != c.checksums.layers) {
      ++without_sums_;
    } else if (comparable_.reason.empty()) {
      add_sums(r, c, alignment);
    }
    if (!streams_.add(reference_, candidate_, id, r.hidden, c.hidden, alignment)) ++without_streams_;
    ++prompts_;
  }

  void finish() {
    explanation_.streams = streams_.growth();
    // Operations that this kind of model does not have (norms of queries and keys) are no rows of a table.
    std::erase_if(explanation_.operations, [&](const OperationDifference& operation) {
      return !had_.contains(operation.point.operation);
    });
    const auto missing = [&](std::int64_t count, const char* what, const char* flag) {
      if (count == 0) return;
      const std::string some = count == prompts_ ? "" : fmt::format(" for {} of {} prompts", count, prompts_);
      explanation_.notes.push_back(
          fmt::format("no {} in both files{}: record them with shardrift-run run {}", what, some, flag));
    };
    missing(without_sums_, "checksums of operations", "--checksums");
    missing(without_streams_, "hidden states", "--record hidden");
    if (!explanation_.operations.empty() && !comparable_.partials)
      explanation_.notes.emplace_back(
          "the shards' own products (attention_partials, mlp_partials) are left out: the runs cut the model "
          "differently");
    if (explanation_.first) by_length();
  }

 private:
  void add_sums(const PromptRecord& r, const PromptRecord& c, const Alignment& alignment) {
    const std::int64_t layers = r.checksums.layers;
    const std::int64_t points = record::point_count(layers);
    had_.insert(r.checksums.operations.begin(), r.checksums.operations.end());
    had_.insert(c.checksums.operations.begin(), c.checksums.operations.end());
    auto& operations = explanation_.operations;
    if (operations.empty())
      for (std::int64_t i = 0; i < points; ++i) operations.push_back({record::point_at(i, layers)});
    for (std::int64_t i = 0; i < alignment.count; ++i) {
      const std::int64_t of_r = alignment.reference_begin + i;
      const std::int64_t of_c = alignment.candidate_begin + i;
      const auto first = first_point(r.checksums, of_r, c.checksums, of_c, comparable_);
      for (std::int64_t p = 0; p < points; ++p) {
        auto& operation = operations[static_cast<std::size_t>(p)];
        if (!comparable_.has(operation.point.operation, r.checksums, c.checksums)) continue;
        ++operation.rows;
        const bool differs = r.checksums.at(operation.point, of_r) != c.checksums.at(operation.point, of_c);
        operation.rows_differ += differs ? 1 : 0;
        operation.first_here += p == first ? 1 : 0;
      }
      if (!first) continue;
      const auto& row = r.rows[static_cast<std::size_t>(of_r)];
      const FirstDifference found{record::point_at(*first, layers), r.prompt.id, of_r, row.position};
      keep_earlier(explanation_.first, found, layers);
      keep_earlier(of_length_[static_cast<std::int64_t>(r.prompt.tokens.size())], found, layers);
    }
  }

  static void keep_earlier(std::optional<FirstDifference>& kept, const FirstDifference& found,
                           std::int64_t layers) {
    if (!kept || index_of(found.point, layers) < index_of(kept->point, layers)) kept = found;
  }

  void by_length() {
    for (auto& group : explanation_.prompt_lengths)
      if (const auto found = of_length_.find(group.begin); found != of_length_.end())
        group.first = found->second;
  }

  const Reader& reference_;
  const Reader& candidate_;
  Explanation& explanation_;
  Comparability comparable_;
  StreamSums streams_;
  std::map<std::int64_t, std::optional<FirstDifference>> of_length_;
  std::set<record::Operation> had_;  // by a record of either run
  std::int64_t prompts_ = 0;
  std::int64_t without_sums_ = 0;
  std::int64_t without_streams_ = 0;
};

}  // namespace

Comparability comparability(const record::RunInfo& reference, const record::RunInfo& candidate) {
  Comparability result;
  const auto r = plan_of(reference);
  const auto c = plan_of(candidate);
  if (!r || !c) {
    const bool engine = !engine_of(reference).empty() || !engine_of(candidate).empty();
    result.reason = engine ? "operations are this program's own, an engine has others"
                           : "a plan is not one this version understands";
  } else if (storage_of(r->dtype) != storage_of(c->dtype)) {
    result.reason =
        fmt::format("one run computes in {}, the other in {}", name_of(r->dtype), name_of(c->dtype));
  } else {
    // A product of float32 and one of the model's dtype differ in every word, whatever their values.
    result.partials = r->shards == c->shards && r->row_linear == c->row_linear &&
                      r->expert_parallel == c->expert_parallel &&
                      partial_dtype(r->reduction, r->dtype) == partial_dtype(c->reduction, c->dtype);
    result.logits = storage_of(reference.logits_dtype) == storage_of(candidate.logits_dtype);
  }
  return result;
}

std::optional<std::int64_t> first_point(const Checksums& reference, std::int64_t r,
                                        const Checksums& candidate, std::int64_t c,
                                        const Comparability& comparable) {
  for (std::int64_t p = 0; p < record::point_count(reference.layers); ++p) {
    const Point point = record::point_at(p, reference.layers);
    if (comparable.has(point.operation, reference, candidate) &&
        reference.at(point, r) != candidate.at(point, c))
      return p;
  }
  return std::nullopt;
}

std::vector<StreamGrowth> stream_growth(const Reader& reference, const Reader& candidate) {
  StreamSums sums;
  const auto of_candidate = candidate.prompt_ids();
  const std::set<std::string> known(of_candidate.begin(), of_candidate.end());
  for (const auto& id : reference.prompt_ids()) {
    if (!known.contains(id)) continue;
    const PromptRecord r = reference.prompt(id);
    if (r.hidden.streams == 0) continue;
    const PromptRecord c = candidate.prompt(id);
    sums.add(reference, candidate, id, r.hidden, c.hidden, align(r.rows, c.rows));
  }
  return sums.growth();
}

std::vector<LengthChange> length_changes(const Reader& run) {
  std::vector<LengthChange> changes;
  if (run.run().mode != "score") return changes;
  std::multimap<std::int64_t, std::string> by_length;
  for (const auto& id : run.prompt_ids())
    by_length.emplace(static_cast<std::int64_t>(run.prompt(id).prompt.tokens.size()), id);
  const Comparability itself = comparability(run.run(), run.run());
  PromptRecord shorter;
  for (const auto& [length, id] : by_length) {
    PromptRecord longer = run.prompt(id);
    const auto& begin = shorter.prompt.tokens;
    const auto& tokens = longer.prompt.tokens;
    const bool begins_alike = !begin.empty() && begin.size() < tokens.size() &&
                              std::equal(begin.begin(), begin.end(), tokens.begin());
    if (begins_alike && !shorter.checksums.empty() && shorter.checksums.layers == longer.checksums.layers) {
      LengthChange change{static_cast<std::int64_t>(begin.size()), length, shorter.checksums.rows, 0, {}};
      const std::int64_t layers = shorter.checksums.layers;
      for (std::int64_t row = 0; row < change.rows; ++row) {
        const auto point = first_point(shorter.checksums, row, longer.checksums, row, itself);
        if (!point) continue;
        ++change.rows_differ;
        if (!change.first || *point < index_of(*change.first, layers))
          change.first = record::point_at(*point, layers);
      }
      changes.push_back(change);
    }
    shorter = std::move(longer);
  }
  return changes;
}

Explanation explain_runs(const Reader& reference, const Reader& candidate, const Measurement& measurement) {
  Explanation explanation;
  explanation.reference = measurement.reference;
  explanation.candidate = measurement.candidate;
  explanation.not_comparable = not_comparable(measurement);
  explanation.differences = measurement.differences;
  explanation.positions = by_position(measurement);
  explanation.ranges = by_position_range(measurement);
  explanation.prompt_lengths = by_prompt_length(measurement);
  explanation.reference_lengths = length_changes(reference);
  explanation.candidate_lengths = length_changes(candidate);
  Walk walk(reference, candidate, explanation);
  for (const auto& prompt : measurement.prompts) walk.add(prompt.id);
  walk.finish();
  return explanation;
}

}  // namespace shardrift::analysis
