#include "foreign/answer_record.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include "common/error.hpp"

namespace shardrift::foreign {
namespace {

// Most likely first, lowest id first at ties.
std::vector<Candidate> sorted(const Place& place, std::int64_t vocabulary, const std::string& where,
                              std::size_t row) {
  auto top = place.top;
  if (top.empty())
    throw bad_data("{}: place {}: its list of the most likely tokens is empty: ask the server for them again",
                   where, row);
  std::set<std::int32_t> ids;
  for (const auto& one : top) {
    if (one.id < 0 || one.id >= vocabulary)
      throw bad_data("{}: place {}: token {} among the most likely: the vocabulary has {}", where, row,
                     one.id, vocabulary);
    if (!ids.insert(one.id).second)
      throw bad_data(
          "{}: place {}: token {} is there twice among the most likely (texts that two tokens have? ask for "
          "ids)",
          where, row, one.id);
  }
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
  std::vector<std::int32_t> fed;
  std::vector<std::vector<Candidate>> tops;
  const auto add = [&](std::int32_t token, const Place& place) {
    fed.push_back(token);
    tops.push_back(sorted(place, vocabulary, answer.where, tops.size()));
  };
  const std::size_t given = prompt_rows ? answer.given.size() : 0;
  for (std::size_t i = 0; i < given; ++i) add(tokens[i], answer.given[i]);
  for (std::size_t i = 0; i < answer.generated.size(); ++i)
    add(i == 0 ? tokens.back() : answer.generated[i - 1].token, answer.generated[i]);
  if (tops.empty()) throw bad_data("{}: no token has log-probabilities", answer.where);
  check_tokens(fed, vocabulary, answer.where, "the answer");

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
  const auto look = [&](const std::vector<Place>& places, const char* what, std::size_t first) {
    for (std::size_t i = 0; i < places.size(); ++i) {
      longest = std::max(longest, most_likely_in(places[i]));
      if (shortest != nullptr && places[i].top.size() >= shortest->top.size()) continue;
      shortest = &places[i];
      name = fmt::format("{} token {}", what, first + i);
    }
  };
  if (prompt_rows) look(answer.given, "the prompt's", 1);
  look(answer.generated, "generated", 0);
  if (shortest == nullptr || shortest->top.size() >= longest) return std::nullopt;
  return fmt::format("the list of {} has {} of the most likely tokens, others up to {}", name,
                     shortest->top.size(), longest);
}

}  // namespace shardrift::foreign
