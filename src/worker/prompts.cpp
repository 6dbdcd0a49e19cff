#include "worker/prompts.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/error.hpp"
#include "prompts/prompts_file.hpp"
#include "record/reader.hpp"
#include "tokenizer/tokenizer.hpp"
#include "weights/model_files.hpp"

namespace shardrift {
using nlohmann::json;
namespace {

std::vector<std::int32_t> encoded(const GivenPrompt& given, const ModelConfig& config,
                                  const Tokenizer& tokenizer) {
  auto tokens = tokenizer.encode(*given.text, given.special_tokens);
  for (const auto token : tokens)
    if (token >= config.vocabulary)
      throw bad_data("{}: the tokenizer gives token {}, the model's vocabulary ends at {}", given.where,
                     token, config.vocabulary);
  if (tokens.empty()) throw bad_data("{}: prompt '{}' is empty", given.where, given.id);
  return tokens;
}

std::vector<std::string> strings_of(const Tokenizer& tokenizer, const ModelConfig& config) {
  std::vector<std::string> strings;
  for (std::int64_t id = 0; id < config.vocabulary; ++id)
    strings.push_back(id < tokenizer.size() ? tokenizer.token_text(static_cast<std::int32_t>(id))
                                            : std::string());
  return strings;
}

}  // namespace

GivenJobs read_prompts(const std::filesystem::path& path, const std::filesystem::path& model,
                       const ModelConfig& config) {
  const auto file = read_prompts_file(path);
  const auto encoded_with = tokenizer_file(model);
  check_prompts(file, config.vocabulary, !encoded_with.empty());
  GivenJobs all;
  std::optional<Tokenizer> tokenizer;
  if (std::any_of(file.prompts.begin(), file.prompts.end(),
                  [](const GivenPrompt& given) { return given.text.has_value(); })) {
    tokenizer = Tokenizer::open(encoded_with);
    all.vocab = strings_of(*tokenizer, config);
    all.notes = tokenizer->notes();
  }
  for (const auto& given : file.prompts) {
    Job job;
    job.prompt.id = given.id;
    job.prompt.index = static_cast<std::int64_t>(all.jobs.size());
    job.prompt.text = given.text.value_or("");
    job.prompt.source = given.text ? "text" : "tokens";
    job.prompt.tokens = given.text ? encoded(given, config, *tokenizer) : given.tokens;
    all.jobs.push_back(std::move(job));
  }
  return all;
}

GivenJobs read_followed(const std::filesystem::path& path, const ModelConfig& config) {
  const auto reader = record::Reader::open(path);
  if (reader.run().mode == "score")
    throw bad_data("{}: a score record holds no generated tokens to follow", path.string());
  if (reader.run().model.vocabulary != config.vocabulary)
    throw bad_data("{}: recorded with a vocabulary of {}, this model has {}", path.string(),
                   reader.run().model.vocabulary, config.vocabulary);
  GivenJobs all{{}, reader.run().model.vocab, {}};
  for (const auto& id : reader.prompt_ids()) {
    auto recorded = reader.prompt(id);
    Job job{std::move(recorded.prompt), {}};
    // Rows of the prompt's own tokens (which servers give, too) are not what was generated; the row of its
    // last token chose the first that was.
    const auto length = static_cast<std::int64_t>(job.prompt.tokens.size());
    for (const auto& row : recorded.rows) {
      if (row.position < length) continue;
      if (row.input_id < 0 || row.input_id >= config.vocabulary)
        throw bad_data("{}: prompt '{}' was fed token {}, outside the vocabulary of {}", path.string(), id,
                       row.input_id, config.vocabulary);
      job.fed.push_back(row.input_id);
    }
    for (const auto token : job.prompt.tokens)
      if (token < 0 || token >= config.vocabulary)
        throw bad_data("{}: prompt '{}' holds token {}, outside the vocabulary of {}", path.string(), id,
                       token, config.vocabulary);
    if (recorded.rows.empty() || job.prompt.tokens.empty())
      throw bad_data("{}: prompt '{}' has no recorded rows", path.string(), id);
    all.jobs.push_back(std::move(job));
  }
  if (all.jobs.empty()) throw bad_data("{}: holds no finished prompt", path.string());
  return all;
}

void feed_at_once(std::vector<Job>& jobs) {
  for (auto& job : jobs) {
    if (job.fed.empty()) continue;  // all of it is the prompt that was given, text and all
    job.prompt.tokens.insert(job.prompt.tokens.end(), job.fed.begin(), job.fed.end());
    job.prompt.text.clear();
    job.prompt.source = "tokens";
    job.fed.clear();
  }
}

std::vector<std::int64_t> prompt_lengths(const std::vector<Job>& jobs) {
  std::vector<std::int64_t> lengths;
  for (const auto& job : jobs) lengths.push_back(static_cast<std::int64_t>(job.prompt.tokens.size()));
  return lengths;
}

void check_lengths(const std::vector<Job>& jobs, const ModelConfig& config) {
  for (const auto& job : jobs) {
    const auto length = static_cast<std::int64_t>(job.prompt.tokens.size() + job.fed.size());
    if (length > config.max_positions)
      throw bad_data(
          "prompt '{}' has {} tokens, the model's context ends at {} (max_position_embeddings, stretched by "
          "its rope where that is scaled)",
          job.prompt.id, length, config.max_positions);
  }
}

std::string jobs_to_json(const std::vector<Job>& jobs) {
  json list = json::array();
  for (const auto& job : jobs)
    list.push_back({{"id", job.prompt.id},
                    {"index", job.prompt.index},
                    {"text", job.prompt.text},
                    {"source", job.prompt.source},
                    {"tokens", job.prompt.tokens},
                    {"fed", job.fed}});
  return list.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::vector<Job> jobs_from_json(const std::string& text) {
  std::vector<Job> jobs;
  for (const auto& item : json::parse(text)) {
    Job job;
    job.prompt.id = item.at("id").get<std::string>();
    job.prompt.index = item.at("index").get<std::int64_t>();
    job.prompt.text = item.at("text").get<std::string>();
    job.prompt.source = item.at("source").get<std::string>();
    job.prompt.tokens = item.at("tokens").get<std::vector<std::int32_t>>();
    job.fed = item.at("fed").get<std::vector<std::int32_t>>();
    jobs.push_back(std::move(job));
  }
  return jobs;
}

}  // namespace shardrift
