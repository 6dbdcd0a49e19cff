// Sums of weights (weight_hash.hpp) kept from one run to the next, so that a checkpoint is hashed once. One
// small JSON file for each safetensors file, under $SHARDRIFT_CACHE_DIR, else $XDG_CACHE_HOME/shardrift, else
// ~/.cache/shardrift; believed only while device, inode, size, mtime and ctime are those that were hashed.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "weights/safetensors.hpp"

namespace shardrift {

// In the order of Checkpoint::stored(); nullopt unless every tensor's is known.
std::optional<std::vector<std::uint64_t>> kept_sums(const Checkpoint& checkpoint);

// Keeps what it can: a cache that cannot be written costs time, nothing else. Files that changed within the
// last two seconds are left out: a later change could bear the same time.
void keep_sums(const Checkpoint& checkpoint, std::span<const std::uint64_t> sums,
               std::chrono::system_clock::time_point now = std::chrono::system_clock::now());

}  // namespace shardrift
