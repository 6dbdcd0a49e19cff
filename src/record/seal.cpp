#include "record/seal.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <memory>
#include <system_error>
#include <vector>

#include "common/error.hpp"
#include "common/system_reason.hpp"
#include "record/files.hpp"

namespace shardrift::record {
namespace {

constexpr std::array kMark{'S', 'h', 'a', 'r', 'd', 'S', 'u', 'm'};
using Digest = std::array<unsigned char, sizeof(XXH128_canonical_t)>;
constexpr std::size_t kSealBytes = kMark.size() + std::tuple_size_v<Digest>;
constexpr std::size_t kBlock = std::size_t{4} << 20U;

// Of the first `bytes` of the file; false where they cannot be read.
bool hash_file(std::ifstream& file, std::uint64_t bytes, Digest& digest) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), XXH3_freeState);
  if (state == nullptr || XXH3_128bits_reset(state.get()) != XXH_OK) return false;
  std::vector<char> block(static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, bytes)));
  while (bytes > 0) {
    const auto now = std::min<std::uint64_t>(bytes, block.size());
    if (!file.read(block.data(), static_cast<std::streamsize>(now))) return false;
    XXH3_128bits_update(state.get(), block.data(), now);
    bytes -= now;
  }
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state.get()));
  std::memcpy(digest.data(), canonical.digest, digest.size());
  return true;
}

}  // namespace

void seal(const std::filesystem::path& path) {
  Digest digest{};
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  std::ifstream written(path, std::ios::binary);
  if (error || !hash_file(written, bytes, digest)) throw failure("{}: cannot be read back", path.string());
  std::array<char, kSealBytes> text{};
  std::copy(kMark.begin(), kMark.end(), text.begin());
  std::memcpy(text.data() + kMark.size(), digest.data(), digest.size());
  std::ofstream file(path, std::ios::binary | std::ios::app);
  errno = 0;
  file.write(text.data(), text.size());
  file.close();
  if (!file) throw failure("{}: cannot be written: {}", path.string(), system_reason(errno));
}

Seal seal_of(const std::filesystem::path& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  if (error || !std::filesystem::is_regular_file(path, error)) return Seal::broken;
  if (bytes < kSealBytes) return Seal::none;
  std::array<char, kSealBytes> text{};
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(bytes - kSealBytes));
  if (!file.read(text.data(), text.size())) return Seal::broken;
  if (!std::equal(kMark.begin(), kMark.end(), text.begin())) return Seal::none;
  Digest digest{};
  file.seekg(0);
  if (!hash_file(file, bytes - kSealBytes, digest)) return Seal::broken;
  return std::memcmp(digest.data(), text.data() + kMark.size(), digest.size()) == 0 ? Seal::whole
                                                                                    : Seal::broken;
}

}  // namespace shardrift::record
