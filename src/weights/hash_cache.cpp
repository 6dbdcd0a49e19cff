#include "weights/hash_cache.hpp"

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "common/json_file.hpp"

namespace shardrift {
namespace {

namespace fs = std::filesystem;

constexpr int kFormat = 1;  // of a kept file; another hash needs another number
constexpr std::size_t kMaxBytes = std::size_t{64} << 20U;
constexpr std::int64_t kTooFresh = 2'000'000'000;  // ns

std::optional<fs::path> folder() {
  const auto variable = [](const char* name) -> std::optional<fs::path> {
    const char* const value = std::getenv(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return fs::path(value);
  };
  if (const auto own = variable("SHARDRIFT_CACHE_DIR")) return *own / "weights";
  if (const auto cache = variable("XDG_CACHE_HOME")) return *cache / "shardrift/weights";
  if (const auto home = variable("HOME")) return *home / ".cache/shardrift/weights";
  return std::nullopt;
}

// One file's place does not change with its content: a new version takes the old one's.
fs::path place_of(const fs::path& folder, const FileStamp& stamp) {
  return folder / (sha256_hex(fmt::format("{}:{}", stamp.device, stamp.inode)).substr(0, 32) + ".json");
}

nlohmann::json to_json(const FileStamp& stamp) {
  return {{"format", kFormat},  {"device", stamp.device},  {"inode", stamp.inode},
          {"size", stamp.size}, {"mtime_ns", stamp.mtime}, {"ctime_ns", stamp.ctime}};
}

std::optional<std::uint64_t> sum_from(const nlohmann::json& value) {
  if (!value.is_string()) return std::nullopt;
  const auto text = value.get<std::string>();
  std::uint64_t sum = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), sum, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return sum;
}

// The kept sums of one file by tensor; a null value where there are none of just this file.
nlohmann::json kept(const fs::path& folder, const FileStamp& stamp) {
  const auto path = place_of(folder, stamp);
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return nullptr;
  try {
    const auto json = parse_json_object(read_text_file(path, kMaxBytes), path.string());
    const auto wanted = to_json(stamp);
    for (const auto& [key, value] : wanted.items())
      if (!json.contains(key) || json[key] != value) return nullptr;
    if (!json.contains("sums") || !json["sums"].is_object()) return nullptr;
    return json["sums"];
  } catch (const Error&) {
    return nullptr;  // damaged: hashed again
  }
}

}  // namespace

std::optional<std::vector<std::uint64_t>> kept_sums(const Checkpoint& checkpoint) {
  const auto where = folder();
  if (!where) return std::nullopt;
  std::vector<nlohmann::json> files;
  for (const auto& stamp : checkpoint.stamps()) files.push_back(kept(*where, stamp));
  std::vector<std::uint64_t> sums;
  for (const auto& tensor : checkpoint.stored()) {
    const auto& file = files[tensor.file];
    if (!file.is_object() || !file.contains(tensor.name)) return std::nullopt;
    const auto sum = sum_from(file[tensor.name]);
    if (!sum) return std::nullopt;
    sums.push_back(*sum);
  }
  return sums;
}

void keep_sums(const Checkpoint& checkpoint, std::span<const std::uint64_t> sums,
               std::chrono::system_clock::time_point now) {
  const auto where = folder();
  if (!where) return;
  std::error_code ignored;
  fs::create_directories(*where, ignored);
  const auto stamps = checkpoint.stamps();
  std::vector<nlohmann::json> files;
  for (const auto& stamp : stamps) files.push_back(to_json(stamp));
  const auto tensors = checkpoint.stored();
  for (std::size_t t = 0; t < tensors.size(); ++t)
    files[tensors[t].file]["sums"][tensors[t].name] = fmt::format("{:016x}", sums[t]);
  const std::int64_t settled =
      std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count() - kTooFresh;
  for (std::size_t f = 0; f < files.size(); ++f) {
    if (std::max(stamps[f].ctime, stamps[f].mtime) > settled) continue;
    const auto path = place_of(*where, stamps[f]);
    const fs::path temporary = path.string() + fmt::format(".{}.tmp", getpid());
    std::ofstream(temporary) << files[f].dump() << '\n';
    fs::rename(temporary, path, ignored);
    if (ignored) fs::remove(temporary, ignored);
  }
}

}  // namespace shardrift
