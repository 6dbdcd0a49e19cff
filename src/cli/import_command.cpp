// shardrift import FILE… --output OUT.h5 --engine TEXT
#include <algorithm>
#include <filesystem>
#include <optional>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "common/dtype.hpp"
#include "common/json_file.hpp"
#include "common/utf8.hpp"
#include "foreign/generated_tokens.hpp"
#include "foreign/llama_cpp_base.hpp"
#include "foreign/logits_import.hpp"
#include "foreign/npy_file.hpp"
#include "foreign/other_kind.hpp"
#include "foreign/server_lines.hpp"
#include "foreign/write_foreign.hpp"
#include "record/writer.hpp"
#include "weights/model_config.hpp"
#include "weights/model_files.hpp"

namespace shardrift::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHelp = R"(usage: shardrift import FILE... --output OUT.h5 --engine TEXT [options]

Makes a record of what another engine computed, so that compare, explain, gate
and report take it beside records of shardrift-run. FILE is recognised by what
it holds:

logits, as safetensors (tensors ID.prompt, ID.generated, ID.logits of each
prompt, or ID.tokens, ID.logits of a text that was given) or .npy (one prompt's
logits, [rows, vocabulary]; its tokens come from files of their own). Row i
holds the logits that chose generated token i; of a given text, those after its
token i. Log-probabilities may stand in their place, and the record says so.

  shardrift import run.safetensors --output engine.h5 --engine "vLLM 0.11, TP=4"
  shardrift import p0.npy --prompt-tokens in.npy --generated-tokens out.npy ...
  shardrift import text.npy --tokens text.json --output engine.h5 --engine ...

answers of a server, one JSON object a line, as /v1/completions and
/v1/chat/completions (vLLM, SGLang, OpenAI-style) or SGLang's /generate give
them with log-probabilities. They have the most likely tokens alone: choices are
then compared, not bits and not KL. Ask for ids (vLLM: return_token_ids,
return_tokens_as_token_ids), or give --model, whose tokenizer knows texts.

  shardrift import answers.jsonl --prompts prompts.jsonl --model DIR ...

llama.cpp's file of llama-perplexity --kl-divergence-base (log-probabilities,
rounded to 16 bits).

  shardrift import base.kld --bos 1 --output llama-cpp.h5 --engine "llama.cpp b6900"

With --model the record says which weights it is of, and tokens are shown as
text. shardrift inspect OUT.h5 --validate says what a record lacks;
docs/engines.md how to get these files out of each engine.

exit code: 0 done, 64 usage, 65 a file that cannot be used, 70 failure
)";

struct Flags {
  std::vector<std::string> files;
  foreign::About about;
  foreign::Target target;
  foreign::TokenFiles tokens;
  std::optional<int> vocabulary;
  std::optional<int> bos;
  std::optional<int> first_position;
  bool prompt_rows = false;
};

bool read_flags(const std::vector<std::string>& arguments, Flags& flags) {
  Arguments known("import", kHelp);
  known.files(flags.files)
      .option("output", flags.target.output, "OUT.h5", "the record")
      .flag("overwrite", flags.target.overwrite, "replace what lies there")
      .option("engine", flags.about.engine, "TEXT",
              "who computed it, in your words: name, version, devices, settings")
      .option(
          "model", flags.about.model, "DIR",
          "the model that the engine ran (a Hugging Face directory or a GGUF file): its weights are hashed")
      .option("dtype", flags.about.dtype, "NAME", "that the engine computed in: bfloat16, …")
      .group("tokens")
      .option("prompts", flags.tokens.prompts, "FILE", "a prompts file: the prompts' tokens, by id")
      .option("prompt-tokens", flags.tokens.prompt, "FILE",
              "of one prompt, as fed, special tokens included: .npy, .json or .safetensors")
      .option("generated-tokens", flags.tokens.generated, "FILE",
              "what was generated after it (default: each row's most likely token)")
      .option("tokens", flags.tokens.tokens, "FILE", "of a text that was given, not generated")
      .option("first-position", flags.first_position, "N",
              "with --tokens: row 0 comes after the text's token N, from 0")
      .option("vocabulary", flags.vocabulary, "N", "of a server's answers, without --model")
      .flag("prompt-rows", flags.prompt_rows,
            "of a server's answers: rows of the prompt's own tokens, too, beside generated ones")
      .option("bos", flags.bos, "ID",
              "of llama.cpp's file: the BOS token that it fed at the start of each chunk");
  if (!known.read(arguments)) return false;
  if (flags.files.empty())
    throw usage_error(
        "import: needs a file: shardrift import FILE --output OUT.h5 --engine \"vLLM 0.11, TP=4\"");
  if (flags.target.output.empty()) throw usage_error("import: --output OUT.h5 is needed");
  if (flags.about.engine.empty())
    throw usage_error("import: --engine is needed: who computed it, such as \"vLLM 0.11, TP=4\"");
  if (const auto& engine = flags.about.engine; utf8_valid_prefix(engine) != engine.size())
    throw usage_error("--engine {}: byte {} is not UTF-8, as the text of a record is: write it in UTF-8",
                      shown(utf8_lossy(engine)), utf8_valid_prefix(engine));
  if (!flags.about.dtype.empty()) named<DType>("--dtype", flags.about.dtype);
  return true;
}

std::int64_t vocabulary_of(const Flags& flags) {
  if (flags.vocabulary && (*flags.vocabulary < 1 || *flags.vocabulary > record::kMaxVocabulary))
    throw usage_error("--vocabulary {}: must be 1 to {}", *flags.vocabulary, record::kMaxVocabulary);
  if (flags.about.model.empty() && !flags.vocabulary)
    throw usage_error(
        "import: how many tokens the vocabulary has is not in a server's answer: give --model or "
        "--vocabulary");
  if (flags.about.model.empty()) return *flags.vocabulary;
  const auto of_model = read_model_config(flags.about.model).vocabulary;
  if (flags.vocabulary && *flags.vocabulary != of_model)
    throw usage_error("--vocabulary {}: that of --model has {}: leave it out", *flags.vocabulary, of_model);
  return of_model;
}

void refuse(bool given, const char* flag, const char* of) {
  if (given) throw usage_error("import: --{} is for {}", flag, of);
}

std::vector<fs::path> sources_of(const Flags& flags) {
  std::vector<fs::path> sources(flags.files.begin(), flags.files.end());
  for (const auto& path :
       {flags.tokens.prompts, flags.tokens.prompt, flags.tokens.generated, flags.tokens.tokens})
    if (!path.empty()) sources.push_back(path);
  return sources;
}

foreign::ForeignRun read_files(Flags& flags) {
  const std::vector<fs::path> files(flags.files.begin(), flags.files.end());
  std::error_code ignored;
  for (const auto& path : sources_of(flags)) {
    if (!fs::is_regular_file(path, ignored))
      throw bad_data("{}: {}", path.string(),
                     fs::exists(path, ignored) ? "is not a regular file" : "no such file");
    foreign::refuse_other_kind(path);
  }
  const auto& first = files.front();
  const auto is_logits = [](const fs::path& path) {
    return foreign::is_npy(path) || path.extension() == ".safetensors";
  };
  const bool logits = std::all_of(files.begin(), files.end(), is_logits);
  if (!logits && files.size() > 1)
    throw usage_error("import: several files may be .npy or .safetensors; give one of other kinds alone");
  auto& tokens = flags.tokens;
  if (flags.first_position) tokens.first_position = *flags.first_position;
  refuse(flags.vocabulary && (logits || foreign::is_llama_cpp_base(first)), "vocabulary",
         "a server's answers");
  refuse(flags.prompt_rows && (logits || foreign::is_llama_cpp_base(first)), "prompt-rows",
         "a server's answers");
  refuse(flags.bos && !foreign::is_llama_cpp_base(first), "bos", "llama.cpp's file");
  if (logits) return foreign::import_logits(files, tokens);
  for (const auto& [path, flag] :
       {std::pair(&tokens.tokens, "tokens"), std::pair(&tokens.prompt, "prompt-tokens"),
        std::pair(&tokens.generated, "generated-tokens")})
    refuse(!path->empty(), flag, ".npy and .safetensors files");
  refuse(tokens.first_position.has_value(), "first-position", ".npy and .safetensors files");
  if (foreign::is_llama_cpp_base(first)) {
    refuse(!tokens.prompts.empty(), "prompts", "other files: this one has its tokens");
    return foreign::import_llama_cpp_base(first, flags.bos);
  }
  const auto vocabulary = vocabulary_of(flags);
  return foreign::import_server_lines(
      {first, tokens.prompts, flags.about.model.empty() ? fs::path() : tokenizer_file(flags.about.model),
       vocabulary, flags.prompt_rows});
}

}  // namespace

ExitCode import(const std::vector<std::string>& arguments) {
  Flags flags;
  if (!read_flags(arguments, flags)) return ExitCode::ok;
  auto run = read_files(flags);
  for (const auto& sentence : run.notes) note(sentence);
  if (const auto sentence = foreign::choose_all(run)) note(*sentence);
  for (const auto& sentence : foreign::check_places(run)) note(sentence);
  if (const auto sentence = foreign::sampled_tokens(run)) note(*sentence);
  auto& about = flags.about;
  about.command = command_line("import", arguments);
  about.version = SHARDRIFT_VERSION;
  about.sources = sources_of(flags);
  foreign::write_foreign(run, about, flags.target);
  std::size_t rows = 0;
  for (const auto& prompt : run.prompts) rows += prompt.record.rows.size();
  print(fmt::format("{}: {} prompt{}, {} rows, {}, mode {}\n", flags.target.output.string(),
                    run.prompts.size(), run.prompts.size() == 1 ? "" : "s", rows,
                    run.has_logits()
                        ? fmt::format("{} {}", name_of(run.dtype),
                                      run.settings.contains("logits") ? "log-probabilities" : "logits")
                        : std::string("the most likely tokens alone (level top)"),
                    foreign::mode_of(run)));
  return ExitCode::ok;
}

}  // namespace shardrift::cli
