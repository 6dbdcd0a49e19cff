// Which collective profile predicts a machine's sum: among those the user names and those that are shipped.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "experiments/study/machine.hpp"
#include "parallel/profile/messages.hpp"
#include "parallel/profile/profile.hpp"

namespace shardrift::study {

struct ProfileWanted {
  int ranks = 0;
  CollectiveOperation operation = CollectiveOperation::all_reduce;
  DType dtype = DType::float32;
  bool pinned = false;  // the collective's algorithm is pinned by flags
  Messages messages;    // as the library is called: their orders must be known
  Collective collective = Collective::library;

  // As profiles name it: the machine's library, or one of our own all-reduces, which add alike on every
  // machine.
  std::string transport(const Machine& machine) const {
    return collective == Collective::library ? machine.collective_library : std::string(name_of(collective));
  }
};

struct ChosenProfile {
  CollectiveProfile profile;
  std::string described;  // "openmpi-4.1.4-4ranks.json: Open MPI v4.1.4, 4 ranks, probed on vm (Xeon), …"
};

// The best of all profiles that fit: of the machine's collective library, of that many ranks, with that
// operation and dtype probed, pinned or not as wanted; first those of the machine's library version, then
// those of its device, then the earlier in the list. Folders in `places` are searched for *.json; files in
// folders that are no profiles are passed over, a file named itself must be one (bad_data). What is
// named, or is of that library and number of ranks, but does not fit otherwise goes to `passed`.
std::optional<ChosenProfile> find_profile(const ProfileWanted& wanted, const Machine& machine,
                                          const std::vector<std::filesystem::path>& places,
                                          std::vector<std::string>& passed);

// Folders with the shipped profiles: $SHARDRIFT_PROFILES, beside the program
// (PREFIX/share/shardrift/profiles), in the source tree the program was built from. Only those that exist.
std::vector<std::filesystem::path> shipped_profile_folders();

}  // namespace shardrift::study
