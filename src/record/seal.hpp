// The end of a part: hashes of everything before it, so that damage anywhere in the file is found without
// giving the file to HDF5, which reads over what follows its own end. Private to src/record.
//
//   of each extent: offset, bytes (64 bits each), XXH3-128 of its bytes
//   XXH3-128 of all bytes outside of extents and of the lines above; number of extents (64 bits); "ShardSu2"
//
// What was hashed before it was written (logits' chunks, by several threads) is an extent and not read back.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

namespace shardrift::record {

struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::array<unsigned char, 16> digest{};
};
Extent extent_of(std::span<const std::byte> bytes);  // at offset 0

enum class Seal {
  whole,   // every byte is as it was written
  broken,  // not
  none,    // written without, by an older version; or cut short
};

// Appends the seal. Throws failure naming the file.
void seal(const std::filesystem::path& path, std::vector<Extent> extents = {});
Seal seal_of(const std::filesystem::path& path);  // broken also where it cannot be read
// The same of many, which several threads read; calls visit(index, seal) in order, in the calling thread.
void seals_of(const std::vector<std::filesystem::path>& paths,
              const std::function<void(std::size_t, Seal)>& visit);

}  // namespace shardrift::record
