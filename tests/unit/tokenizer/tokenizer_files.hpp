// Tokenizer files for the tests.
#pragma once
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "tokenizer/tokenizer.hpp"

namespace shardrift {

// data/ of this folder, or what make_fixtures.py --random wrote elsewhere.
inline std::filesystem::path fixture(const std::string& name) {
  const char* other = std::getenv("SHARDRIFT_TOKENIZER_FIXTURES");
  return std::filesystem::path(other != nullptr ? other : SHARDRIFT_SOURCE_DIR "/tests/unit/tokenizer/data") /
         name;
}

inline nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return nlohmann::json::parse(file);
}

// A file that goes away with the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text)
      : path_(std::filesystem::temp_directory_path() / ("shardrift-tokenizer-" + std::to_string(::getpid()) +
                                                        "-" + std::to_string(next()) + ".json")) {
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TemporaryFile() {
    std::error_code error;
    std::filesystem::remove(path_, error);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  static int next() {
    static int count = 0;
    return count++;
  }
  std::filesystem::path path_;
};

// A folder that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    auto pattern = (std::filesystem::temp_directory_path() / "shardrift-tokenizer-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline Tokenizer tokenizer_of(const std::string& text) {
  const TemporaryFile file(text);
  return Tokenizer::open(file.path());
}

}  // namespace shardrift
