#include "experiments/study/profiles.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "common/error.hpp"

namespace shardrift::study {
namespace {

namespace fs = std::filesystem;

// Variables that --nccl-algorithm, --nccl-protocol, --nccl-channels and --mpi-allreduce set
// (worker/apply_pinning.cpp).
constexpr std::array kPins{"NCCL_ALGO", "NCCL_PROTO", "NCCL_MIN_CTAS", "NCCL_MAX_CTAS",
                           "OMPI_MCA_coll_tuned_allreduce_algorithm"};

bool is_pinned(const CollectiveProfile& profile) {
  return std::any_of(kPins.begin(), kPins.end(),
                     [&](const char* name) { return profile.variables.contains(name); });
}

// Empty: it fits.
std::string misfit(const CollectiveProfile& profile, const ProfileWanted& wanted, const Machine& machine) {
  if (profile.transport != wanted.transport(machine)) return fmt::format("is of {}", profile.transport);
  if (profile.ranks != wanted.ranks) return fmt::format("is of {} ranks", profile.ranks);
  if (is_pinned(profile) != wanted.pinned)
    return wanted.pinned ? "was probed without a pinned algorithm" : "was probed with a pinned algorithm";
  const auto dtype = storage_of(wanted.dtype);
  const bool probed =
      std::any_of(profile.probed.begin(), profile.probed.end(), [&](const ProbedCollective& one) {
        return one.operation == wanted.operation && one.probe.dtype == dtype;
      });
  if (!probed) return fmt::format("has no {} in {}", name_of(wanted.operation), name_of(dtype));
  const auto unknown = [&](const std::set<std::int64_t>& counts, bool captured) -> std::string {
    for (const auto count : counts) {
      try {
        profile.map_for(wanted.operation, dtype, count, captured);
      } catch (const Error&) {
        return fmt::format("does not know the {}{} of {} {} elements", captured ? "captured " : "",
                           name_of(wanted.operation), count, name_of(dtype));
      }
    }
    return {};
  };
  const auto eager = unknown(wanted.messages.eager, false);
  return eager.empty() ? unknown(wanted.messages.captured, true) : eager;
}

int likeness(const CollectiveProfile& profile, const Machine& machine) {
  return (!machine.library_version.empty() && profile.library_version == machine.library_version ? 2 : 0) +
         (!machine.device_name.empty() && profile.device == machine.device_name ? 1 : 0);
}

std::vector<fs::path> json_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::string described(const CollectiveProfile& profile, const Machine& machine) {
  auto text = fmt::format("{}: {} {}, {} ranks, probed on {} ({}) {}", profile.file.filename().string(),
                          profile.library == "nccl" ? "NCCL" : "", profile.library_version, profile.ranks,
                          profile.machine, profile.device, profile.date.substr(0, 10));
  if (const auto gap = text.find("  "); gap != std::string::npos) text.erase(gap, 1);
  if (std::holds_alternative<PeerModel>(profile.model))
    return text + "; " + describe(profile.model) + " on any machine";
  // MPI's order depends on message size and ranks, not on the CPU.
  if (!machine.library_version.empty() && machine.library_version != profile.library_version)
    text += fmt::format("; this machine has {}, which may add in another order", machine.library_version);
  if (machine.device == "cuda" && machine.device_name != profile.device)
    text += fmt::format("; this machine's GPU is {}: the prediction is of that other machine",
                        machine.device_name.empty() ? "not known" : machine.device_name);
  return text;
}

}  // namespace

std::optional<ChosenProfile> find_profile(const ProfileWanted& wanted, const Machine& machine,
                                          const std::vector<fs::path>& places,
                                          std::vector<std::string>& passed) {
  std::optional<ChosenProfile> best;
  int best_likeness = -1;
  const auto consider = [&](const fs::path& file, bool named) {
    CollectiveProfile profile;
    try {
      profile = read_profile(file);
    } catch (const Error& error) {
      if (named) throw;
      passed.push_back(fmt::format("{} cannot be used: {}", file.filename().string(), error.what()));
      return;
    }
    if (const auto reason = misfit(profile, wanted, machine); !reason.empty()) {
      const bool alike = profile.transport == wanted.transport(machine) && profile.ranks == wanted.ranks;
      if (named || alike) passed.push_back(fmt::format("{} {}", file.filename().string(), reason));
      return;
    }
    const int like = likeness(profile, machine) + (named ? 4 : 0);  // what the user names comes first
    if (like <= best_likeness) return;
    best_likeness = like;
    best = ChosenProfile{profile, described(profile, machine)};
  };
  for (const auto& place : places) {
    if (fs::is_directory(place)) {
      for (const auto& file : json_files(place)) consider(file, false);
    } else {
      consider(place, true);
    }
  }
  return best;
}

std::vector<fs::path> shipped_profile_folders() {
  std::vector<fs::path> folders;
  if (const char* set = std::getenv("SHARDRIFT_PROFILES"); set != nullptr && *set != '\0')
    folders.emplace_back(set);
  std::error_code error;
  const auto program = fs::read_symlink("/proc/self/exe", error);
  if (!error) folders.push_back(program.parent_path().parent_path() / "share/shardrift/profiles");
  folders.emplace_back(SHARDRIFT_SOURCE_DIR "/experiments/profiles");
  std::erase_if(folders, [](const fs::path& folder) {
    std::error_code ignored;  // a folder that cannot be looked at is none
    return !fs::is_directory(folder, ignored);
  });
  return folders;
}

}  // namespace shardrift::study
