// Files that are there whole or not at all, also after a power cut.
#pragma once
#include <filesystem>
#include <string_view>

namespace shardrift {

// Flush `temporary` to the disk, give it its name, flush the directory: after a power cut either the old file
// is there or the whole new one. Throws failure.
void publish(const std::filesystem::path& temporary, const std::filesystem::path& final_name);
void sync_directory(const std::filesystem::path& directory);

// Writes a text file in that way, through "PATH.tmp". Throws failure naming the file (a full disk); then the
// old file is still there.
void write_text_durably(const std::filesystem::path& path, std::string_view text);

}  // namespace shardrift
