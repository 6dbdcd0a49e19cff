// Which record a file is: what results drawn from it are kept under.
#pragma once
#include <cstdint>
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

}  // namespace shardrift::record
