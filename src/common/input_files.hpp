// What is read is not written over.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace shardrift {

// Throws usage_error where writing `path`, which `flag` names, would replace one of `inputs`, or write into
// one of them that is a folder. Those that are not there yet count by their name. An empty path is none.
void refuse_input(const std::string& flag, const std::string& path, const std::vector<std::string>& inputs);

// The files of a folder, for a command that may write others beside them; a file's own name. Empty where it
// cannot be listed.
std::vector<std::string> files_in(const std::filesystem::path& folder);

// The file meant, by its one name, whether it is there yet or not.
std::filesystem::path resolved(const std::filesystem::path& path);

}  // namespace shardrift
