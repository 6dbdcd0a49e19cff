// What a checkpoint's weights are: a hash of every stored byte, before any conversion, the same however the
// tensors are sharded, spread over files, or computed with.
//
// A tensor's sum is the sum modulo 2^64 of mix64(number of the block, XXH3 of the block) over its blocks of
// 1 MiB, as checksums are sums (common/mix64.hpp): sums of shares add up to the sum of the whole, in any
// order. XXH3 (Yann Collet, xxhash.com) finds other weights and damage, not forgery.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "weights/safetensors.hpp"

namespace shardrift {

// Hashes one share of a checkpoint's blocks in threads of its own, beside whoever reads the weights.
class WeightHasher {
 public:
  // Share `share` of `shares`, by bytes. The checkpoint must outlive it.
  WeightHasher(const Checkpoint& checkpoint, int share, int shares, int threads = 1);
  ~WeightHasher();  // gives up what is left
  WeightHasher(const WeightHasher&) = delete;
  WeightHasher& operator=(const WeightHasher&) = delete;

  // Waits, telling `progress` the share done, 0 to 1, several times a second. This share's part of each
  // tensor's sum, in the order of Checkpoint::stored().
  const std::vector<std::uint64_t>& sums(const std::function<void(double)>& progress = {});

 private:
  void work(std::uint64_t end);
  void hash(std::uint64_t end, std::vector<std::uint64_t>& sums);

  std::vector<StoredTensor> tensors_;
  std::vector<std::uint64_t> first_blocks_;  // of each tensor, counted through all of them
  std::vector<std::uint64_t> sums_;
  std::uint64_t bytes_ = 0;              // of this share
  std::atomic<std::uint64_t> next_ = 0;  // block that no thread has yet
  std::atomic<std::uint64_t> hashed_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::condition_variable ended_;
  int running_ = 0;
  std::vector<std::thread> threads_;
};

// SHA-256 over every tensor's name, dtype, shape and sum; 64 hexadecimal digits.
std::string weight_hash(const Checkpoint& checkpoint, std::span<const std::uint64_t> sums);

// The same, by one process: from what was kept of an earlier time (hash_cache.hpp), else by up to `threads`
// threads. Throws failure where a file changed meanwhile.
std::string hash_weights(const Checkpoint& checkpoint, int threads,
                         const std::function<void(double)>& progress = {});

}  // namespace shardrift
