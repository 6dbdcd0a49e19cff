#include "worker/run_output.hpp"

#include <iterator>
#include <sstream>

#include "common/error.hpp"
#include "common/input_files.hpp"
#include "common/progress.hpp"
#include "worker/opened_plan.hpp"

namespace shardrift {
namespace {

std::set<std::string> words_of(const std::string& text) {
  std::istringstream words(text);
  return {std::istream_iterator<std::string>(words), {}};
}

template <typename Ids>
std::string joined(const Ids& ids) {
  std::string text;
  for (const auto& id : ids) text += id + ' ';
  return text;
}

// What lies among the parts of the output may be removed with them.
void refuse_inside(const RunOptions& options) {
  const auto parts = resolved(options.output.string() + ".parts");
  for (const auto& input :
       {options.prompts, options.follow, options.collective_profile, options.replay_routes})
    if (!input.empty() && resolved(input).parent_path() == parts)
      throw usage_error("--output {}: {} lies among its parts: name another output", options.output.string(),
                        input.string());
}

}  // namespace

RunOutput::RunOutput(const World& world, const RunOptions& options, const std::vector<Job>& jobs,
                     ProgressLine& progress)
    : world_(world),
      progress_(progress),
      options_{options.output, options.overwrite, options.compression, {}, {}, [](const std::string& note) {
                 print_notes({note});
               }} {
  for (const auto& job : jobs) options_.prompts.push_back(job.prompt);
  world.together([&] {
    if (world.rank() != 0) return;
    record::require_room(options.output);
    auto inputs = files_in(options.model);
    for (const auto& input :
         {options.prompts, options.follow, options.collective_profile, options.replay_routes})
      inputs.push_back(input.string());
    for (const auto* name :
         {"config.json", "generation_config.json", "tokenizer.json", "tokenizer.model",
          "tokenizer_config.json", "added_tokens.json", "model.safetensors", "model.safetensors.index.json"})
      inputs.push_back((options.model / name).string());  // read where they are there
    refuse_inside(options);
    for (const auto& file : record::files_of(options.output)) refuse_input("--output", file.string(), inputs);
    lock_.emplace(options.output, options.no_output_lock);
    options_.owner = lock_->token();
    has_earlier_ = record::has_earlier(options.output);
  });
  options_.owner = world.broadcast(options_.owner);
  has_earlier_ = world.broadcast(has_earlier_ ? "yes" : "no") == "yes";
}

record::Progress RunOutput::shown(const char* what) const {
  return [this, what](double share) {
    progress::done();
    progress_.show(fmt::format("{} {:3.0f}%", what, 100 * share));
  };
}

std::set<std::string> RunOutput::prepare(const record::RunInfo& run) {
  std::string ids;
  world_.together([&] {
    if (world_.rank() != 0) return;
    const progress::Doing preparing("preparing the output");
    ids = joined(record::prepare_output(options_, run, shown("verifying what is recorded")));
  });
  return words_of(world_.broadcast(ids));
}

std::set<std::string> RunOutput::missing(const record::RunInfo& run) {
  std::string ids;
  world_.together([&] {
    if (world_.rank() != 0) return;
    const progress::Doing verifying("verifying what was recorded");
    ids = joined(record::missing_prompts(options_, run, shown("verifying what was recorded")));
  });
  return words_of(world_.broadcast(ids));
}

void RunOutput::assemble(const record::RunInfo& run, const record::RunTiming& timing) {
  const progress::Doing assembling("assembling the record");
  record::assemble(options_, run, timing, shown("assembling"));
}

}  // namespace shardrift
