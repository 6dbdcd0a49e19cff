// Directories and safetensors files for the tests.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/error.hpp"

namespace shardrift {

// A directory of its own, gone with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "shardrift-weights-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw failure("no temporary directory {}", pattern);
    }
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

// The bytes of a safetensors file: header length, header, data.
inline std::string safetensors(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) {
    bytes.push_back(static_cast<char>((static_cast<std::uint64_t>(header.size()) >> (8 * i)) & 0xFF));
  }
  return bytes + header + data;
}

// Data of n bytes: 0, 1, 2, …
inline std::string counting(std::size_t n) {
  std::string data(n, '\0');
  for (std::size_t i = 0; i < n; ++i) {
    data[i] = static_cast<char>(i);
  }
  return data;
}

// `call` throws bad_data whose message has every one of `parts`.
template <typename Call>
void expect_bad_data(const Call& call, const std::vector<std::string>& parts) {
  try {
    call();
    ADD_FAILURE() << "accepted, but should name: " << ::testing::PrintToString(parts);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_data) << error.what();
    for (const auto& part : parts) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
    }
  }
}

}  // namespace shardrift
