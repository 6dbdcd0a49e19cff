// A file that holds /environment alone: what shardrift-run probe writes. Schema 1 like a record, without
// model and prompts; a record's /environment is read by the same function.
#pragma once
#include <filesystem>
#include <string>

#include "record/record.hpp"

namespace shardrift::record {

struct EnvironmentFile {
  std::string created;  // ISO 8601, UTC
  std::string command;
  std::string version;  // of shardrift
  Environment environment;
};

// Temporary name, fsync, rename. Throws usage_error where `path` exists and overwrite is not asked for,
// failure where it cannot be written.
void write_environment_file(const EnvironmentFile& file, const std::filesystem::path& path, bool overwrite);
// Of an environment file or a record. Throws bad_data naming file and object.
EnvironmentFile read_environment_file(const std::filesystem::path& path);

}  // namespace shardrift::record
