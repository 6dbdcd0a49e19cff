#include "tests/fuzz/targets/input.hpp"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace shardrift::fuzz {
namespace {

class Folder {
 public:
  Folder() {
    const std::filesystem::path memory = "/dev/shm";
    auto pattern = ((std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path()) /
                    "shardrift-fuzz-XXXXXX")
                       .string();
    if (::mkdtemp(pattern.data()) == nullptr) throw failure("no temporary folder {}", pattern);
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

const std::filesystem::path& folder() {
  static const Folder folder;
  return folder.path();
}

std::filesystem::path write(const char* name, std::string_view bytes) {
  auto path = folder() / name;
  ::unlink(path.c_str());
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

}  // namespace shardrift::fuzz
