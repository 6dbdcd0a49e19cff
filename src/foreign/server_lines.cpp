#include "foreign/server_lines.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "common/counted.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"
#include "common/text.hpp"
#include "foreign/answer_record.hpp"
#include "foreign/llama_server_answer.hpp"
#include "foreign/openai_answer.hpp"
#include "foreign/sglang_answer.hpp"
#include "prompts/prompts_file.hpp"
#include "tokenizer/tokenizer.hpp"

namespace shardrift::foreign {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

Answer read_response(const JsonObject& response, const TokenTexts& texts) {
  if (is_sglang(response)) return read_sglang(response);
  if (is_openai(response)) return read_openai(response, texts);
  if (response.has("error"))
    throw response.wrong("error", response.required("error"), "the server gave no answer: ask again");
  if (is_llama_server(response)) return read_llama_server(response, texts);
  throw bad_data(
      "{}: neither choices (OpenAI-style, vLLM) nor meta_info (SGLang's /generate) nor "
      "completion_probabilities (llama-server's /completion): no answer of a server known here",
      response.where());
}

Answer read_line(const nlohmann::json& line, const std::string& where, const TokenTexts& texts) {
  const JsonObject outer(line, where);
  const auto response = outer.object("response");
  if (!response) return read_response(outer, texts);
  const char* name = outer.has("custom_id") ? "custom_id" : "id";
  const auto id = outer.text(name);
  if (!record::valid_id(id))
    throw outer.wrong(name, id, "an id of 1 to 64 of A-Z a-z 0-9 _ - . without a leading dot is expected");
  const auto body = response->object("body");
  auto answer = read_response(body ? *body : *response, texts);
  answer.id = id;
  answer.where = where;
  return answer;
}

std::vector<Answer> read_answers(const std::filesystem::path& path, const TokenTexts& texts) {
  const std::string text = read_text_file(path, kMaxBytes);
  std::vector<Answer> answers;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    const auto line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (is_blank(line)) continue;
    const auto where = fmt::format("{} line {}", path.string(), number);
    answers.push_back(read_line(parse_json_object(line, where), where, texts));
  }
  if (answers.empty()) throw bad_data("{}: holds no answer", path.string());
  return answers;
}

// The prompts' tokens, ids and texts, where a file has them.
class Prompts {
 public:
  explicit Prompts(const ServerFiles& files) : path_(files.prompts) {
    if (path_.empty()) return;
    given_ = read_prompts_file(path_).prompts;
    for (std::size_t i = 0; i < given_.size(); ++i) by_id_.emplace(given_[i].id, i);
    const bool texts =
        std::any_of(given_.begin(), given_.end(), [](const auto& one) { return one.text.has_value(); });
    if (!texts) return;
    if (files.tokenizer.empty())
      throw bad_data("{}: has texts: give --model DIR, whose tokenizer turns them into tokens",
                     path_.string());
    const auto tokenizer = Tokenizer::open(files.tokenizer);
    for (auto& one : given_)
      if (one.text) one.tokens = tokenizer.encode(*one.text, one.special_tokens);
  }

  // Answers all have ids, or none has: then the places tell, and have to tell of all.
  void check_ids(const std::filesystem::path& path, const std::vector<Answer>& answers) const {
    const auto has_id = [](const Answer& answer) { return answer.id.has_value(); };
    const auto named = std::find_if(answers.begin(), answers.end(), has_id);
    const auto unnamed = std::find_if_not(answers.begin(), answers.end(), has_id);
    if (named != answers.end() && unnamed != answers.end())
      throw bad_data(
          "{}: has no id, {} has ({}): give every line its prompt's, {{\"id\": \"{}\", \"response\": "
          "{{…}}}}, "
          "or none",
          unnamed->where, named->where, *named->id, given_.empty() ? "p0" : given_.front().id);
    if (named == answers.end() && !given_.empty() && answers.size() != given_.size())
      throw bad_data(
          "{}: {} answers without ids, but {} has {} prompts: the n-th answer is the n-th prompt's, so one "
          "is "
          "needed of each. Give each line its prompt's id, {{\"id\": \"{}\", \"response\": {{…}}}}, or the "
          "prompts that were asked alone",
          path.string(), answers.size(), path_.string(), given_.size(), given_.front().id);
  }

  void complete(Answer& answer, std::size_t place) const {
    const GivenPrompt* given = nullptr;
    if (!given_.empty() && !answer.id) given = &given_[place];
    if (answer.id)
      if (const auto found = by_id_.find(*answer.id); found != by_id_.end()) given = &given_[found->second];
    if (!given_.empty() && given == nullptr)
      throw bad_data("{}: id {} is no prompt's of {}", answer.where, *answer.id, path_.string());
    if (given != nullptr) answer.id = given->id;
    if (!answer.id) answer.id = fmt::format("p{}", place);
    if (given != nullptr && answer.prompt && *answer.prompt != given->tokens)
      throw bad_data(
          "{}: the server was fed {} tokens, {} has {} for prompt '{}', other ones: is it the same file, "
          "and the same special tokens?",
          answer.where, answer.prompt->size(), path_.string(), given->tokens.size(), given->id);
    if (given != nullptr) answer.prompt = given->tokens;
    if (!answer.prompt)
      throw bad_data(
          "{}: which tokens the server was fed is not said: give --prompts FILE.jsonl, or ask it (vLLM: "
          "\"return_token_ids\": true; SGLang: \"logprob_start_len\": 0)",
          answer.where);
    if (answer.fed && *answer.fed != static_cast<std::int64_t>(answer.prompt->size()))
      throw bad_data(
          "{}: the server was fed {}, prompt '{}' has {}: did it add a BOS token, or a chat template? Give "
          "it, "
          "and --prompts, the tokens that were fed (scripts/chat-prompts)",
          answer.where, counted(*answer.fed, "token"), *answer.id, answer.prompt->size());
  }

 private:
  std::filesystem::path path_;
  std::vector<GivenPrompt> given_;
  std::unordered_map<std::string, std::size_t> by_id_;  // places in given_
};

// What is worth saying of several answers: the first by name, and how many there are.
class Told {
 public:
  void add(std::string what) {
    if (count_++ == 0) first_ = std::move(what);
  }
  bool any() const { return count_ > 0; }
  std::int64_t count() const { return count_; }
  const std::string& first() const { return first_; }
  std::string as_in_others() const { return count_ > 1 ? fmt::format(", as in {} answers", count_) : ""; }

 private:
  std::string first_;
  std::int64_t count_ = 0;
};

// What the answers leave out of the record, or lack.
struct Notes {
  Told prompt_rows, part_of_prompt, empty, incomplete, cut;
  std::int64_t dropped = 0, alone = 0, with_alone = 0;

  std::vector<std::string> sentences(const std::string& file, const TokenTexts& texts,
                                     std::size_t answers) const {
    std::vector<std::string> notes;
    if (prompt_rows.any())
      notes.push_back(fmt::format(
          "{}: log-probabilities of the prompt's own tokens are left out of {} of {} answers: rows are of "
          "the generated tokens (--prompt-rows keeps them, and the mode is follow)",
          file, prompt_rows.count(), answers));
    if (empty.any())
      notes.push_back(fmt::format("{}: nothing was generated: left out of the record{}", empty.first(),
                                  empty.as_in_others()));
    if (incomplete.any()) notes.push_back(fmt::format("{}{}", incomplete.first(), incomplete.as_in_others()));
    if (dropped > 0)
      notes.push_back(fmt::format(
          "{}: {} of the most likely tokens are texts that no token has (cut characters): left out "
          "of the lists",
          file, dropped));
    if (texts.ambiguous() > 0)
      notes.push_back(fmt::format("{}: {} times several ids have a token's text: the lowest was taken", file,
                                  texts.ambiguous()));
    if (part_of_prompt.any())
      notes.push_back(
          fmt::format("{}: the prompt's tokens are left out of the record{}: ask for all of them "
                      "(SGLang: \"logprob_start_len\": 0)",
                      part_of_prompt.first(), part_of_prompt.as_in_others()));
    if (alone > 0)
      notes.push_back(fmt::format(
          "{}: {} tokens of {} of {} answers have no list of the most likely ones: the token itself is "
          "taken for the most likely",
          file, alone, with_alone, answers));
    if (cut.any())
      notes.push_back(fmt::format("{}: all lists of this answer are cut to the shortest{}", cut.first(),
                                  cut.as_in_others()));
    return notes;
  }
};

}  // namespace

ForeignRun import_server_lines(const ServerFiles& files) {
  const TokenTexts texts(files.tokenizer, files.vocabulary);
  auto answers = read_answers(files.answers, texts);
  const Prompts prompts(files);
  prompts.check_ids(files.answers, answers);
  const bool prompt_rows =
      files.prompt_rows ||
      std::none_of(answers.begin(), answers.end(), [](const auto& one) { return one.generated.size() > 1; });
  if (files.prompt_rows && std::none_of(answers.begin(), answers.end(), [](const auto& one) {
        return !one.given.empty() || !one.part_of_prompt.empty();
      }))
    throw bad_data(
        "{}: --prompt-rows, but no answer has log-probabilities of its prompt's tokens: ask for them (vLLM: "
        "\"prompt_logprobs\": 20; SGLang: \"logprob_start_len\": 0), or leave the flag out",
        files.answers.string());
  ForeignRun run;
  run.vocabulary = files.vocabulary;
  run.scored = true;
  Notes notes;
  std::map<std::string, std::string> lines;  // by id
  for (std::size_t i = 0; i < answers.size(); ++i) {
    auto& answer = answers[i];
    const auto where = answer.id ? fmt::format("{} (id {})", answer.where, *answer.id) : answer.where;
    if (!answer.incomplete.empty())
      notes.incomplete.add(fmt::format("{}: {}{}", where, answer.incomplete,
                                       answer.generated.empty() ? ": left out of the record" : ""));
    if (answer.generated.empty() && (answer.given.empty() || !prompt_rows)) {
      if (!answer.incomplete.empty()) continue;
      notes.empty.add(where);
      continue;
    }
    prompts.complete(answer, i);
    if (const auto [at, first] = lines.try_emplace(*answer.id, answer.where); !first)
      throw bad_data("{}: id {} is that of {} too: keep one answer of each prompt", answer.where, *answer.id,
                     at->second);
    run.prompts.push_back(prompt_of_answer(answer, files.vocabulary, prompt_rows));
    run.prompts.back().record.prompt.id = *answer.id;
    run.scored = run.scored && answer.generated.empty();
    notes.dropped += answer.dropped;
    const auto alone = answer.alone + (prompt_rows ? answer.given_alone : 0);
    notes.alone += alone;
    notes.with_alone += alone > 0 ? 1 : 0;
    if (!answer.given.empty() && !prompt_rows) notes.prompt_rows.add(answer.where);
    if (!answer.part_of_prompt.empty() && prompt_rows)
      notes.part_of_prompt.add(fmt::format("{}: {}", answer.where, answer.part_of_prompt));
    if (auto clause = cut_lists(answer, prompt_rows))
      notes.cut.add(fmt::format("{}: {}", answer.where, *clause));
  }
  if (run.prompts.empty() && notes.incomplete.any()) throw bad_data("{}", notes.incomplete.first());
  if (run.prompts.empty())
    throw bad_data(
        "{}: nothing was generated in {} of {} answers: is max_tokens 0, or did the prompts end the text?",
        files.answers.string(), notes.empty.count(), answers.size());
  run.notes = notes.sentences(files.answers.string(), texts, answers.size());
  return run;
}

}  // namespace shardrift::foreign
