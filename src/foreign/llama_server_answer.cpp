#include "foreign/llama_server_answer.hpp"

#include "foreign/openai_answer.hpp"

namespace shardrift::foreign {

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
  if (!response.has("completion_probabilities"))
    throw response.wrong("completion_probabilities", nullptr, "ask the server for them (\"n_probs\": 20)");
  for (const auto& one : response.objects("completion_probabilities"))
    if (one.has("prob") && !one.has("logprob"))
      throw one.wrong(
          "prob", one.required("prob"),
          "a probability after sampling: ask for log-probabilities (\"post_sampling_probs\": false)");
  read_entries(response, "completion_probabilities", texts, std::nullopt, answer);
  return answer;
}

}  // namespace shardrift::foreign
