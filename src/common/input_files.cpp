#include "common/input_files.hpp"

#include "common/error.hpp"

namespace shardrift {

namespace fs = std::filesystem;

fs::path resolved(const fs::path& path) {
  std::error_code ignored;
  return fs::weakly_canonical(fs::absolute(path), ignored);
}

void refuse_input(const std::string& flag, const std::string& path, const std::vector<std::string>& inputs) {
  if (path.empty()) return;
  std::error_code ignored;
  const fs::path full = resolved(path);
  for (const auto& input : inputs) {
    if (input.empty()) continue;
    if (fs::equivalent(path, input, ignored) || full == resolved(input))
      throw usage_error("{} {}: is one of the files that are read; name another", flag, path);
    if (fs::is_directory(input, ignored) && fs::equivalent(full.parent_path(), input, ignored))
      throw usage_error("{} {}: lies in {}, which is read; name another folder", flag, path, input);
  }
}

std::vector<std::string> files_in(const fs::path& folder) {
  std::error_code error;
  if (fs::is_regular_file(folder, error)) return {folder.string()};
  std::vector<std::string> files;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    files.push_back(it->path().string());
  return files;
}

}  // namespace shardrift
