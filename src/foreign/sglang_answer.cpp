#include "foreign/sglang_answer.hpp"

#include <cmath>

namespace shardrift::foreign {
namespace {

using Json = nlohmann::json;

constexpr const char* kInput = "input_token_logprobs";
constexpr const char* kOutput = "output_token_logprobs";
constexpr std::int64_t kHighestId = (std::int64_t{1} << 31) - 1;

// [log-probability, id, text or null]
std::int32_t id_in(const JsonObject& object, const char* key, const Json& entry) {
  if (!entry.is_array() || entry.size() < 2)
    throw object.wrong(key, entry, "[log-probability, token id, text] is expected");
  return static_cast<std::int32_t>(object.integer_of(key, entry[1], 0, kHighestId));
}

Candidate candidate_in(const JsonObject& object, const char* key, const Json& entry) {
  const auto id = id_in(object, key, entry);
  if (!entry[0].is_number() || !std::isfinite(entry[0].get<double>()) || entry[0].get<double>() > 1e-3)
    throw object.wrong(key, entry, "a log-probability, at most 0, is expected first");
  return {id, entry[0].get<double>()};
}

// Entries [first, …) of both lists as places; without a list of the most likely the token alone, counted.
std::vector<Place> places(const JsonObject& meta, const char* tokens_key, const char* top_key,
                          std::size_t first, std::int64_t& alone) {
  const auto& tokens = meta.list(tokens_key);
  const auto* top = meta.get(top_key);
  if (top != nullptr && (!top->is_array() || top->size() != tokens.size()))
    throw meta.wrong(top_key, *top,
                     fmt::format("a list of {}, as {}, is expected", tokens.size(), tokens_key));
  std::vector<Place> all;
  for (std::size_t i = first; i < tokens.size(); ++i) {
    Place place;
    place.token = id_in(meta, tokens_key, tokens[i]);
    if (top == nullptr || (*top)[i].is_null() || (*top)[i].empty()) {
      place.top.push_back(candidate_in(meta, tokens_key, tokens[i]));
      ++alone;
    } else {
      if (!(*top)[i].is_array()) throw meta.wrong(top_key, (*top)[i], "a list is expected");
      for (const auto& entry : (*top)[i]) place.top.push_back(candidate_in(meta, top_key, entry));
    }
    all.push_back(std::move(place));
  }
  return all;
}

// The ids beside the text, where there are as many, are those of the log-probabilities.
void check_output_ids(const JsonObject& response, const std::vector<Place>& generated) {
  const auto* ids = response.get("output_ids");
  if (ids == nullptr || !ids->is_array() || ids->size() != generated.size()) return;
  for (std::size_t i = 0; i < generated.size(); ++i)
    if ((*ids)[i] != generated[i].token)
      throw response.wrong("output_ids", (*ids)[i],
                           fmt::format("generated token {} is {} in output_token_logprobs: which is right?",
                                       i, generated[i].token));
}

}  // namespace

bool is_sglang(const JsonObject& response) {
  return response.has("meta_info");
}

Answer read_sglang(const JsonObject& response) {
  Answer answer;
  answer.where = response.where();
  const auto meta = response.required_object("meta_info");
  if (meta.get(kOutput) == nullptr)
    throw bad_data(
        "{}: output_token_logprobs is missing: ask for \"return_logprob\": true, \"top_logprobs_num\": 20",
        meta.where());
  answer.generated = places(meta, kOutput, "output_top_logprobs", 0, answer.alone);
  for (std::size_t i = 0; i < answer.generated.size(); ++i)
    if (const auto& entry = meta.list(kOutput)[i]; !entry[0].is_null())
      answer.generated[i].own = candidate_in(meta, kOutput, entry).log_probability;
  check_output_ids(response, answer.generated);
  // Of the whole prompt from logprob_start_len 0 on; without it, of the last token or of none.
  const auto prompt_tokens = meta.integer("prompt_tokens", 0, kHighestId, 0);
  const auto* input = meta.get(kInput);
  const auto listed = input != nullptr && input->is_array() ? static_cast<std::int64_t>(input->size()) : 0;
  if (prompt_tokens > 0 && listed > prompt_tokens)
    throw meta.wrong(
        kInput, *input,
        fmt::format("at most {} are expected, as prompt_tokens says: is the answer whole, and of one prompt?",
                    prompt_tokens));
  if (prompt_tokens > 0 && listed == prompt_tokens) {
    answer.prompt.emplace();
    for (const auto& entry : *input) answer.prompt->push_back(id_in(meta, kInput, entry));
    answer.given = places(meta, kInput, "input_top_logprobs", 1, answer.given_alone);
  } else if (listed > 1) {
    answer.part_of_prompt = fmt::format(
        "{} has {} tokens, the prompt {}", kInput, listed,
        prompt_tokens > 0 ? std::to_string(prompt_tokens) : "a number that prompt_tokens does not say");
  }
  if (const auto reason = meta.object("finish_reason")) {
    const auto type = reason->text("type", "");
    answer.stop = type == "stop" ? "eos" : type == "length" ? "length" : "";
  }
  return answer;
}

}  // namespace shardrift::foreign
