#include "cli/output_file.hpp"

#include <filesystem>

#include "common/error.hpp"

namespace shardrift::cli {

void refuse_input(const std::string& flag, const std::string& path, const std::vector<std::string>& inputs) {
  namespace fs = std::filesystem;
  if (path.empty()) return;
  std::error_code ignored;
  const fs::path full = fs::weakly_canonical(path, ignored);
  for (const auto& input : inputs) {
    if (input.empty()) continue;
    if (fs::equivalent(path, input, ignored) || full == fs::weakly_canonical(input, ignored))
      throw usage_error("{} {}: is one of the files that are read; name another", flag, path);
    if (fs::is_directory(input, ignored) && fs::equivalent(full.parent_path(), input, ignored))
      throw usage_error("{} {}: lies in {}, which is read; name another folder", flag, path, input);
  }
}

namespace {

// Of this command: two flags may not name one file.
std::vector<std::string>& opened() {
  static std::vector<std::string> paths;
  return paths;
}

}  // namespace

OutputFile::OutputFile(std::string flag, std::string path, const std::vector<std::string>& inputs)
    : flag_(std::move(flag)), path_(std::move(path)) {
  if (path_.empty()) return;
  refuse_input(flag_, path_, inputs);
  std::error_code ignored;
  for (const auto& other : opened())
    if (std::filesystem::equivalent(path_, other, ignored))
      throw usage_error("{} {}: is written already, for another flag; name another", flag_, path_);
  file_.open(path_, std::ios::binary | std::ios::trunc);
  if (!file_) throw failure("{} {}: cannot be written", flag_, path_);
  opened().push_back(path_);
}

void OutputFile::close() {
  if (!wanted()) return;
  file_.close();
  if (!file_) throw failure("{} {}: cannot be written", flag_, path_);
}

}  // namespace shardrift::cli
