// shardrift profile diff A B REF --run: one device predicts the record's tokens in the orders of both
// profiles.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/worker_runs.hpp"
#include "parallel/profile/profile.hpp"
#include "record/reader.hpp"

namespace shardrift::cli {

struct ProfileRunFlags {
  bool run = false;
  std::filesystem::path model;
  WorkerFlags worker;  // output empty: out/profile-diff/NAME of the record
};

// The group of options that go with --run; --run itself is not one of them.
inline constexpr const char* kWithProfileRun = "with --run";
void add_profile_run_options(Arguments& known, ProfileRunFlags& flags);

// Every file that run_orders may read or make, but for the profiles and the record.
std::vector<std::string> read_by(const ProfileRunFlags& flags);

struct OrderRecords {
  std::filesystem::path a, b;
};
// Runs what is missing: the record's plan, its ranks as shards of one device, its sums in the order of A,
// then of B, fed its tokens. nullopt: interrupted. Throws usage_error, bad_data (another model), failure.
std::optional<OrderRecords> run_orders(const ProfileRunFlags& flags, const record::Reader& run,
                                       const CollectiveProfile& a, const CollectiveProfile& b);

}  // namespace shardrift::cli
