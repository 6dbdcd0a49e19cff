// The names that a run will need for its output, looked at before anything is computed.
#pragma once
#include <filesystem>

namespace shardrift::record {

// Throws usage_error where a file that a run writes beside or for --output would have a longer name than the
// file system takes.
void refuse_long_names(const std::filesystem::path& output);

}  // namespace shardrift::record
