#include "foreign/openai_answer.hpp"

#include <cmath>

#include "common/json_file.hpp"
#include "common/text.hpp"

namespace shardrift::foreign {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMostIds = std::int64_t{1} << 31;
constexpr const char* kAskForIds =
    "give --model DIR, whose tokenizer knows texts, or ask the server for ids (vLLM: "
    "\"return_tokens_as_token_ids\": "
    "true)";

double log_probability(const JsonObject& object, const char* key, const Json& value) {
  if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() > 1e-3)
    throw object.wrong(key, value, "a log-probability, at most 0, is expected");
  return value.get<double>();
}

std::int32_t required_id(const JsonObject& object, const char* key, const Json& text,
                         const TokenTexts& texts) {
  if (const auto id = texts.id_of(object.text_of(key, text))) return *id;
  throw object.wrong(key, text, fmt::format("no token of the tokenizer's: {}", kAskForIds));
}

std::optional<std::vector<std::int32_t>> ids_of(const JsonObject& object, const char* key) {
  if (object.get(key) == nullptr) return std::nullopt;
  std::vector<std::int32_t> ids;
  for (const auto& item : object.list(key))
    ids.push_back(static_cast<std::int32_t>(object.integer_of(key, item, 0, kMostIds - 1)));
  return ids;
}

// A row's most likely token has to be known; others may be cut.
void add_top(const JsonObject& object, const char* key, const Json& text, double value,
             const TokenTexts& texts, bool first, Place& place, Answer& answer) {
  if (const auto id = texts.id_of(object.text_of(key, text)))
    place.top.push_back({*id, value});
  else if (first)
    throw object.wrong(key, text,
                       fmt::format("the most likely token has to be one of the tokenizer's: {}", kAskForIds));
  else
    ++answer.dropped;
}

// llama.cpp's beside the text, which a text of "token_id:…" may not contradict.
std::optional<std::int32_t> own_id(const JsonObject& entry, const TokenTexts& texts) {
  const auto* given = entry.get("id");
  if (given == nullptr) return std::nullopt;
  const auto id = static_cast<std::int32_t>(entry.integer_of("id", *given, 0, kMostIds - 1));
  if (const auto text = entry.text("token", ""); TokenTexts::says_id(text) && texts.id_of(text) != id)
    throw entry.wrong("id", *given, fmt::format("its token says {}: which is right?", shown(text)));
  return id;
}

void add_alone(Place& place, Answer& answer) {
  place.top.push_back({place.token, *place.own});
  ++answer.alone;
}

// The generated token of a place: the server's list of ids, which a text of "token_id:…" may not contradict
// (other texts are cut and trimmed by servers as they like), or what the text says.
std::int32_t token_at(const JsonObject& object, const char* key, const Json& text,
                      const std::optional<std::vector<std::int32_t>>& ids, std::size_t place,
                      const TokenTexts& texts) {
  if (!ids) return required_id(object, key, text, texts);
  const auto id = (*ids)[place];
  if (text.is_string() && TokenTexts::says_id(text.get_ref<const std::string&>()) &&
      texts.id_of(text.get_ref<const std::string&>()) != id)
    throw object.wrong(key, text,
                       fmt::format("generated token {} is {} in token_ids: which is right?", place, id));
  return id;
}

// {text: log-probability}
void add_map(const JsonObject& object, const char* key, const Json& map, const TokenTexts& texts,
             Place& place, Answer& answer) {
  if (!map.is_object()) throw object.wrong(key, map, "an object of log-probabilities by token is expected");
  double most = -std::numeric_limits<double>::infinity();
  for (const auto& [text, value] : map.items()) most = std::max(most, log_probability(object, key, value));
  for (const auto& [text, value] : map.items())
    add_top(object, key, text, value.get<double>(), texts, value.get<double>() == most, place, answer);
}

void read_completion(const JsonObject& logprobs, const TokenTexts& texts,
                     const std::optional<std::vector<std::int32_t>>& ids, Answer& answer) {
  const auto& tokens = logprobs.list("tokens");
  const auto& values = logprobs.list("token_logprobs", tokens.size(), tokens.size());
  const auto* top = logprobs.get("top_logprobs");
  if (top != nullptr && (!top->is_array() || top->size() != tokens.size()))
    throw logprobs.wrong("top_logprobs", *top,
                         fmt::format("a list of {}, as tokens, is expected", tokens.size()));
  if (ids && ids->size() != tokens.size())
    throw logprobs.wrong("tokens", tokens,
                         fmt::format("token_ids has {}, this list {}", ids->size(), tokens.size()));
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (values[i].is_null())
      throw logprobs.wrong(
          "token_logprobs", values[i],
          "a token without a log-probability: ask for the answer alone (\"echo\": false; vLLM gives "
          "the prompt's by prompt_logprobs)");
    Place place;
    place.token = token_at(logprobs, "tokens", tokens[i], ids, i, texts);
    place.own = log_probability(logprobs, "token_logprobs", values[i]);
    if (top != nullptr && !(*top)[i].is_null())
      add_map(logprobs, "top_logprobs", (*top)[i], texts, place, answer);
    else
      add_alone(place, answer);
    answer.generated.push_back(std::move(place));
  }
}

// vLLM's: one entry a token of the prompt, the first null; keys are ids. A token that is not among the k most
// likely stands behind them with its own rank.
void read_prompt_logprobs(const JsonObject& object, Answer& answer) {
  const auto* list = object.get("prompt_logprobs");
  if (list == nullptr) return;
  if (!list->is_array() || list->empty() || !(*list)[0].is_null())
    throw object.wrong("prompt_logprobs", *list, "a list whose first entry is null is expected");
  if (answer.prompt && answer.prompt->size() != list->size())
    throw object.wrong(
        "prompt_logprobs", *list,
        fmt::format("the prompt has {} tokens, this list {}", answer.prompt->size(), list->size()));
  for (std::size_t i = 1; i < list->size(); ++i) {
    const auto& entry = (*list)[i];
    const std::string where = fmt::format("{}: prompt_logprobs[{}]", object.where(), i);
    if (!entry.is_object() || entry.empty())
      throw bad_data("{} is {}; an object of ids is expected", where, shown(entry));
    Place place;
    if (answer.prompt) place.token = (*answer.prompt)[i];
    for (const auto& [key, value] : entry.items()) {
      const auto id = number_from<std::int32_t>(key);
      if (!id || *id < 0) throw bad_data("{}: key {} is no token id", where, shown(key));
      const JsonObject one(value, where + " of token " + key);
      const auto rank = one.integer("rank", 1, kMostIds, 1);
      if (rank > static_cast<std::int64_t>(entry.size())) continue;  // not among the most likely, only there
      place.top.push_back({*id, log_probability(one, "logprob", one.required("logprob"))});
    }
    if (place.top.empty()) throw bad_data("{} is {}: it has no most likely token", where, shown(entry));
    answer.given.push_back(std::move(place));
  }
}

}  // namespace

void read_entries(const JsonObject& holder, const char* key, const TokenTexts& texts,
                  const std::optional<std::vector<std::int32_t>>& ids, Answer& answer) {
  const auto content = holder.objects(key);
  if (ids && ids->size() != content.size())
    throw holder.wrong(key, *holder.get(key),
                       fmt::format("token_ids has {}, this list {}", ids->size(), content.size()));
  for (const auto& one : content) {
    Place place;
    const auto& own = one.required("logprob");
    const auto id = own_id(one, texts);
    answer.with_ids = answer.with_ids || id;
    place.token =
        id ? *id : token_at(one, "token", one.required("token"), ids, answer.generated.size(), texts);
    if (id && ids && *id != (*ids)[answer.generated.size()])
      throw one.wrong("id", *one.get("id"),
                      fmt::format("generated token {} is {} in token_ids: which is right?",
                                  answer.generated.size(), (*ids)[answer.generated.size()]));
    place.own = log_probability(one, "logprob", own);
    const auto* top = one.get("top_logprobs");
    if (top == nullptr || !top->is_array() || top->empty()) {
      add_alone(place, answer);
    } else {
      for (const auto& likely : one.objects("top_logprobs")) {
        const double value = log_probability(likely, "logprob", likely.required("logprob"));
        if (const auto likely_id = own_id(likely, texts))
          place.top.push_back({*likely_id, value});
        else
          add_top(likely, "token", likely.required("token"), value, texts, place.top.empty(), place, answer);
      }
    }
    answer.generated.push_back(std::move(place));
  }
}

void keep_known(Answer& answer, std::int64_t made, const std::vector<std::int32_t>& tokens) {
  const auto said = answer.generated.size();
  std::size_t known = 0;
  while (known < std::min(said, tokens.size()) && answer.generated[known].token == tokens[known]) ++known;
  if (static_cast<std::int64_t>(said) == made) {
    if (tokens.empty() || (known == said && tokens.size() == said)) return;
    throw bad_data(
        "{}: its list of {} tokens has others than its log-probabilities, from token {} on: which is right?",
        answer.where, tokens.size(), known);
  }
  answer.generated.resize(known);
  answer.stop.clear();
  answer.incomplete =
      known > 0 ? fmt::format(
                      "the server says nothing of {} of {} tokens, which end within a character: kept up "
                      "to the first of them, token {}",
                      made - static_cast<std::int64_t>(said), made, known)
                : fmt::format(
                      "the server has {} tokens, and log-probabilities of {}: which ones are missing is "
                      "not known (llama-server's /completion: \"return_tokens\": true)",
                      made, said);
}

bool is_openai(const JsonObject& response) {
  return response.has("choices");
}

Answer read_openai(const JsonObject& response, const TokenTexts& texts) {
  Answer answer;
  answer.where = response.where();
  const auto choices = response.objects("choices");
  if (choices.size() != 1)
    throw response.wrong("choices", *response.get("choices"),
                         "one is expected: ask for \"n\": 1, and one prompt a request");
  const auto& choice = choices.front();
  answer.prompt = ids_of(choice, "prompt_token_ids");
  if (!answer.prompt) answer.prompt = ids_of(response, "prompt_token_ids");
  read_prompt_logprobs(choice, answer);
  if (answer.given.empty()) read_prompt_logprobs(response, answer);
  if (const auto reason = choice.text("finish_reason", ""); reason == "stop")
    answer.stop = "eos";
  else if (reason == "length")
    answer.stop = "length";
  const auto logprobs = choice.object("logprobs");
  if (!logprobs && answer.given.empty())
    throw choice.wrong("logprobs", Json(nullptr),
                       "ask the server for them (completions: \"logprobs\": 20; chat: \"logprobs\": true, "
                       "\"top_logprobs\": 20)");
  if (!logprobs) return answer;
  const auto ids = ids_of(choice, "token_ids");
  if (logprobs->get("content") != nullptr)
    read_entries(*logprobs, "content", texts, ids, answer);
  else
    read_completion(*logprobs, texts, ids, answer);
  const auto usage = response.object("usage");
  if (usage && usage->has("prompt_tokens")) answer.fed = usage->integer("prompt_tokens", 0, kMostIds);
  const auto made = usage ? usage->integer("completion_tokens", 0, kMostIds, 0) : 0;
  const auto said = static_cast<std::int64_t>(answer.generated.size());
  if (made > said + 1 || (made > said && answer.with_ids)) keep_known(answer, made, {});  // one may be an end
  return answer;
}

}  // namespace shardrift::foreign
