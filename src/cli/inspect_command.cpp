// shardrift inspect FILE, and inspect --model DIR
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "analysis/inspect/inspect_presenters.hpp"
#include "analysis/inspect/model_inspection.hpp"
#include "analysis/inspect/validation.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "common/error.hpp"
#include "common/output_file.hpp"
#include "common/progress_line.hpp"
#include "record/files.hpp"
#include "record/verify.hpp"
#include "weights/gguf/gguf_file.hpp"

namespace shardrift::cli {
namespace {

constexpr const char* kHelp = R"(usage: shardrift inspect FILE [options]
       shardrift inspect --model DIR [options]

Prints what a file of shardrift-run holds: the run, its plan, the devices and
libraries it ran on, its prompts, and which comparisons of it are kept. FILE is
OUT.h5, the OUT.h5.parts of a run that has not finished, or a metrics file that
compare keeps.

  shardrift inspect tp2.h5
  shardrift inspect tp2.h5 --json tp2.json      the same for a script
  shardrift inspect tp2.h5 --csv prompts.csv    one line a prompt
  shardrift inspect tp2.h5 --verify             is every prompt what its hashes say?
  shardrift inspect tp2.vs.one.metrics

  shardrift inspect foreign.h5 --validate       can another program's file be
                                                analysed, and what does it lack?

With --model: what a Hugging Face directory or a GGUF file is, whether shardrift-run will run it,
in how much memory on 1, 2 and 4 devices, and if not, why. Reads config.json, the
headers of the safetensors files and the tokenizer; no weights, but for a tied
head that is stored apart.

  shardrift inspect --model models/smollm2-135m
  shardrift inspect --model DIR --dtype float32 --batch 8 --max-length 2048

exit code: 0 it was read (--model: it will run; --validate: it can be analysed),
65 it could not be, or is not what its hashes say (--model: it will not run)
)";

// All prompts, so that one bad one does not hide the others.
void verify_all(const record::Reader& reader) {
  ProgressLine progress(ProgressLine::Logs::none);
  const auto ids = reader.prompt_ids();
  std::size_t whole = 0;
  std::size_t done = 0;
  std::vector<std::string> wrong;
  for (const auto& id : ids) {
    try {
      whole += record::verify_prompt(reader, id, record::Verify::chosen_too) ? 1 : 0;
    } catch (const Error& error) {
      if (error.code() != ExitCode::bad_data) throw;
      wrong.emplace_back(error.what());
    }
    progress.show(fmt::format("verifying {} of {} prompts", ++done, ids.size()));
  }
  if (wrong.empty()) {
    print(fmt::format(
        "\nverified       {} of {} prompts are what their hashes say{}\n", ids.size(), ids.size(),
        whole == ids.size() ? "" : fmt::format("; of {} only the logits were hashed", ids.size() - whole)));
    return;
  }
  for (std::size_t i = 1; i < wrong.size(); ++i)
    std::fprintf(stderr, "shardrift: %s\n", wrong[i - 1].c_str());
  throw Error(ExitCode::bad_data, wrong.back());
}

// What is wrong is listed before the one sentence of the error.
ExitCode validate(const std::filesystem::path& path) {
  const auto validation = analysis::validate_record(path);
  print(analysis::validation_text(validation));
  if (validation.usable()) return ExitCode::ok;
  throw bad_data(
      "{}: cannot be analysed: {}: {}{}", path.string(), validation.wrong.front().object,
      validation.wrong.front().what,
      validation.wrong.size() == 1 ? "" : fmt::format(" ({} more above)", validation.wrong.size() - 1));
}

// A model's own file or directory where a record is expected.
void refuse_model(const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::path model;
  if (is_gguf(path) || std::filesystem::exists(path / "config.json", ignored))
    model = path;
  else if (path.extension() == ".safetensors" || path.filename() == "config.json")
    model = path.has_parent_path() ? path.parent_path() : ".";
  else
    return;
  throw usage_error("inspect: {} is of a model, not a record: shardrift inspect --model {}", path.string(),
                    model.string());
}

// --validate is of a finished record.
void refuse_parts(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto parts = std::filesystem::is_directory(path, ignored) ? path : record::parts_directory(path);
  if (std::filesystem::exists(path, ignored) && parts != path) return;
  if (!std::filesystem::is_directory(parts, ignored)) return;
  throw usage_error(
      "inspect: {} holds a run's finished prompts, not yet its record: --validate is of a record FILE.h5 "
      "that another "
      "program wrote; give the run's command again to finish it, or see what is there: shardrift inspect {} "
      "--verify",
      parts.string(), parts.string());
}

constexpr const char* kWithModel = "with --model";

ExitCode inspect_directory(const analysis::ModelQuestion& question, const std::string& json_path) {
  OutputFile json("--json", json_path, {question.directory.string()});
  const auto model = analysis::inspect_model(question);
  print(analysis::inspect_text(model));
  if (json.wanted()) json.stream() << analysis::inspect_json(model);
  json.close();
  return model.will_run() ? ExitCode::ok : ExitCode::bad_data;
}

}  // namespace

ExitCode inspect(const std::vector<std::string>& arguments) {
  std::string json_path;
  std::string csv_path;
  bool verify = false;
  bool validated = false;
  std::vector<std::string> files;
  Arguments known("inspect", kHelp);
  known.files(files)
      .option("json", json_path, "FILE", "write the same as JSON")
      .option("csv", csv_path, "FILE", "write the table of prompts")
      .flag("verify", verify,
            "read everything and hold it against the recorded SHA-256; exit code 65 where a prompt was "
            "edited or "
            "damaged")
      .flag("validate", validated,
            "say item by item what a file that another program wrote has wrong or lacks "
            "(docs/file-format.md); exit "
            "code 65 where it cannot be analysed");
  analysis::ModelQuestion question;
  std::string directory;
  known.group(kWithModel)
      .option("model", directory, "DIR", "a Hugging Face directory, or a GGUF file")
      .option("dtype", question.dtype, "NAME", "of the run whose memory is shown (default: the checkpoint's)")
      .option("batch", question.batch, "N", "prompts decoded together (default 1)")
      .option("max-length", question.max_length, "N",
              "tokens of the longest prompt with its answer (default: the model's context)");
  if (!known.read(arguments)) return ExitCode::ok;
  if (!directory.empty()) {
    if (!files.empty() || verify || validated || !csv_path.empty())
      throw usage_error("inspect: --model takes no file, and no --csv, --verify or --validate");
    question.directory = directory;
    return inspect_directory(question, json_path);
  }
  if (const auto given = known.given_of(kWithModel))
    throw usage_error("inspect: --{} goes with --model DIR", *given);
  if (files.size() != 1) throw usage_error("inspect: needs one file: shardrift inspect FILE.h5");
  const std::filesystem::path path = files.front();
  refuse_model(path);
  if (validated) {
    if (verify || !json_path.empty() || !csv_path.empty())
      throw usage_error("inspect: --validate says what a file lacks: without --verify, --json and --csv");
    refuse_parts(path);
    return validate(path);
  }
  const bool is_metrics = path.extension() == ".metrics";
  if (is_metrics && !csv_path.empty())
    throw usage_error("inspect: --csv is the table of a record's prompts; {} holds a comparison",
                      path.string());
  if (is_metrics && verify)
    throw usage_error("inspect: --verify is of a record; {} holds a comparison: compare again",
                      path.string());
  OutputFile json("--json", json_path, files);
  OutputFile csv("--csv", csv_path, files);
  if (is_metrics) {
    const auto kept = analysis::read_metrics(path);
    print(analysis::inspect_text(path, kept));
    if (json.wanted()) json.stream() << analysis::inspect_json(path, kept);
  } else {
    const auto reader = record::Reader::open(path);
    print(analysis::inspect_text(reader));
    if (json.wanted()) json.stream() << analysis::inspect_json(reader);
    if (csv.wanted()) analysis::write_inspect_csv(csv.stream(), reader);
    if (verify) verify_all(reader);
  }
  json.close();
  csv.close();
  return ExitCode::ok;
}

}  // namespace shardrift::cli
