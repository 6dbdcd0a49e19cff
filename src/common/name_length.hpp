// Names that the file system cannot take are refused before anything is computed for them.
#pragma once
#include <filesystem>
#include <string_view>

namespace shardrift {

// written: the longest path that will be made for `path`, what is added while a file is written included
// ("OUT.h5.assembling"). Throws usage_error naming the flag where a name in it is longer than the file system
// takes, or the whole is longer than the system takes.
void refuse_long_name(std::string_view flag, const std::filesystem::path& path,
                      const std::filesystem::path& written);

}  // namespace shardrift
