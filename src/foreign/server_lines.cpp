#include "foreign/server_lines.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "common/json_file.hpp"
#include "common/json_reader.hpp"
#include "common/text.hpp"
#include "foreign/answer_record.hpp"
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
  throw bad_data(
      "{}: neither choices (OpenAI-style, vLLM) nor meta_info (SGLang's /generate): no answer of a server "
      "known here",
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

  void complete(Answer& answer, std::size_t place) const {
    const GivenPrompt* given = nullptr;
    if (!given_.empty() && !answer.id && place >= given_.size())
      throw bad_data("{}: answer {} without an id, and {} has {} prompts", answer.where, place + 1,
                     path_.string(), given_.size());
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
          "\"return_token_ids\": true or \"prompt_logprobs\": 20; SGLang: \"logprob_start_len\": 0)",
          answer.where);
  }

 private:
  std::filesystem::path path_;
  std::vector<GivenPrompt> given_;
  std::unordered_map<std::string, std::size_t> by_id_;  // places in given_
};

}  // namespace

ForeignRun import_server_lines(const ServerFiles& files) {
  const TokenTexts texts(files.tokenizer, files.vocabulary);
  auto answers = read_answers(files.answers, texts);
  const Prompts prompts(files);
  ForeignRun run;
  run.vocabulary = files.vocabulary;
  run.scored = true;
  std::int64_t dropped = 0;
  std::int64_t alone = 0;
  std::int64_t in_part = 0;
  std::string first_in_part;
  std::map<std::string, std::string> lines;  // by id
  for (std::size_t i = 0; i < answers.size(); ++i) {
    auto& answer = answers[i];
    prompts.complete(answer, i);
    if (const auto [at, first] = lines.try_emplace(*answer.id, answer.where); !first)
      throw bad_data("{}: id {} is that of {} too: keep one answer of each prompt", answer.where, *answer.id,
                     at->second);
    run.prompts.push_back(prompt_of_answer(answer, files.vocabulary));
    auto& record = run.prompts.back().record;
    record.prompt.id = *answer.id;
    run.scored = run.scored && answer.generated.empty();
    dropped += answer.dropped;
    alone += record.top.k == 1 ? 1 : 0;
    if (answer.part_of_prompt.empty()) continue;
    if (in_part++ == 0) first_in_part = fmt::format("{}: {}", answer.where, answer.part_of_prompt);
  }
  if (dropped > 0)
    run.notes.push_back(
        fmt::format("{}: {} of the most likely tokens are texts that no token has (cut characters): left out "
                    "of the lists",
                    files.answers.string(), dropped));
  if (texts.ambiguous() > 0)
    run.notes.push_back(fmt::format("{}: {} times several ids have a token's text: the lowest was taken",
                                    files.answers.string(), texts.ambiguous()));
  if (in_part > 0)
    run.notes.push_back(
        fmt::format("{}: the prompt's tokens are left out of the record{}: ask for all of them (SGLang: "
                    "\"logprob_start_len\": 0)",
                    first_in_part, in_part > 1 ? fmt::format(", as in {} answers", in_part) : ""));
  if (alone > 0)
    run.notes.push_back(fmt::format(
        "{}: {} of {} answers have one log-probability a token: the token is taken for the most likely one",
        files.answers.string(), alone, answers.size()));
  return run;
}

}  // namespace shardrift::foreign
