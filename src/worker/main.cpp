// shardrift-run: the worker that mpirun or srun starts once per device.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "common/leave.hpp"
#include "common/standard_output.hpp"
#include "common/stop_request.hpp"
#include "common/system_reason.hpp"
#include "model/cuda/cuda_device.hpp"
#include "options/bench_options.hpp"
#include "options/graft_options.hpp"
#include "options/probe_options.hpp"
#include "options/run_options.hpp"
#include "worker/apply_pinning.hpp"
#include "worker/bench_command.hpp"
#include "worker/early_device.hpp"
#include "worker/graft_command.hpp"
#include "worker/limits.hpp"
#include "worker/probe_command.hpp"
#include "worker/run.hpp"
#include "worker/singletons.hpp"
#include "worker/start_guard.hpp"
#include "worker/start_times.hpp"
#include "worker/stated.hpp"

namespace {

using shardrift::ExitCode;
using shardrift::leave;

constexpr const char* kHelp =
    "shardrift-run: tensor- and pipeline-parallel inference that records every logit.\n\n"
    "  shardrift-run run --help    run a model under one plan\n"
    "  shardrift-run probe --help  in which order do the ranks of this machine add?\n"
    "  shardrift-run bench --help  how fast is a plan, and where does its time go?\n"
    "  shardrift-run graft --help  which operation's output makes the difference of two plans?\n"
    "  shardrift-run devices       UUIDs of the GPUs, numbered as CUDA numbers them\n"
    "  shardrift-run --version\n\n"
    "Alone it is one rank; start several with mpirun -np N shardrift-run run … or srun.\n"
    "Compare what it recorded with: shardrift compare REF.h5 CAND.h5\n";

constexpr const char* kDevicesHelp =
    "shardrift-run devices: the UUIDs of the GPUs that this process sees, one a line, in CUDA's order "
    "(fastest first,\n"
    "unless CUDA_DEVICE_ORDER=PCI_BUS_ID). Nothing where there is no GPU, or this build is for CPUs. It "
    "takes no flags;\n"
    "shardrift study and scale-out ask it which GPU a number in CUDA_VISIBLE_DEVICES is.\n";

std::string version_text() {
#ifdef SHARDRIFT_HAVE_CUDA
  return "shardrift-run " SHARDRIFT_VERSION " (cpu, cuda)\n";
#else
  return "shardrift-run " SHARDRIFT_VERSION " (cpu)\n";
#endif
}

std::string devices_text() {
  std::string text;
#ifdef SHARDRIFT_HAVE_CUDA
  for (const auto& uuid : shardrift::cuda_device_uuids()) text += uuid + '\n';
#endif
  return text;
}

// Without MPI, so that it works anywhere; nothing where ranks are needed.
std::optional<std::string> answer_alone(const std::vector<std::string>& arguments) {
  const std::string command = arguments.empty() ? "--help" : arguments[0];
  if (command == "--help" || command == "-h" || command == "help") return kHelp;
  if (command == "--version") return version_text();
  // Among its words wherever: whoever asks has often typed most of the command already.
  const bool help = std::any_of(arguments.begin() + 1, arguments.end(),
                                [](const std::string& word) { return word == "--help" || word == "-h"; });
  if (help && command == "run") return shardrift::run_help();
  if (help && command == "bench") return shardrift::bench_help();
  if (help && command == "graft") return shardrift::graft_help();
  if (help && command == "probe") return shardrift::probe_help();
  if (command == "devices" && help) return kDevicesHelp;
  if (command == "devices" && arguments.size() > 1)
    throw shardrift::usage_error("devices: '{}' is not understood: it takes no flags", arguments[1]);
  if (command == "devices") return devices_text();
  return std::nullopt;
}

std::string unknown_command(const std::string& command) {
  if (command == "inspect" || command == "compare")
    return "'" + command + "' is a command of the other program: shardrift " + command + " --help";
  return "unknown command '" + command + "': see shardrift-run --help";
}

int report(const shardrift::World& world, const std::exception& error, ExitCode code, bool everywhere) {
  if (!everywhere) {
    std::fprintf(stderr, "shardrift-run: rank %d on %s: %s\n", world.rank(), world.host().c_str(),
                 shardrift::reason_of(error).c_str());
  } else if (world.rank() == 0) {
    std::fprintf(stderr, "shardrift-run: %s\n", error.what());
  }
  std::fflush(stderr);
  return static_cast<int>(code);
}

int run_ranks(int argc, char** argv, const std::vector<std::string>& arguments) {
  shardrift::catch_stop_signals();
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is reported as the write error it is

  // The libraries read what pins them when they start: before MPI does. An error is told when ranks can
  // agree.
  shardrift::Pinning pinning;
  std::optional<shardrift::Error> refused;
  try {
    pinning = shardrift::pinning_from(arguments);
    shardrift::apply_pinning(pinning);
  } catch (const shardrift::Error& error) {
    refused = error;
  }
  // A process that nobody started as a rank would start a daemon of OpenMPI's, for ranks to be spawned later.
  setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
  shardrift::leave_networks_out();
  std::optional<shardrift::StartGuard> starting(arguments);
  std::optional<shardrift::EarlyDevice> device(arguments);
  const shardrift::World world(argc, argv);
  starting.reset();
  shardrift::started("MPI");
  device.reset();
  try {
    world.together([&] {
      if (refused) throw shardrift::Error(*refused);
    });
    auto stated = shardrift::stated_pinning(pinning);
    stated.push_back({"the command", arguments[0]});
    shardrift::require_agreement(world, stated, shardrift::kSameCommand);
    shardrift::require_agreement(world, shardrift::stated_variables(), shardrift::kSameMachine);
    if (arguments[0] == "probe") return shardrift::probe_command(world, arguments, pinning);
    if (arguments[0] == "bench") return shardrift::bench_command(world, arguments, pinning);
    if (arguments[0] == "graft") return shardrift::graft_command(world, arguments, pinning);
    if (arguments[0] != "run") throw shardrift::AgreedError(ExitCode::usage, unknown_command(arguments[0]));
    return shardrift::run_command(world, arguments, pinning);
  } catch (const shardrift::AgreedError& error) {
    return report(world, error, error.code(), true);
  } catch (const shardrift::Error& error) {
    report(world, error, error.code(), false);
    world.abort(static_cast<int>(error.code()));
  } catch (const std::exception& error) {
    report(world, error, ExitCode::failure, false);
    world.abort(static_cast<int>(ExitCode::failure));
  }
}

}  // namespace

int main(int argc, char** argv) {
  shardrift::started("libraries");
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    shardrift::guard_standard_files();
    shardrift::claim_standard_output();
    if (const auto answer = answer_alone(arguments)) {
      shardrift::print(*answer);
      leave(0);
    }
    shardrift::settle_limits();
  } catch (const shardrift::Error& error) {
    std::fprintf(stderr, "shardrift-run: %s\n", error.what());
    leave(static_cast<int>(error.code()));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "shardrift-run: %s\n", error.what());
    leave(static_cast<int>(ExitCode::failure));
  }
  leave(run_ranks(argc, argv, arguments));
}
