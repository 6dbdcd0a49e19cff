// Which record a file is: what results drawn from it are kept under. Cheap: no logits, no token strings.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace shardrift::record {

struct Identity {
  std::string resume_key;
  std::string created;
  std::string prompts;        // SHA-256 over every prompt's id and the recorded hash of its logits
  std::int64_t bytes = 0;     // of the file
  std::int64_t modified = 0;  // of the file, ns since the epoch
  bool operator==(const Identity&) const = default;
};

// nullopt for the parts of a run that has not finished: they still grow. Throws bad_data as Reader::open
// does.
std::optional<Identity> identity_of(const std::filesystem::path& record);

}  // namespace shardrift::record
