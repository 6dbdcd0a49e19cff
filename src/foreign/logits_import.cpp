#include "foreign/logits_import.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "foreign/npy_file.hpp"
#include "prompts/prompts_file.hpp"
#include "weights/safetensors.hpp"

namespace shardrift::foreign {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxJson = std::size_t{64} << 20;
constexpr const char* kOneName = "p0";  // of the one prompt of a file that names none

struct Tokens {
  std::vector<std::int32_t> ids;
  std::string where;  // the file, and the tensor or line in it
};

// What one prompt is made of.
struct Parts {
  std::optional<Tensor> logits;
  std::optional<Tokens> tokens, prompt, generated;
};

// By id, in the order they stand in.
struct AllParts {
  std::vector<std::pair<std::string, Parts>> list;
  std::unordered_map<std::string, std::size_t> places;

  Parts* find(const std::string& id) {
    const auto found = places.find(id);
    return found == places.end() ? nullptr : &list[found->second].second;
  }
  Parts& of(const std::string& id) {
    if (auto* const found = find(id)) return *found;
    places.emplace(id, list.size());
    return list.emplace_back(id, Parts()).second;
  }
};

void keep_logits(AllParts& all, const std::string& id, Tensor logits) {
  auto& kept = all.of(id).logits;
  if (kept)
    throw usage_error(
        "import: prompt {} has logits twice, in {} and in {}: give each prompt once (import other runs into "
        "records of their own, or rename the prompt)",
        id, kept->where, logits.where);
  kept = std::move(logits);
}

// The same tokens may be said twice, of two files or of a file and a flag.
void keep_tokens(std::optional<Tokens>& kept, const std::string& id, Tokens given) {
  if (kept && kept->ids != given.ids) {
    const auto [mine, other] =
        std::mismatch(kept->ids.begin(), kept->ids.end(), given.ids.begin(), given.ids.end());
    throw bad_data(
        "prompt {}: {} has {} tokens, {} has {}, other ones from place {} on: leave out what the engine was "
        "not fed",
        id, kept->where, kept->ids.size(), given.where, given.ids.size(), mine - kept->ids.begin());
  }
  kept = std::move(given);
}

std::vector<std::int32_t> tokens_in_json(const fs::path& path) {
  const auto list = nlohmann::json::parse(read_text_file(path, kMaxJson), nullptr, false);
  if (!list.is_array() || list.empty())
    throw bad_data("{}: {}; a list of token ids is expected: [1, 2, 3]", path.string(),
                   list.is_discarded() ? "no JSON" : shown(list));
  std::vector<std::int32_t> tokens;
  for (const auto& item : list) {
    if (!item.is_number_integer() || item.get<double>() < 0 || item.get<double>() > 0x7FFFFFFF)
      throw bad_data("{}: {} at place {} is no token id", path.string(), shown(item), tokens.size());
    tokens.push_back(item.get<std::int32_t>());
  }
  return tokens;
}

Tensor stored(const std::shared_ptr<SafetensorsFile>& file, const std::string& name) {
  const auto tensor = file->stored(name);
  return {fmt::format("{}: tensor {}", file->path().string(), shown(name)),
          tensor->dtype,
          tensor->shape,
          tensor->data,
          tensor->bytes,
          file};
}

Tokens tokens_of(const Tensor& tensor) {
  return {as_tokens(tensor), tensor.where};
}

Tokens tokens_in(const fs::path& path) {
  if (is_npy(path)) return tokens_of(read_npy(path));
  if (path.extension() != ".safetensors") return {tokens_in_json(path), path.string()};
  const auto file = std::make_shared<SafetensorsFile>(SafetensorsFile::open(path));
  const auto names = file->names();
  if (names.size() != 1)
    throw bad_data("{}: {} tensors; one prompt's token ids are one", path.string(), names.size());
  return tokens_of(stored(file, names.front()));
}

void add_safetensors(const fs::path& path, AllParts& all, std::vector<std::string>& notes) {
  const auto file = std::make_shared<SafetensorsFile>(SafetensorsFile::open(path));
  for (const auto& name : file->names()) {
    const auto dot = name.rfind('.');
    const std::string id = dot == std::string::npos ? kOneName : name.substr(0, dot);
    const std::string kind = dot == std::string::npos ? name : name.substr(dot + 1);
    if (kind == "logits")
      keep_logits(all, id, stored(file, name));
    else if (kind == "tokens")
      keep_tokens(all.of(id).tokens, id, tokens_of(stored(file, name)));
    else if (kind == "prompt")
      keep_tokens(all.of(id).prompt, id, tokens_of(stored(file, name)));
    else if (kind == "generated")
      keep_tokens(all.of(id).generated, id, tokens_of(stored(file, name)));
    else
      notes.push_back(fmt::format("{}: tensor {} is none of logits, tokens, prompt, generated: left out",
                                  path.string(), shown(name)));
  }
}

// "p3" of "out/p3.npy" and "out/p3.logits.npy"
std::string id_of(const fs::path& path) {
  const auto stem = path.stem();
  return stem.extension() == ".logits" ? stem.stem().string() : stem.string();
}

void add_token_files(const TokenFiles& files, AllParts& all) {
  const auto own = {files.tokens, files.prompt, files.generated};
  if (std::any_of(own.begin(), own.end(), [](const fs::path& path) { return !path.empty(); })) {
    if (all.list.size() != 1)
      throw usage_error(
          "import: --tokens, --prompt-tokens and --generated-tokens are of one prompt, here are {}: give "
          "--prompts "
          "FILE.jsonl, or one safetensors file with ID.logits, ID.prompt, ID.generated of each",
          all.list.size());
    auto& [id, parts] = all.list.front();
    for (const auto& [path, kept] :
         {std::pair(&files.tokens, &parts.tokens), std::pair(&files.prompt, &parts.prompt),
          std::pair(&files.generated, &parts.generated)})
      if (!path->empty()) keep_tokens(*kept, id, tokens_in(*path));
  }
  if (files.prompts.empty()) return;
  for (const auto& given : read_prompts_file(files.prompts).prompts) {
    auto* const parts = all.find(given.id);
    if (parts == nullptr) continue;
    if (given.text)
      throw bad_data("{}: prompt '{}' is a text: give its token ids, as the engine was fed them", given.where,
                     given.id);
    keep_tokens(parts->tokens ? parts->tokens : parts->prompt, given.id, {given.tokens, given.where});
  }
}

ForeignPrompt scored(const std::string& where, const std::vector<std::int32_t>& tokens, std::int64_t rows,
                     std::optional<std::int64_t> first) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  if (!first && rows != count)
    throw bad_data(
        "{}: {} rows for {} tokens: say with --first-position which token row 0 comes after (0: the first), "
        "or give "
        "prompt and generated tokens apart",
        where, rows, count);
  const auto begin = first.value_or(0);
  if (begin < 0 || begin + rows > count)
    throw bad_data("{}: {} rows after the tokens from position {} on, but there are {} tokens", where, rows,
                   begin, count);
  ForeignPrompt prompt;
  prompt.record.prompt.tokens = tokens;
  prompt.record.rows = rows_of({tokens.begin() + begin, tokens.begin() + begin + rows}, begin);
  prompt.record.stop = "given";
  return prompt;
}

ForeignPrompt generated(const std::string& where, const std::vector<std::int32_t>& tokens,
                        const std::optional<Tokens>& generated, std::int64_t rows) {
  // The last generated token was chosen, and may not have been fed any more: it may be left out.
  const auto needed = static_cast<std::size_t>(rows - 1);
  const auto* made = generated ? &generated->ids : nullptr;
  if (made != nullptr && (made->size() < needed || made->size() > needed + 1))
    throw bad_data(
        "{}: {} rows, but {} generated tokens: row i holds the logits that chose generated token i", where,
        rows, made->size());
  std::vector<std::int32_t> fed{tokens.back()};
  for (std::size_t i = 0; i < needed; ++i) fed.push_back(made != nullptr ? (*made)[i] : kChosenBefore);
  ForeignPrompt prompt;
  prompt.record.prompt.tokens = tokens;
  prompt.record.rows = rows_of(fed, static_cast<std::int64_t>(tokens.size()) - 1);
  prompt.record.stop = "length";
  if (made != nullptr && made->size() > needed) prompt.last = made->back();
  return prompt;
}

ForeignPrompt prompt_of(const std::string& id, Parts& parts, const TokenFiles& files, ForeignRun& run) {
  if (!parts.logits)
    throw bad_data("prompt {}: tokens, but no logits: a tensor {}.logits is missing", id, id);
  const auto logits = std::make_shared<LogitsTensor>(as_logits(*std::move(parts.logits)));
  const std::string& where = logits->tensor.where;
  if (!record::valid_id(id))
    throw bad_data("{}: '{}' is no prompt's id: 1 to 64 of A-Z a-z 0-9 _ - . without a leading dot", where,
                   id);
  if (parts.tokens && parts.prompt)
    throw bad_data("{}: both tokens (a given text) and prompt (a generated one): keep one", where);
  if (parts.tokens && parts.generated)
    throw bad_data(
        "{}: generated tokens ({}) beside those of a given text ({}): keep one, generated ones with the "
        "prompt's",
        where, parts.generated->where, parts.tokens->where);
  if (!parts.tokens && !parts.prompt)
    throw bad_data(
        "{}: which tokens is it of? Give --prompt-tokens and --generated-tokens, or --tokens (token ids as "
        ".npy or "
        ".json), or --prompts FILE.jsonl; in a safetensors file tensors {}.prompt, {}.generated, {}.tokens",
        where, id, id, id);
  if (run.prompts.empty()) {
    run.dtype = logits->dtype;
    run.vocabulary = logits->vocabulary;
    run.scored = parts.tokens.has_value();
  }
  if (logits->dtype != run.dtype || logits->vocabulary != run.vocabulary)
    throw bad_data("{}: {} of a vocabulary of {}, the prompt before it {} of {}: one record has one of each",
                   where, name_of(logits->dtype), logits->vocabulary, name_of(run.dtype), run.vocabulary);
  if (parts.tokens.has_value() != run.scored)
    throw bad_data(
        "{}: some prompts have tokens (given texts), others prompt (generated ones): import them apart",
        where);
  for (const auto& [tokens, what] : {std::pair(&parts.tokens, "tokens"), std::pair(&parts.prompt, "prompt"),
                                     std::pair(&parts.generated, "generated")})
    if (*tokens) check_tokens((*tokens)->ids, run.vocabulary, where, what);
  auto prompt = run.scored ? scored(where, parts.tokens->ids, logits->rows, files.first_position)
                           : generated(where, parts.prompt->ids, parts.generated, logits->rows);
  prompt.where = where;
  prompt.record.prompt.id = id;
  prompt.record.prompt.source = "tokens";
  prompt.logits = [logits](std::int64_t begin, std::int64_t end, std::vector<std::byte>& words) {
    logits->read(begin, end, words);
  };
  return prompt;
}

}  // namespace

ForeignRun import_logits(const std::vector<fs::path>& files, const TokenFiles& token_files) {
  ForeignRun run;
  AllParts all;
  for (const auto& path : files) {
    if (is_npy(path))
      keep_logits(all, id_of(path), read_npy(path));
    else
      add_safetensors(path, all, run.notes);
  }
  if (all.list.empty())
    throw bad_data("{}: no tensor of logits: name it logits, or ID.logits", files.front().string());
  add_token_files(token_files, all);
  if (std::none_of(all.list.begin(), all.list.end(),
                   [](const auto& one) { return one.second.logits.has_value(); }))
    throw bad_data("{}: no tensor of logits: name it logits, or ID.logits", files.front().string());
  for (auto& [id, parts] : all.list) run.prompts.push_back(prompt_of(id, parts, token_files, run));
  if (!run.scored && token_files.first_position)
    throw usage_error("import: --first-position goes with --tokens: generated rows begin after the prompt");
  return run;
}

}  // namespace shardrift::foreign
