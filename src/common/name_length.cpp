#include "common/name_length.hpp"

#include <unistd.h>

#include <climits>
#include <string>
#include <system_error>

#include "common/error.hpp"

namespace shardrift {
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kShown = 96;

// Both ends of a text that would fill the terminal.
std::string shortened(const std::string& text) {
  if (text.size() <= kShown) return text;
  return text.substr(0, kShown / 2) + "[…]" + text.substr(text.size() - kShown / 2);
}

// The longest name in the folder that the path lies in, or would: some file systems take less than NAME_MAX.
std::size_t longest_name(fs::path folder) {
  std::error_code error;
  while (!fs::is_directory(folder, error)) {
    const auto parent = folder.parent_path();
    if (parent.empty() || parent == folder) {
      folder = ".";
      break;
    }
    folder = parent;
  }
  const long most = pathconf(folder.c_str(), _PC_NAME_MAX);
  return most > 0 ? static_cast<std::size_t>(most) : NAME_MAX;
}

}  // namespace

void refuse_long_name(std::string_view flag, const fs::path& path, const fs::path& written) {
  constexpr std::size_t kLongestPath = PATH_MAX - 1;
  if (const auto bytes = written.native().size(); bytes > kLongestPath)
    throw usage_error(
        "{} {}: a path of {} bytes would be written for it, this system takes {}: choose a shorter one", flag,
        shortened(path.string()), bytes, kLongestPath);
  const auto most = longest_name(path);
  for (const auto& name : written)
    if (name.native().size() > most)
      throw usage_error(
          "{} {}: {} would be a name of {} bytes, this file system takes {}: choose a shorter one", flag,
          shortened(path.string()), shortened(name.string()), name.native().size(), most);
}

}  // namespace shardrift
