#include "record/seal.hpp"

#define XXH_INLINE_ALL
#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <future>
#include <memory>
#include <optional>
#include <thread>

#include "common/error.hpp"
#include "common/system_reason.hpp"
#include "common/usable_cores.hpp"

namespace shardrift::record {
namespace {

constexpr std::array kMark{'S', 'h', 'a', 'r', 'd', 'S', 'u', '2'};
using Digest = decltype(Extent::digest);
constexpr std::size_t kLineBytes = 2 * sizeof(std::uint64_t) + sizeof(Digest);
constexpr std::size_t kEndBytes = sizeof(Digest) + sizeof(std::uint64_t) + kMark.size();
constexpr std::size_t kBlock = std::size_t{1} << 20U;

class File {
 public:
  File(const std::filesystem::path& path, int flags) : descriptor_(::open(path.c_str(), flags | O_CLOEXEC)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  std::optional<std::uint64_t> bytes() const {
    const auto end = descriptor_ < 0 ? -1 : ::lseek(descriptor_, 0, SEEK_END);
    return end < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(end));
  }
  bool read(void* to, std::size_t bytes, std::uint64_t offset) const {
    while (bytes > 0) {
      const auto got = ::pread(descriptor_, to, bytes, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      to = static_cast<char*>(to) + got;
      bytes -= static_cast<std::size_t>(got);
      offset += static_cast<std::uint64_t>(got);
    }
    return true;
  }
  // Sets errno where it fails.
  bool append(const void* from, std::size_t bytes, std::uint64_t offset) const {
    while (bytes > 0) {
      const auto put = ::pwrite(descriptor_, from, bytes, static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return false;
      from = static_cast<const char*>(from) + put;
      bytes -= static_cast<std::size_t>(put);
      offset += static_cast<std::uint64_t>(put);
    }
    return true;
  }

 private:
  int descriptor_;
};

class Hash {
 public:
  Hash() { XXH3_128bits_reset(state_.get()); }
  void reset() { XXH3_128bits_reset(state_.get()); }
  void update(const void* data, std::size_t bytes) { XXH3_128bits_update(state_.get(), data, bytes); }
  // [begin, end) of the file; false where it cannot be read.
  bool update(const File& file, std::uint64_t begin, std::uint64_t end) {
    block_.resize(kBlock);
    while (begin < end) {
      const auto now = static_cast<std::size_t>(std::min<std::uint64_t>(end - begin, kBlock));
      if (!file.read(block_.data(), now, begin)) return false;
      update(block_.data(), now);
      begin += now;
    }
    return true;
  }
  Digest digest() const {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_.get()));
    Digest digest{};
    std::memcpy(digest.data(), canonical.digest, digest.size());
    return digest;
  }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_{XXH3_createState(), XXH3_freeState};
  std::vector<char> block_;
};

std::string lines_of(const std::vector<Extent>& extents) {
  std::string lines;
  for (const Extent& extent : extents) {
    lines.append(reinterpret_cast<const char*>(&extent.offset), sizeof(extent.offset));
    lines.append(reinterpret_cast<const char*>(&extent.bytes), sizeof(extent.bytes));
    lines.append(reinterpret_cast<const char*>(extent.digest.data()), extent.digest.size());
  }
  return lines;
}

std::vector<Extent> extents_in(const std::string& lines) {
  std::vector<Extent> extents(lines.size() / kLineBytes);
  for (std::size_t i = 0; i < extents.size(); ++i) {
    const char* const line = lines.data() + i * kLineBytes;
    std::memcpy(&extents[i].offset, line, sizeof(std::uint64_t));
    std::memcpy(&extents[i].bytes, line + 8, sizeof(std::uint64_t));
    std::memcpy(extents[i].digest.data(), line + 16, sizeof(Digest));
  }
  return extents;
}

// What lies between the extents of the first `bytes` of the file, and their lines. nullopt where they are not
// in order, or it cannot be read.
std::optional<Digest> digest_of_rest(const File& file, std::uint64_t bytes,
                                     const std::vector<Extent>& extents) {
  Hash hash;
  std::uint64_t at = 0;
  for (const Extent& extent : extents) {
    if (extent.offset < at || extent.offset > bytes || extent.bytes > bytes - extent.offset)
      return std::nullopt;
    if (!hash.update(file, at, extent.offset)) return std::nullopt;
    at = extent.offset + extent.bytes;
  }
  if (!hash.update(file, at, bytes)) return std::nullopt;
  const auto lines = lines_of(extents);
  hash.update(lines.data(), lines.size());
  return hash.digest();
}

bool are_whole(const File& file, const std::vector<Extent>& extents) {
  Hash hash;
  return std::all_of(extents.begin(), extents.end(), [&](const Extent& extent) {
    hash.reset();
    return hash.update(file, extent.offset, extent.offset + extent.bytes) && hash.digest() == extent.digest;
  });
}

}  // namespace

Extent extent_of(std::span<const std::byte> bytes) {
  Extent extent{0, bytes.size()};
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  std::memcpy(extent.digest.data(), canonical.digest, extent.digest.size());
  return extent;
}

void seal(const std::filesystem::path& path, std::vector<Extent> extents) {
  std::sort(extents.begin(), extents.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  const File file(path, O_RDWR);
  const auto bytes = file.bytes();
  const auto digest = bytes ? digest_of_rest(file, *bytes, extents) : std::nullopt;
  if (!digest) throw failure("{}: cannot be read back", path.string());
  std::string text = lines_of(extents);
  const std::uint64_t count = extents.size();
  text.append(reinterpret_cast<const char*>(digest->data()), digest->size());
  text.append(reinterpret_cast<const char*>(&count), sizeof(count));
  text.append(kMark.data(), kMark.size());
  errno = 0;
  if (!file.append(text.data(), text.size(), *bytes))
    throw failure("{}: cannot be written: {}", path.string(), system_reason(errno));
}

Seal seal_of(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return Seal::broken;
  const File file(path, O_RDONLY);
  const auto bytes = file.bytes();
  if (!bytes) return Seal::broken;
  if (*bytes < kEndBytes) return Seal::none;
  std::array<char, kEndBytes> end{};
  if (!file.read(end.data(), end.size(), *bytes - end.size())) return Seal::broken;
  if (!std::equal(kMark.begin(), kMark.end(), end.end() - kMark.size())) return Seal::none;
  Digest digest{};
  std::uint64_t count = 0;
  std::memcpy(digest.data(), end.data(), digest.size());
  std::memcpy(&count, end.data() + digest.size(), sizeof(count));
  const std::uint64_t before = *bytes - kEndBytes;
  if (count > before / kLineBytes) return Seal::broken;
  std::string lines(count * kLineBytes, '\0');
  const std::uint64_t sealed = before - lines.size();
  if (!file.read(lines.data(), lines.size(), sealed)) return Seal::broken;
  const auto extents = extents_in(lines);
  const auto rest = digest_of_rest(file, sealed, extents);
  return rest && *rest == digest && are_whole(file, extents) ? Seal::whole : Seal::broken;
}

void seals_of(const std::vector<std::filesystem::path>& paths,
              const std::function<void(std::size_t, Seal)>& visit) {
  constexpr std::size_t kMostThreads = 8;
  std::vector<std::promise<Seal>> seals(paths.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < paths.size(); i = next++) {
      try {
        seals[i].set_value(seal_of(paths[i]));
      } catch (...) {
        seals[i].set_exception(std::current_exception());
      }
    }
  };
  std::vector<std::jthread> threads;
  const auto cores = static_cast<std::size_t>(usable_cores());
  for (std::size_t i = 0; i < std::min({paths.size(), cores, kMostThreads}); ++i) threads.emplace_back(work);
  for (std::size_t i = 0; i < paths.size(); ++i) visit(i, seals[i].get_future().get());
}

}  // namespace shardrift::record
