// The answer: does the model still say the same? In plain words and numbers, before any policy.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "analysis/verdict/outcome.hpp"
#include "analysis/verdict/words.hpp"

namespace shardrift::verdict {
namespace {

constexpr std::size_t kGroups = 2;   // kinds of plans that are described
constexpr std::size_t kNamed = 3;    // candidates of one kind
constexpr std::size_t kReasons = 2;  // why something was not judged
constexpr std::size_t kReasonLetters = 120;

std::string range(const std::vector<std::int64_t>& numbers) {
  const std::set<std::int64_t> distinct(numbers.begin(), numbers.end());
  std::vector<std::string> texts;
  for (const auto number : distinct) texts.push_back(std::to_string(number));
  return texts.size() > 4 ? fmt::format("{} to {}", texts.front(), texts.back()) : listed(texts);
}

// Plans of one kind are one group: TP=2 and TP=4, not TP=2 and PP=2.
std::string kind(const Arrangement& a, const std::string& name) {
  if (!a.known && a.numerics.empty()) return name;
  return fmt::format("{}{}{}{}{}{}", a.tensor_parallel > 1, a.pipeline > 1, a.replicas > 1,
                     a.shards > a.tensor_parallel, a.device, a.numerics);
}

using Group = std::vector<const Candidate*>;

// "tensor parallelism over 2 and 4 GPUs in 2 pipeline stages"
std::string subject_of(const Group& group) {
  const auto of = [&](auto member) {
    std::vector<std::int64_t> numbers;
    for (const auto* c : group) numbers.push_back(c->facts.arrangement.*member);
    return range(numbers);
  };
  // Of several the number is in their lines.
  const auto few = [&](const char* what, auto member) {
    return group.size() == 1 ? fmt::format("{} {}", of(member), what) : what;
  };
  const Arrangement& a = group.front()->facts.arrangement;
  std::vector<std::string> parts;
  std::string first;
  if (a.tensor_parallel > 1)
    first = fmt::format("tensor parallelism over {} {}s", of(&Arrangement::tensor_parallel), a.device);
  if (a.pipeline > 1 && !first.empty())
    first += fmt::format(" in {} pipeline stages", of(&Arrangement::pipeline));
  if (a.pipeline > 1 && first.empty()) first = few("pipeline stages", &Arrangement::pipeline);
  if (!first.empty()) parts.push_back(first);
  if (a.shards > a.tensor_parallel)
    parts.push_back(fmt::format(
        "{} shards{}", of(&Arrangement::shards),
        a.tensor_parallel * a.pipeline * a.replicas == 1 ? fmt::format(" on one {}", a.device) : ""));
  if (a.replicas > 1) parts.push_back(few("replicas", &Arrangement::replicas));
  if (!a.numerics.empty()) parts.push_back(a.numerics);
  if (!parts.empty()) return fmt::format("{}", fmt::join(parts, ", "));
  if (a.same_plan) return "the same plan run again";
  return a.known ? fmt::format("one {}", a.device) : group.front()->name;
}

// With the names where another group is of the same kind: "2 shards on one GPU (linear)".
std::string subject(const Group& group, const Verdict& verdict) {
  const auto kind_of_plan = [](const Candidate& c) { return kind(c.facts.arrangement, c.name); };
  const auto own = kind_of_plan(*group.front());
  std::size_t alike = 0;
  std::vector<std::string> names;
  for (const auto& candidate : verdict.candidates) alike += kind_of_plan(candidate) == own ? 1 : 0;
  if (alike == group.size() || group.size() > kNamed) return subject_of(group);
  for (const auto* candidate : group) names.push_back(candidate->name);
  return fmt::format("{} ({})", subject_of(group), listed(names, 3));
}

std::vector<Group> grouped(const Verdict& verdict, Outcome outcome) {
  std::vector<std::pair<std::string, Group>> groups;
  for (const auto& candidate : verdict.candidates) {
    if (kind_of(candidate) != outcome) continue;
    const auto key = kind(candidate.facts.arrangement, candidate.name);
    auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == key; });
    if (group == groups.end()) group = groups.insert(group, {key, {}});
    group->second.push_back(&candidate);
  }
  std::vector<Group> result;
  for (auto& [key, group] : groups) result.push_back(std::move(group));
  return result;
}

std::vector<std::string> names_of(const Group& group) {
  std::vector<std::string> names;
  for (const auto* candidate : group) names.push_back(candidate->name);
  return names;
}

const Candidate& worst_of(const Group& group) {
  return **std::max_element(group.begin(), group.end(), [](const auto* a, const auto* b) {
    return changed_share(*a) < changed_share(*b);
  });
}

std::int64_t prompts_of(const Candidate& candidate) {
  const auto changed = changed_answers(candidate);
  return changed ? changed->share.prompts : 0;
}

// Of each its own number, because they were compared on different prompts:
// "2 of 9 answers differ with tp2 and 3 of 12 with tp4"
std::string own_counts(const Group& group, const Verdict& verdict) {
  const auto of = [](const Candidate& c, const std::string& what) {
    const auto changed = changed_answers(c);
    if (prompts_of(c) < kCounted)
      return fmt::format("{} of {}{} with {}", c.facts.parted, prompts_of(c), what, c.name);
    return fmt::format("{}% of {}{} with {}", whole(changed->share.value), prompts_of(c), what, c.name);
  };
  const Candidate& worst = worst_of(group);
  const std::string differ = fmt::format(" answers {}differ", would(worst));
  if (group.size() > kNamed)
    return fmt::format("{}, {}; the others, compared on other prompts, have a smaller share{}",
                       subject(group, verdict), of(worst, differ), ties_clause(worst));
  std::vector<std::string> parts;
  for (const auto* c : group) parts.push_back(of(*c, parts.empty() ? differ : ""));
  Candidate all;
  for (const auto* c : group) {
    all.facts.parted_measured += c->facts.parted_measured;
    all.facts.parted_at_ties += c->facts.parted_at_ties;
  }
  return fmt::format("{}, {}{}", subject_of(group), listed(parts), ties_clause(all));
}

// "58% to 71% of answers differ; the most with tp2: 71% (61 to 80) by token 256"
std::string changed_clause(const Group& group, const Verdict& verdict) {
  const Candidate& worst = worst_of(group);
  if (group.size() == 1) return changed_clause(worst) + ties_clause(worst);
  const auto changed = changed_answers(worst);
  const auto other = [&](const Candidate* c) { return prompts_of(*c) != prompts_of(worst); };
  if (changed && std::any_of(group.begin(), group.end(), other)) return own_counts(group, verdict);
  double least = 1;
  for (const auto* c : group) least = std::min(least, changed_share(*c));
  const double most = changed_share(worst);
  std::string what = "of rows have another most likely token";
  std::string how_many =
      whole(least) == whole(most) ? whole(most) : fmt::format("{}% to {}", whole(least), whole(most));
  how_many += "%";
  std::string most_text = changed_clause(worst);
  if (changed && changed->share.prompts < kCounted) {
    const auto [few, many] =
        std::minmax_element(group.begin(), group.end(),
                            [](const auto* x, const auto* y) { return x->facts.parted < y->facts.parted; });
    what = fmt::format("answers {}differ", would(worst));
    how_many = (*few)->facts.parted == (*many)->facts.parted
                   ? fmt::format("{} of {}", (*many)->facts.parted, changed->share.prompts)
                   : fmt::format("{} to {} of {}", (*few)->facts.parted, (*many)->facts.parted,
                                 changed->share.prompts);
    most_text = fmt::format("{}, the earliest at token {}", worst.facts.parted, *worst.facts.earliest);
  } else if (changed) {
    what = fmt::format("of answers {}differ", would(worst));
    most_text = fmt::format("{}% ({} to {}) by token {}", whole(most), whole(changed->share.interval.low),
                            whole(changed->share.interval.high), changed->tokens);
  }
  return fmt::format("{}, {} {}; the most with {}: {}{}", subject(group, verdict), how_many, what, worst.name,
                     most_text, ties_clause(worst));
}

std::string changed_sentences(const Verdict& verdict) {
  auto groups = grouped(verdict, Outcome::changed);
  std::stable_sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
    return changed_share(worst_of(a)) > changed_share(worst_of(b));
  });
  std::string text;
  for (std::size_t i = 0; i < std::min(kGroups, groups.size()); ++i)
    text += groups[i].size() == 1 ? fmt::format(" With {}, {}.", subject(groups[i], verdict),
                                                changed_clause(groups[i], verdict))
                                  : fmt::format(" With {}.", changed_clause(groups[i], verdict));
  Group more;
  for (std::size_t i = kGroups; i < groups.size(); ++i)
    more.insert(more.end(), groups[i].begin(), groups[i].end());
  if (!more.empty())
    text += fmt::format(" {} {}, too.", listed(names_of(more), 3),
                        more.size() == 1 ? "changes answers" : "change answers");
  return text;
}

std::string subjects(const std::vector<Group>& groups, const Verdict& verdict) {
  std::vector<std::string> texts;
  for (const auto& group : groups) texts.push_back(subject(group, verdict));
  return listed(texts, 3);
}

std::int64_t fewest(const std::vector<Group>& groups) {
  std::int64_t least = groups.front().front()->statistics.prompts;
  for (const auto& group : groups)
    for (const auto* c : group) least = std::min(least, c->statistics.prompts);
  return least;
}

std::string unseen(std::int64_t prompts, const Verdict& verdict) {
  return fmt::format(" An effect that touches {} could go unseen.",
                     unseen_in(prompts, verdict.thresholds.bootstrap.confidence));
}

std::string capitalized(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

// Beside candidates that changed something.
std::string equal_sentence(const Verdict& verdict) {
  const auto groups = grouped(verdict, Outcome::equal);
  if (groups.empty()) return {};
  return fmt::format(" {}: the same to the bit in {}.", capitalized(subjects(groups, verdict)),
                     all_prompts(fewest(groups)));
}

std::string same_numbers_sentence(const Verdict& verdict) {
  const auto groups = grouped(verdict, Outcome::same_numbers);
  if (groups.empty()) return {};
  return fmt::format(" {}: the same numbers in {}, in another dtype.", capitalized(subjects(groups, verdict)),
                     all_prompts(fewest(groups)));
}

std::string same_text_sentence(const Verdict& verdict) {
  const auto groups = grouped(verdict, Outcome::same_text);
  if (groups.empty()) return {};
  return fmt::format(" {}: {} in {}, but other bits.", capitalized(subjects(groups, verdict)),
                     same_text(*groups.front().front()), all_prompts(fewest(groups)));
}

std::string open_sentence(const Verdict& verdict) {
  std::string text;
  const auto add = [&](Outcome outcome, const char* one, const char* several) {
    Group all;
    for (const auto& group : grouped(verdict, outcome)) all.insert(all.end(), group.begin(), group.end());
    if (!all.empty()) text += fmt::format(" {}: {}.", listed(names_of(all)), all.size() == 1 ? one : several);
  };
  add(Outcome::open, "no difference as far as compared, but its record does not have everything",
      "no difference as far as compared, but their records do not have everything");
  add(Outcome::so_far, "the same choices as far as compared, but other bits, and not every row has its like",
      "the same choices as far as compared, but other bits, and not every row has its like");
  add(Outcome::nothing, "nothing could be compared", "nothing could be compared");
  Group partial;
  for (const auto& c : verdict.candidates)
    if (!c.facts.complete && (kind_of(c) < Outcome::nothing || kind_of(c) == Outcome::same_text))
      partial.push_back(&c);
  if (!partial.empty())
    text += fmt::format(" {}: compared as far as a partial record goes.", listed(names_of(partial)));
  return text;
}

std::string broken_sentence(const Verdict& verdict) {
  std::string text;
  std::vector<std::string> names;
  for (const auto& c : verdict.candidates)
    if (c.facts.without_value > 0)
      names.push_back(fmt::format("{} ({})", c.name, counted(c.facts.without_value, "row")));
  return names.empty() ? "" : fmt::format(" NaN or infinite logits: {}.", listed(names));
}

// "tp4 (predicted)", where the sentence says it.
std::string without_suffix(const std::string& name) {
  constexpr std::string_view kSuffix = " (predicted)";
  return name.ends_with(kSuffix) && name.size() > kSuffix.size()
             ? name.substr(0, name.size() - kSuffix.size())
             : name;
}

std::string predicted_sentence(const Verdict& verdict) {
  std::vector<std::string> names;
  for (const auto& c : verdict.candidates)
    if (c.facts.arrangement.predicted) names.push_back(without_suffix(c.name));
  return names.empty() ? "" : fmt::format(" Predicted on fewer devices, not run: {}.", listed(names));
}

// "Not judged: tp4, interrupted; tp2 and tp3, not run yet."
std::string not_judged_sentence(const Verdict& verdict) {
  if (verdict.not_judged.empty()) return {};
  std::vector<std::pair<std::string, std::vector<std::string>>> reasons;
  for (const auto& one : verdict.not_judged) {
    auto at = std::find_if(reasons.begin(), reasons.end(), [&](const auto& r) { return r.first == one.why; });
    if (at == reasons.end()) at = reasons.insert(at, {one.why, {}});
    at->second.push_back(one.name);
  }
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < std::min(kReasons, reasons.size()); ++i) {
    const auto& [why, names] = reasons[i];
    parts.push_back(listed(names) + (why.size() > kReasonLetters ? " (see below)" : ", " + why));
  }
  std::vector<std::string> more;
  for (std::size_t i = kReasons; i < reasons.size(); ++i)
    more.insert(more.end(), reasons[i].second.begin(), reasons[i].second.end());
  if (!more.empty()) parts.push_back(listed(more));
  return fmt::format(" Not judged: {}.", fmt::join(parts, "; "));
}

// Where nothing changed: the first words.
std::string yes_sentence(const Verdict& verdict) {
  const bool all = verdict.not_judged.empty();
  const auto equal = grouped(verdict, Outcome::equal);
  const auto numbers = grouped(verdict, Outcome::same_numbers);
  const auto same = grouped(verdict, Outcome::same_text);
  if (!same.empty()) {
    const auto& c = *same.front().front();
    std::string text =
        fmt::format("Yes as far as {}: {} in {} with {}, but other bits.", all ? "seen" : "run and seen",
                    same_text(c), all_prompts(fewest(same)), subjects(same, verdict));
    if (c.statistics.rows_measured == 0) text += " Logits were not recorded.";
    return text + same_numbers_sentence(verdict) + equal_sentence(verdict) + unseen(fewest(same), verdict);
  }
  if (!numbers.empty())
    return fmt::format("Yes, to the number{}: the same logits in {} with {}, in another dtype.{}{}",
                       all ? "" : " for what was compared", all_prompts(fewest(numbers)),
                       subjects(numbers, verdict), equal_sentence(verdict), unseen(fewest(numbers), verdict));
  if (!equal.empty()) {
    const bool open = !grouped(verdict, Outcome::open).empty() || !grouped(verdict, Outcome::nothing).empty();
    return fmt::format("Yes, to the bit,{} in {}: with {}.{}", all && !open ? "" : " for what was compared",
                       all_prompts(fewest(equal)), subjects(equal, verdict), unseen(fewest(equal), verdict));
  }
  return "Not known yet.";
}

// " By mean KL, tp4 moves this model 3.1 times (2.2 to 4.4) as much as int8 does, the nearest of int8 and
// nf4." Of the candidate that diverges most; nothing where it or every yardstick moved nothing.
std::string yardstick_sentence(const Verdict& verdict) {
  const auto has_ratio = [](const statistics::Ratio& one) {
    return std::isfinite(one.ratio.value) && one.ratio.value > 0;
  };
  const Candidate* most = nullptr;
  for (const auto& c : verdict.candidates) {
    const bool measured = std::any_of(c.yardsticks.begin(), c.yardsticks.end(), has_ratio);
    if (measured && (most == nullptr || c.divergence > most->divergence)) most = &c;
  }
  if (most == nullptr) return {};
  const auto farness = [&](const statistics::Ratio& one) {
    return has_ratio(one) ? std::abs(std::log(one.ratio.value)) : std::numeric_limits<double>::infinity();
  };
  const auto nearest =
      std::min_element(most->yardsticks.begin(), most->yardsticks.end(),
                       [&](const auto& a, const auto& b) { return farness(a) < farness(b); });
  const statistics::Estimate& ratio = nearest->ratio;
  const bool ranged = ratio.method != statistics::IntervalMethod::none && std::isfinite(ratio.interval.low) &&
                      std::isfinite(ratio.interval.high);
  return fmt::format(
      " By mean KL, {} moves this model {:.3g} times{} as much as {} does{}.", most->name, ratio.value,
      ranged ? fmt::format(" ({:.3g} to {:.3g})", ratio.interval.low, ratio.interval.high) : "",
      verdict.yardsticks[static_cast<std::size_t>(nearest - most->yardsticks.begin())],
      verdict.yardsticks.size() < 2
          ? ""
          : fmt::format(", the nearest of {}", listed(verdict.yardsticks, verdict.yardsticks.size())));
}

}  // namespace

std::string answer_of(const Verdict& verdict) {
  const auto any = [&](Outcome outcome) { return !grouped(verdict, outcome).empty(); };
  std::string text;
  if (verdict.candidates.empty()) {
    text = "Nothing was compared.";
  } else if (any(Outcome::changed) || any(Outcome::broken)) {
    text = "No." + broken_sentence(verdict) + changed_sentences(verdict) + equal_sentence(verdict) +
           same_numbers_sentence(verdict) + same_text_sentence(verdict);
  } else {
    text = yes_sentence(verdict);
  }
  return text + open_sentence(verdict) + yardstick_sentence(verdict) + predicted_sentence(verdict) +
         not_judged_sentence(verdict);
}

}  // namespace shardrift::verdict
