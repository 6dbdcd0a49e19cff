// shardrift: the light program. Reads the files of shardrift-run; needs no CUDA, MPI or libtorch.
#include <csignal>
#include <cstdio>
#include <exception>

#include "cli/commands.hpp"
#include "common/system_reason.hpp"
#include "common/text_columns.hpp"
#include "record/crash_guard.hpp"

namespace shardrift::cli {
namespace {

constexpr const char* kHelp = R"(shardrift: does a model say the same thing on several devices as on one?

usage: shardrift COMMAND ...

  compare REF CAND...   bit for bit, in numbers and token by token
  envelope FILE...      how far each logit moves among several runs
  explain REF CAND      which operation differs first, how it grows, and why
  diagnose REF CAND     noise or a bug? where, if it is one
  gate REF CAND...      pass, fail or inconclusive, by limits; one recommendation
  report REF CAND...    one HTML page that opens offline: answer, tables, plots
  inspect FILE          what a file holds: run, plan, environment, prompts
  import FILE...        a record of another engine's logits, so that the above take it
  profile show, diff    in which order a machine's collectives add; did an upgrade change it?
  scale-out --model DIR what will change when I go to four devices?
  study FILE.toml       run a whole matrix of plans, resume it, compare it
  submit FILE.toml      a study on a Slurm cluster
  status, cancel [DIR]  what became of it; take it out of the queue

  shardrift COMMAND --help   each command's options and examples
  shardrift --version

Files come from shardrift-run:

  shardrift-run run --model DIR --prompts prompts.jsonl --output one.h5 ...
  mpirun -np 2 shardrift-run run ... --tensor-parallel 2 --output tp2.h5
  shardrift compare one.h5 tp2.h5
)";

ExitCode dispatch(const std::vector<std::string>& arguments) {
  if (arguments.empty()) throw usage_error("no command: see shardrift --help");
  const std::string& command = arguments.front();
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (command == "compare") return compare(rest);
  if (command == "diagnose") return diagnose(rest);
  if (command == "envelope") return envelope(rest);
  if (command == "explain") return explain(rest);
  if (command == "gate") return gate(rest);
  if (command == "import") return import(rest);
  if (command == "inspect") return inspect(rest);
  if (command == "profile") return profile(rest);
  if (command == "report") return report(rest);
  if (command == "study") return study(rest);
  if (command == "submit") return submit(rest);
  if (command == "status") return status(rest);
  if (command == "cancel") return cancel(rest);
  if (command == "scale-out") return scale_out(rest);
  if (command == "--version") {
    print("shardrift " SHARDRIFT_VERSION "\n");
    return ExitCode::ok;
  }
  if (command == "--help" || command == "-h" || command == "help") {
    print(kHelp);
    return ExitCode::ok;
  }
  throw usage_error("unknown command '{}': see shardrift --help", command);
}

}  // namespace

void note(const std::string& text) {
  std::fprintf(stderr, "shardrift: note: %s\n", legible(text, Newlines::kept).c_str());
}

}  // namespace shardrift::cli

int main(int argc, char** argv) {
  shardrift::record::install_crash_guard();
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is reported as the write error it is
  try {
    shardrift::guard_standard_files();
    return static_cast<int>(shardrift::cli::dispatch({argv + 1, argv + argc}));
  } catch (const shardrift::Error& error) {
    std::fprintf(stderr, "shardrift: %s\n",
                 shardrift::legible(error.what(), shardrift::Newlines::kept).c_str());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "shardrift: %s\n",
                 shardrift::legible(shardrift::reason_of(error), shardrift::Newlines::kept).c_str());
    return static_cast<int>(shardrift::ExitCode::failure);
  }
}
