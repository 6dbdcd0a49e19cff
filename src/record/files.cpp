#include "record/files.hpp"

#include <system_error>

#include "common/error.hpp"
#include "record/record.hpp"

namespace shardrift::record {
namespace fs = std::filesystem;

namespace {

fs::path with_suffix(fs::path path, const std::string& suffix) {
  path += suffix;
  return path;
}

}  // namespace

fs::path parts_directory(const fs::path& output) {
  return with_suffix(output, ".parts");
}
fs::path assembling_path(const fs::path& output) {
  return with_suffix(output, ".assembling");
}
fs::path lock_path(const fs::path& output) {
  return with_suffix(output, ".lock");
}
fs::path header_path(const fs::path& parts) {
  return parts / "+run.h5";
}
fs::path part_path(const fs::path& parts, const std::string& id) {
  return parts / (id + ".h5");
}
fs::path temporary_path(const fs::path& path, const std::string& owner) {
  const std::string own = owner.empty() ? "" : "." + owner.substr(0, 8);
  return with_suffix(path, own + ".tmp");
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

bool valid_id(const std::string& id) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  if (id.empty() || id.size() > 64 || !letter(id.front())) return false;
  for (const char c : id)
    if (!letter(c) && c != '.') return false;
  return true;
}

std::vector<std::string> part_ids(const fs::path& parts) {
  std::vector<std::string> ids;
  std::error_code error;
  for (fs::directory_iterator it(parts, error), end; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    if (path.extension() == ".h5" && valid_id(path.stem().string())) ids.push_back(path.stem().string());
  }
  if (error) throw failure("{}: cannot be listed: {}", parts.string(), error.message());
  return ids;
}

void remove_quietly(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

void remove_parts(const fs::path& parts) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(parts, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".tmp") files.push_back(it->path());
  for (const auto& id : part_ids(parts)) files.push_back(part_path(parts, id));
  files.push_back(header_path(parts));
  for (const auto& file : files) {
    fs::remove(file, error);
    if (error) throw failure("{}: cannot be removed: {}", file.string(), error.message());
  }
  fs::remove(parts, error);  // stays where someone put other files into it
}

}  // namespace shardrift::record
