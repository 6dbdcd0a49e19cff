// Stands in for shardrift-run where a runner is tested: the same command line, the same record with the same
// durability, a few numbers instead of a model. What it shall do wrong, the environment says:
//   SHARDRIFT_HOLD as the real one (src/worker/hold.hpp)
//   FAKE_EXIT      "NAME:CODE:MESSAGE": the run of NAME.h5 ends so after its first prompt
//   FAKE_SIGNAL    "NAME:SIGNAL"
//   FAKE_OFF       NAME: its numbers are a little off
//   FAKE_CUDA      says that it was built with CUDA
//   FAKE_JOURNAL   a file that says in which order runs began and ended
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "options/run_options.hpp"
#include "parallel/plan/plan_json.hpp"
#include "record/reader.hpp"
#include "record/writer.hpp"
#include "weights/model_config.hpp"
#include "worker/hold.hpp"

namespace shardrift {
namespace {

namespace fs = std::filesystem;

std::atomic<bool> g_stop{false};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// What follows "NAME:" in the variable; empty where it names another run.
std::string meant_for(const char* variable, const std::string& name) {
  const auto text = environment(variable);
  return text.starts_with(name + ":") ? text.substr(name.size() + 1) : "";
}

void note(const char* what, const std::string& name) {
  const auto journal = environment("FAKE_JOURNAL");
  if (!journal.empty()) std::ofstream(journal, std::ios::app) << fmt::format("{} {}\n", what, name);
}

std::vector<std::string> prompt_ids(const fs::path& file) {
  std::vector<std::string> ids;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) ids.push_back(nlohmann::json::parse(line).at("id"));
  return ids;
}

// Followed runs bring their prompts along.
std::vector<std::string> ids_of(const RunOptions& options) {
  if (options.follow.empty()) return prompt_ids(options.prompts);
  const auto reader = record::Reader::open(options.follow);
  return reader.prompt_ids();
}

record::RunInfo describe(const RunOptions& options, const ModelConfig& config) {
  record::RunInfo run;
  run.created = "2026-01-02T03:04:05Z";
  run.command = "fake";
  run.version = "0";
  run.plan = plan_to_json(options.plan);
  run.mode = name_of(options.mode);
  run.level = name_of(options.level);
  run.logits_dtype = options.plan.logits_dtype;
  run.prompts_hash = sha256_hex(options.prompts.string());
  run.resume_key = sha256_hex(
      fmt::format("{}|{}|{}|{}", run.plan, run.mode, options.max_new_tokens, options.follow.string()));
  run.model = {config.architecture, "float32", "none", config.text, "identity", config.vocabulary, {}};
  return run;
}

// Numbers that depend on the number of shards alone, so that stages and replicas change no bit.
record::PromptRecord recorded(const std::string& id, std::int64_t index, const RunOptions& options,
                              const ModelConfig& config) {
  record::PromptRecord prompt;
  prompt.prompt = {id, index, "", "tokens", {1}};
  prompt.stop = "length";
  const auto vocabulary = static_cast<std::size_t>(config.vocabulary);
  std::vector<float> logits;
  const float off = environment("FAKE_OFF") == options.output.stem() ? 0.125F : 0.0F;
  for (int step = 0; step < options.max_new_tokens; ++step) {
    record::Row row;
    row.position = step;
    row.input_id = step == 0 ? 1 : 2;
    row.chosen = 2;
    prompt.rows.push_back(row);
    for (std::size_t i = 0; i < vocabulary; ++i)
      logits.push_back(i == 2 ? 9.0F + off
                              : 0.001F * static_cast<float>(options.plan.shards + static_cast<int>(i)));
  }
  prompt.logits.resize(logits.size() * sizeof(float));
  std::memcpy(prompt.logits.data(), logits.data(), prompt.logits.size());
  prompt.hash = sha256_hex(prompt.logits);
  return prompt;
}

int run(const std::vector<std::string>& arguments) {
  bool helped = false;
  RunOptions options = parse_run_options(arguments, helped);
  const auto config = read_model_config(options.model);
  options.plan = validated(options.plan, static_cast<int>(config.layers), world_size(options.plan));
  const auto name = options.output.stem().string();
  const auto info = describe(options, config);
  const record::WriterOptions writing{options.output, options.overwrite, 0};
  const auto finished = record::prepare_output(writing, info);
  note("began", name);
  Hold hold(options.output);
  {
    record::PartWriter writer(writing, info);
    const auto ids = ids_of(options);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (finished.contains(ids[i])) continue;
      if (g_stop) {
        writer.finish();
        throw Error(ExitCode::interrupted, "stopped by a signal");
      }
      writer.add(recorded(ids[i], static_cast<std::int64_t>(i), options, config));
      std::printf("ran %s\n", ids[i].c_str());
      std::fflush(stdout);
      hold.after(ids[i], g_stop);
      if (const auto signal = meant_for("FAKE_SIGNAL", name); !signal.empty()) {
        std::signal(std::stoi(signal), SIG_DFL);  // sanitizers catch some
        std::raise(std::stoi(signal));
      }
      if (const auto end = meant_for("FAKE_EXIT", name); !end.empty()) {
        std::fprintf(stderr, "shardrift-run: %s\n", end.substr(end.find(':') + 1).c_str());
        return std::stoi(end);
      }
    }
    writer.finish();
  }
  record::assemble(writing, info, {});
  note("ended", name);
  return 0;
}

}  // namespace
}  // namespace shardrift

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "--version") {
    std::puts(shardrift::environment("FAKE_CUDA").empty() ? "fake (cpu)" : "fake (cpu, cuda)");
    return 0;
  }
  for (const int number : {SIGTERM, SIGUSR1}) std::signal(number, [](int) { shardrift::g_stop = true; });
  try {
    return shardrift::run({arguments.begin() + 1, arguments.end()});
  } catch (const shardrift::Error& error) {
    std::fprintf(stderr, "shardrift-run: %s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "shardrift-run: %s\n", error.what());
    return 70;
  }
}
