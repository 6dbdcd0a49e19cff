// shardrift scale-out --model DIR --to N
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/study_run.hpp"
#include "common/durable_file.hpp"
#include "experiments/runner/status.hpp"
#include "experiments/study/scale_out.hpp"

namespace shardrift::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kSomePrompts = 36;  // the presets of `gate` pass nothing on fewer than 30

constexpr const char* kHelp = R"(usage: shardrift scale-out --model DIR [--to 4] [options]

What will change when this model goes from one device to four? Needs no study
file and no second GPU: what the machine has runs for real, the rest is computed
on one device as shards that are summed in the order in which the real machine's
collective adds (a collective profile, shipped or probed), bit for bit.

  shardrift scale-out --model models/smollm2-135m
  shardrift scale-out --model DIR --to 4 --prompts mine.jsonl --max-new-tokens 256
  shardrift scale-out --model DIR --collective-profile four-h100.json
  shardrift scale-out --model DIR --yardstick int8,int4,nf4,fp8

Runs one device (twice, for the noise floor), TP = 2 to N, PP = 2 where there are
two devices, and yardsticks, how far people already go without worry: one device
with quantized weights (int8, int4, nf4, fp8, fp8-block) or another dtype (float16,
bfloat16, float32), fed the reference's tokens. The answer then says how many times
as much as the nearest of them the model is moved. Without --prompts: 36 of the
shipped short prompts, in English, Chinese and Japanese. Ends with a table, a
verdict and a report.

Ctrl-C shows the answer so far; the same command goes on from there.

exit code: 0 all runs are done and compared, 2 one is not possible here or its
record cannot be used, 70 some failed, 75 interrupted (run it again), 64 usage,
65 a model or prompts that cannot be used
)";

}  // namespace

ExitCode scale_out(const std::vector<std::string>& arguments) {
  StudyFlags flags;
  study::ScaleOutWanted wanted;
  std::string collective{name_of(wanted.collective)};
  Arguments known("scale-out", kHelp);
  add_study_options(known, flags);
  known
      .option("model", wanted.model, "DIR",
              "Hugging Face directory (config.json, *.safetensors, a tokenizer), or a GGUF file")
      .option("to", wanted.to, "N", "devices to go to, 2 to 8 (default 4)")
      .option("prompts", wanted.prompts, "FILE", "prompts of your own, all of them are run")
      .option("dtype", wanted.dtype, "NAME", "default: the checkpoint's")
      .option("collective", collective, "NAME",
              "whose all-reduce: library (default); one-shot, two-shot: as serving engines have them")
      .option("yardstick", wanted.yardsticks, "NAMES",
              "separated by commas (default: float16, of a float16 or float32 model bfloat16)")
      .option("max-new-tokens", wanted.max_new_tokens, "N", "of each prompt (default 32)")
      .option("batch", wanted.batch, "N",
              "prompts that are decoded together (default 8: several times as fast as 1)");
  if (!known.read(arguments)) return ExitCode::ok;
  wanted.collective = named<Collective>("--collective", collective);
  if (wanted.model.empty())
    throw usage_error(
        "scale-out: --model DIR is needed: a Hugging Face directory (scripts/fetch-model gets one) or a GGUF "
        "file");
  if (flags.output.empty()) {
    const auto name = fs::absolute(wanted.model / ".").lexically_normal().parent_path().filename().string();
    flags.output = fs::path("out") / ("scale-out-" + name);
  }
  runner::refuse_long_folder(flags.output);
  if (wanted.prompts.empty()) {
    wanted.prompts = flags.output / "prompts.jsonl";
    std::error_code error;
    fs::create_directories(flags.output, error);
    if (error) throw failure("{}: cannot be made: {}", flags.output.string(), error.message());
    write_text_durably(wanted.prompts, study::some_prompts(study::shipped_prompts(), kSomePrompts));
  }
  return run_study([&](const study::Machine& machine) { return study::scale_out_study(wanted, machine); },
                   flags);
}

}  // namespace shardrift::cli
