#include "cli/output_file.hpp"

#include <filesystem>

#include "common/error.hpp"

namespace shardrift::cli {

void refuse_input(const std::string& flag, const std::string& path, const std::vector<std::string>& inputs) {
  std::error_code ignored;
  for (const auto& input : inputs)
    if (!path.empty() && std::filesystem::equivalent(path, input, ignored))
      throw usage_error("{} {}: is one of the files that are read; name another", flag, path);
}

OutputFile::OutputFile(std::string flag, std::string path, const std::vector<std::string>& inputs)
    : flag_(std::move(flag)), path_(std::move(path)) {
  if (path_.empty()) return;
  refuse_input(flag_, path_, inputs);
  file_.open(path_, std::ios::binary | std::ios::trunc);
  if (!file_) throw failure("{} {}: cannot be written", flag_, path_);
}

void OutputFile::close() {
  if (!wanted()) return;
  file_.close();
  if (!file_) throw failure("{} {}: cannot be written", flag_, path_);
}

}  // namespace shardrift::cli
