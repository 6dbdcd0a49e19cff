#include "foreign/write_foreign.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "common/input_files.hpp"
#include "common/usable_cores.hpp"
#include "common/utc_clock.hpp"
#include "record/library_version.hpp"
#include "record/output_lock.hpp"
#include "record/writer.hpp"
#include "tokenizer/tokenizer.hpp"
#include "weights/mapped_file.hpp"
#include "weights/model_config.hpp"
#include "weights/model_files.hpp"
#include "weights/safetensors.hpp"

namespace shardrift::foreign {
namespace {

constexpr std::int64_t kBlockBytes = 4 << 20;
constexpr std::int64_t kTop = 10;  // as shardrift-run keeps without --top-k

int hashing_threads() {
  return std::min(usable_cores(), 16);
}

record::ModelInfo model_of(const ForeignRun& run, const About& about) {
  record::ModelInfo model;
  model.dtype = about.dtype;
  model.vocabulary = run.vocabulary;
  if (about.model.empty()) return model;
  const auto config = read_model_config(about.model);
  if (config.vocabulary != run.vocabulary)
    throw bad_data(
        "--model {}: its vocabulary has {}, a row of the imported logits {}: another model, or padded "
        "columns",
        about.model.string(), config.vocabulary, run.vocabulary);
  const auto files = model_files(about.model, hashing_threads());
  model.architecture = config.architecture;
  model.config = config.text;
  model.identity = Checkpoint::open(about.model).identity(config.text);
  model.weights = files.weights;
  model.generation_config = files.generation_config;
  if (const auto path = tokenizer_file(about.model); !path.empty()) {
    model.tokenizer = small_model_files(about.model, true).tokenizer;
    const auto tokenizer = Tokenizer::open(path);
    for (std::int64_t id = 0; id < run.vocabulary; ++id)
      model.vocab.push_back(id < tokenizer.size() ? tokenizer.token_text(static_cast<std::int32_t>(id)) : "");
  }
  return model;
}

std::string hash_of_prompts(const ForeignRun& run) {
  Sha256 hash;
  for (const auto& prompt : run.prompts) {
    const auto& tokens = prompt.record.prompt.tokens;
    hash.update(fmt::format("{}:{}:", prompt.record.prompt.id, tokens.size()));
    hash.update(tokens.data(), tokens.size() * sizeof(std::int32_t));
  }
  return hash.hex();
}

// Flags decide which rows there are of the same files.
std::string hash_of_rows(const ForeignRun& run) {
  Sha256 hash;
  for (const auto& prompt : run.prompts) {
    hash.update(fmt::format("{}:", prompt.record.rows.size()));
    for (const auto& row : prompt.record.rows) hash.update(fmt::format("{} {},", row.position, row.input_id));
  }
  return hash.hex();
}

// Equal keys: the same files, read and described in the same way.
std::string key_of(const record::RunInfo& run, const std::string& rows, const About& about) {
  Sha256 hash;
  hash.update(fmt::format("import|{}|{}|{}|{}|{}|", run.version, run.plan, run.mode, run.model.dtype,
                          run.model.weights));
  hash.update(run.prompts_hash);
  hash.update(rows);
  for (const auto& source : about.sources) {
    const MappedFile file(source);
    hash.update(fmt::format("|{}|", file.size()));
    hash.update(file.data(), file.size());
  }
  return hash.hex();
}

void add(record::PartWriter& writer, const ForeignRun& run, const ForeignPrompt& prompt, std::int64_t index) {
  auto record = prompt.record;
  record.prompt.index = index;
  if (!prompt.logits) {
    writer.add(std::move(record));
    return;
  }
  const auto rows = static_cast<std::int64_t>(record.rows.size());
  const auto row_bytes = run.vocabulary * static_cast<std::int64_t>(size_of(run.dtype));
  const auto together = std::max<std::int64_t>(1, kBlockBytes / row_bytes);
  auto stream = writer.begin(record.prompt.id, rows);
  std::vector<std::byte> words;
  for (std::int64_t row = 0; row < rows; row += together) {
    prompt.logits(row, std::min(rows, row + together), words);
    writer.append(stream, words);
  }
  writer.end(std::move(stream), std::move(record));
}

}  // namespace

record::RunInfo describe(const ForeignRun& run, const About& about) {
  record::RunInfo info;
  info.created = utc_now();
  info.command = about.command;
  info.version = about.version;
  info.plan = nlohmann::json({{"engine", about.engine}}).dump();
  info.mode = mode_of(run);
  info.level = run.has_logits() ? "logits" : "top";
  info.logits_dtype = run.dtype;
  info.environment.settings = run.settings;
  info.environment.libraries["hdf5"] = record::hdf5_version();
  info.model = model_of(run, about);
  info.prompts_hash = hash_of_prompts(run);
  info.resume_key = key_of(info, hash_of_rows(run), about);
  return info;
}

void write_foreign(const ForeignRun& run, const About& about, const Target& target) {
  if (run.vocabulary > record::kMaxVocabulary)
    throw bad_data("{}: a vocabulary of {}: a record has at most {}", run.prompts.front().where,
                   run.vocabulary, record::kMaxVocabulary);
  record::require_room(target.output);
  std::vector<std::string> inputs;
  for (const auto& source : about.sources) inputs.push_back(source.string());
  if (!about.model.empty())
    for (auto& file : files_in(about.model)) inputs.push_back(std::move(file));
  for (const auto& file : record::files_of(target.output)) refuse_input("--output", file.string(), inputs);
  const record::OutputLock lock(target.output);
  const auto info = describe(run, about);
  record::WriterOptions options{target.output, target.overwrite};
  options.owner = lock.token();
  for (std::size_t i = 0; i < run.prompts.size(); ++i) {
    options.prompts.push_back(run.prompts[i].record.prompt);
    options.prompts.back().index = static_cast<std::int64_t>(i);
  }
  const auto done = record::prepare_output(options, info);
  {
    record::PartWriter writer(options, info, {.top_k = run.has_logits() ? kTop : 0});
    for (std::size_t i = 0; i < run.prompts.size(); ++i)
      if (!done.contains(run.prompts[i].record.prompt.id))
        add(writer, run, run.prompts[i], static_cast<std::int64_t>(i));
    writer.finish();
  }
  if (const auto missing = record::missing_prompts(options, info); !missing.empty())
    throw failure("{}: the part of prompt {} is damaged: is the disk sound? Import again",
                  target.output.string(), missing.front());
  record::assemble(options, info, {});
}

}  // namespace shardrift::foreign
