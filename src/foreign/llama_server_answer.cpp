#include "foreign/llama_server_answer.hpp"

#include "foreign/openai_answer.hpp"

namespace shardrift::foreign {
namespace {

constexpr std::int64_t kMost = (std::int64_t{1} << 31) - 1;

}  // namespace

bool is_llama_server(const JsonObject& response) {
  return response.has("tokens_predicted") || response.has("completion_probabilities");
}

Answer read_llama_server(const JsonObject& response, const TokenTexts& texts) {
  Answer answer;
  answer.where = response.where();
  if (const auto reason = response.text("stop_type", ""); reason == "eos")
    answer.stop = "eos";
  else if (reason == "limit")
    answer.stop = "length";
  if (response.get("completion_probabilities") == nullptr)
    throw response.wrong("completion_probabilities", nullptr, "ask the server for them (\"n_probs\": 20)");
  for (const auto& one : response.objects("completion_probabilities"))
    if (one.has("prob") && !one.has("logprob"))
      throw one.wrong(
          "prob", one.required("prob"),
          "a probability after sampling: ask for log-probabilities (\"post_sampling_probs\": false)");
  read_entries(response, "completion_probabilities", texts, std::nullopt, answer);
  if (response.has("tokens_evaluated")) answer.fed = response.integer("tokens_evaluated", 0, kMost);
  if (response.has("truncated") && response.flag("truncated"))
    throw response.wrong("truncated", true, "the server cut the prompt: give it a larger context (-c)");
  std::vector<std::int32_t> tokens;
  if (response.has("tokens"))
    for (const auto& token : response.list("tokens"))
      tokens.push_back(static_cast<std::int32_t>(response.integer_of("tokens", token, 0, kMost)));
  const auto said = static_cast<std::int64_t>(answer.generated.size());
  keep_known(answer, response.integer("tokens_predicted", 0, kMost, said), tokens);
  return answer;
}

}  // namespace shardrift::foreign
