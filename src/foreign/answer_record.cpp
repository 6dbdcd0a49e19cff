#include "foreign/answer_record.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "common/error.hpp"

namespace shardrift::foreign {
namespace {

// Servers give some digits of what 16 bits held.
constexpr double kRounding = 0.01;

bool same_but_for_rounding(double a, double b) {
  return std::abs(a - b) <= kRounding * std::max({1.0, std::abs(a), std::abs(b)});
}

// Distinct tokens of the vocabulary, whose probabilities are parts of one.
void check_list(const std::vector<Candidate>& top, std::int64_t vocabulary, const std::string& where) {
  if (top.empty())
    throw bad_data("{}: its list of the most likely tokens is empty: ask the server for them again", where);
  std::set<std::int32_t> ids;
  double sum = 0;
  for (const auto& one : top) {
    if (one.id < 0 || one.id >= vocabulary)
      throw bad_data("{}: token {} among the most likely: the vocabulary has {}", where, one.id, vocabulary);
    if (!ids.insert(one.id).second)
      throw bad_data(
          "{}: token {} is there twice among the most likely (texts that two tokens have? ask for ids)",
          where, one.id);
    sum += std::exp(one.log_probability);
  }
  if (sum > 1 + kRounding)
    throw bad_data(
        "{}: the probabilities of its list sum to {:.3g}, more than 1: natural logarithms of probabilities "
        "are expected",
        where, sum);
}

// The token beside its list: where both say its log-probability, they say the same; where it is as likely as
// the most likely one and not in the list, as of k equals the k-th and further may be, it belongs there.
void add_own(const Place& place, const std::string& where, std::vector<Candidate>& top) {
  if (!place.own) return;
  const auto listed =
      std::find_if(top.begin(), top.end(), [&](const auto& one) { return one.id == place.token; });
  if (listed != top.end()) {
    if (!same_but_for_rounding(listed->log_probability, *place.own))
      throw bad_data(
          "{}: token {} has log-probability {}, but {} in the list of the most likely there: which is right?",
          where, place.token, *place.own, listed->log_probability);
    return;
  }
  const auto most = std::max_element(top.begin(), top.end(), [](const auto& a, const auto& b) {
    return a.log_probability < b.log_probability;
  });
  if (*place.own < most->log_probability) return;
  if (!same_but_for_rounding(*place.own, most->log_probability))
    throw bad_data(
        "{}: token {} has log-probability {}, more than all in the list of the most likely there, up to {}, "
        "which lacks it: which is right?",
        where, place.token, *place.own, most->log_probability);
  top.push_back({place.token, most->log_probability});
}

// Most likely first, lowest id first at ties. where: "answers.jsonl line 3: generated token 1"
std::vector<Candidate> sorted(const Place& place, std::int64_t vocabulary, const std::string& where) {
  auto top = place.top;
  check_list(top, vocabulary, where);
  add_own(place, where, top);
  std::sort(top.begin(), top.end(), [](const Candidate& a, const Candidate& b) {
    return a.log_probability != b.log_probability ? a.log_probability > b.log_probability : a.id < b.id;
  });
  return top;
}

// Of a row's list, without a token that stands behind the most likely only because it was sampled.
std::size_t most_likely_in(const Place& place) {
  const auto least = std::min_element(place.top.begin(), place.top.end(), [](const auto& a, const auto& b) {
    return a.log_probability < b.log_probability;
  });
  const bool appended = place.top.size() > 1 && least->id == place.token;
  return place.top.size() - (appended ? 1 : 0);
}

std::string name_of_given(std::size_t place) {
  return fmt::format("the prompt's token {}", place + 1);
}

std::string name_of_generated(std::size_t place) {
  return fmt::format("generated token {}", place);
}

// Of several most likely ones the one that was generated comes first: the engine chose it.
void put_first(std::int32_t made, std::vector<Candidate>& top) {
  const auto most = top.front().log_probability;
  const auto found = std::find_if(top.begin(), top.end(), [&](const Candidate& one) {
    return one.id == made && one.log_probability == most;
  });
  if (found != top.end()) std::rotate(top.begin(), found, found + 1);
}

}  // namespace

ForeignPrompt prompt_of_answer(const Answer& answer, std::int64_t vocabulary, bool prompt_rows) {
  const auto& tokens = *answer.prompt;
  check_tokens(tokens, vocabulary, answer.where, "the prompt");
  if (tokens.empty()) throw bad_data("{}: the prompt has no tokens", answer.where);
  if (!answer.given.empty() && answer.given.size() + 1 != tokens.size())
    throw bad_data(
        "{}: log-probabilities of {} tokens of the prompt, which has {}: all but the first are expected",
        answer.where, answer.given.size(), tokens.size());
  std::vector<std::int32_t> made;
  for (const auto& place : answer.generated) made.push_back(place.token);
  check_tokens(made, vocabulary, answer.where, "the answer");
  std::vector<std::int32_t> fed;
  std::vector<std::vector<Candidate>> tops;
  const auto add = [&](std::int32_t token, const Place& place, const std::string& name) {
    fed.push_back(token);
    tops.push_back(sorted(place, vocabulary, fmt::format("{}: {}", answer.where, name)));
  };
  const std::size_t given = prompt_rows ? answer.given.size() : 0;
  for (std::size_t i = 0; i < given; ++i) add(tokens[i], answer.given[i], name_of_given(i));
  for (std::size_t i = 0; i < answer.generated.size(); ++i)
    add(i == 0 ? tokens.back() : answer.generated[i - 1].token, answer.generated[i], name_of_generated(i));
  if (tops.empty()) throw bad_data("{}: no token has log-probabilities", answer.where);

  std::size_t k = std::numeric_limits<std::size_t>::max();
  for (const auto& top : tops) k = std::min(k, top.size());
  ForeignPrompt prompt;
  prompt.where = answer.where;
  auto& record = prompt.record;
  record.prompt.tokens = tokens;
  record.prompt.source = "tokens";
  record.stop = answer.generated.empty() ? "given" : answer.stop;
  record.rows = rows_of(fed, given == 0 ? static_cast<std::int64_t>(tokens.size()) - 1 : 0);
  if (!answer.generated.empty()) prompt.last = answer.generated.back().token;
  record.top.k = static_cast<std::int64_t>(k);
  for (std::size_t i = 0; i < tops.size(); ++i) {
    if (i >= given) put_first(answer.generated[i - given].token, tops[i]);
    record.rows[i].chosen = tops[i].front().id;
    for (std::size_t j = 0; j < k; ++j) {
      record.top.ids.push_back(tops[i][j].id);
      record.top.log_probabilities.push_back(static_cast<float>(tops[i][j].log_probability));
    }
  }
  return prompt;
}

std::optional<std::string> cut_lists(const Answer& answer, bool prompt_rows) {
  const Place* shortest = nullptr;
  std::string name;
  std::size_t longest = 0;
  const auto look = [&](const std::vector<Place>& places, auto&& name_of) {
    for (std::size_t i = 0; i < places.size(); ++i) {
      longest = std::max(longest, most_likely_in(places[i]));
      if (shortest != nullptr && places[i].top.size() >= shortest->top.size()) continue;
      shortest = &places[i];
      name = name_of(i);
    }
  };
  if (prompt_rows) look(answer.given, name_of_given);
  look(answer.generated, name_of_generated);
  if (shortest == nullptr || shortest->top.size() >= longest) return std::nullopt;
  return fmt::format("the list of {} has {} of the most likely tokens, others up to {}", name,
                     shortest->top.size(), longest);
}

}  // namespace shardrift::foreign
