#include "worker/prompts.hpp"

#include <nlohmann/json.hpp>

#include <fstream>
#include <set>

#include "common/error.hpp"
#include "record/reader.hpp"
#include "tokenizer/tokenizer.hpp"

namespace shardrift {
using nlohmann::json;
namespace {

// One line of a prompts file, with where it stands for messages.
struct Line {
  std::string where;  // "prompts.jsonl line 3"
  json object;
};

std::string id_of(const Line& line) {
  const auto id = line.object.find("id");
  if (id == line.object.end() || !id->is_string())
    throw bad_data("{}: \"id\" is missing or no string", line.where);
  auto text = id->get<std::string>();
  if (!record::valid_id(text))
    throw bad_data("{}: id '{}': use letters, digits, '.', '_' and '-', at most 64, not starting with '.'",
                   line.where, text);
  return text;
}

std::vector<std::int32_t> given_tokens(const Line& line, const ModelConfig& config) {
  const auto& list = line.object.at("tokens");
  if (!list.is_array()) throw bad_data("{}: \"tokens\" is no list", line.where);
  std::vector<std::int32_t> tokens;
  for (const auto& item : list) {
    if (!item.is_number_integer() || item < 0 || item >= config.vocabulary)
      throw bad_data("{}: token {} is outside the vocabulary of {}", line.where, item.dump(),
                     config.vocabulary);
    tokens.push_back(item.get<std::int32_t>());
  }
  return tokens;
}

std::vector<std::int32_t> encoded(const Line& line, const std::string& text, const ModelConfig& config,
                                  const Tokenizer* tokenizer) {
  if (tokenizer == nullptr)
    throw bad_data("{}: has \"text\", but the model directory has no tokenizer.json: give \"tokens\"",
                   line.where);
  auto tokens = tokenizer->encode(text);
  for (const auto token : tokens)
    if (token >= config.vocabulary)
      throw bad_data("{}: the tokenizer gives token {}, the model's vocabulary ends at {}", line.where, token,
                     config.vocabulary);
  return tokens;
}

Job job_of(const Line& line, const ModelConfig& config, const Tokenizer* tokenizer) {
  Job job;
  job.prompt.id = id_of(line);
  const bool has_text = line.object.contains("text");
  if (has_text == line.object.contains("tokens"))
    throw bad_data("{}: prompt '{}' needs either \"text\" or \"tokens\"", line.where, job.prompt.id);
  if (has_text) {
    const auto& text = line.object.at("text");
    if (!text.is_string()) throw bad_data("{}: \"text\" is no string", line.where);
    job.prompt.text = text.get<std::string>();
    job.prompt.source = "text";
    job.prompt.tokens = encoded(line, job.prompt.text, config, tokenizer);
  } else {
    job.prompt.source = "tokens";
    job.prompt.tokens = given_tokens(line, config);
  }
  if (job.prompt.tokens.empty()) throw bad_data("{}: prompt '{}' is empty", line.where, job.prompt.id);
  return job;
}

}  // namespace

std::vector<Job> read_prompts(const std::filesystem::path& path, const ModelConfig& config,
                              const Tokenizer* tokenizer) {
  std::ifstream file(path);
  if (!file) throw bad_data("{}: cannot be read", path.string());
  std::vector<Job> jobs;
  std::set<std::string> ids;
  std::string text;
  for (int number = 1; std::getline(file, text); ++number) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    Line line{fmt::format("{} line {}", path.string(), number), json::parse(text, nullptr, false)};
    if (line.object.is_discarded() || !line.object.is_object())
      throw bad_data("{}: not a JSON object: {}", line.where, text.substr(0, 60));
    Job job = job_of(line, config, tokenizer);
    job.prompt.index = static_cast<std::int64_t>(jobs.size());
    if (!ids.insert(job.prompt.id).second)
      throw bad_data("{}: id '{}' is used twice", line.where, job.prompt.id);
    jobs.push_back(std::move(job));
  }
  if (jobs.empty()) throw bad_data("{}: holds no prompt", path.string());
  return jobs;
}

std::vector<Job> read_followed(const std::filesystem::path& path, const ModelConfig& config) {
  const auto reader = record::Reader::open(path);
  if (reader.run().mode == "score")
    throw bad_data("{}: a score record holds no generated tokens to follow", path.string());
  if (reader.run().model.vocabulary != config.vocabulary)
    throw bad_data("{}: recorded with a vocabulary of {}, this model has {}", path.string(),
                   reader.run().model.vocabulary, config.vocabulary);
  std::vector<Job> jobs;
  for (const auto& id : reader.prompt_ids()) {
    auto recorded = reader.prompt(id);
    Job job{std::move(recorded.prompt), {}};
    for (const auto& row : recorded.rows) {
      if (row.input_id < 0 || row.input_id >= config.vocabulary)
        throw bad_data("{}: prompt '{}' was fed token {}, outside the vocabulary of {}", path.string(), id,
                       row.input_id, config.vocabulary);
      job.fed.push_back(row.input_id);
    }
    for (const auto token : job.prompt.tokens)
      if (token < 0 || token >= config.vocabulary)
        throw bad_data("{}: prompt '{}' holds token {}, outside the vocabulary of {}", path.string(), id,
                       token, config.vocabulary);
    if (job.fed.empty() || job.prompt.tokens.empty())
      throw bad_data("{}: prompt '{}' has no recorded rows", path.string(), id);
    job.fed.erase(job.fed.begin());  // the first row was fed the prompt's last token
    jobs.push_back(std::move(job));
  }
  if (jobs.empty()) throw bad_data("{}: holds no finished prompt", path.string());
  return jobs;
}

void feed_at_once(std::vector<Job>& jobs) {
  for (auto& job : jobs) {
    job.prompt.tokens.insert(job.prompt.tokens.end(), job.fed.begin(), job.fed.end());
    job.prompt.text.clear();
    job.prompt.source = "tokens";
    job.fed.clear();
  }
}

void check_lengths(const std::vector<Job>& jobs, const ModelConfig& config) {
  for (const auto& job : jobs) {
    const auto length = static_cast<std::int64_t>(job.prompt.tokens.size() + job.fed.size());
    if (length > config.max_positions)
      throw bad_data("prompt '{}' has {} tokens, the model's context ends at {} (max_position_embeddings)",
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
