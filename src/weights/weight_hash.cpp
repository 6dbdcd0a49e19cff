#include "weights/weight_hash.hpp"

#define XXH_INLINE_ALL
#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "common/hash.hpp"
#include "common/mix64.hpp"
#include "common/progress.hpp"
#include "weights/hash_cache.hpp"

namespace shardrift {
namespace {

constexpr std::uint64_t kBlock = 1U << 20U;
constexpr auto kProgressEvery = std::chrono::milliseconds(100);

std::uint64_t blocks_of(const StoredTensor& tensor) {
  return (tensor.bytes + kBlock - 1) / kBlock;
}

}  // namespace

WeightHasher::WeightHasher(const Checkpoint& checkpoint, int share, int shares, int threads)
    : tensors_(checkpoint.stored()), sums_(tensors_.size(), 0), running_(threads) {
  std::uint64_t blocks = 0;
  for (const auto& tensor : tensors_) {
    first_blocks_.push_back(blocks);
    blocks += blocks_of(tensor);
  }
  const auto cut = [&](int i) {
    return blocks * static_cast<std::uint64_t>(i) / static_cast<std::uint64_t>(shares);
  };
  const std::uint64_t begin = cut(share);
  const std::uint64_t end = cut(share + 1);
  bytes_ = std::max<std::uint64_t>(1, (end - begin) * kBlock);
  next_ = begin;
  for (int thread = 0; thread < threads; ++thread) threads_.emplace_back([this, end] { work(end); });
}

WeightHasher::~WeightHasher() {
  stop_ = true;
  for (auto& thread : threads_) thread.join();
}

void WeightHasher::work(std::uint64_t end) {
  std::vector<std::uint64_t> sums(tensors_.size(), 0);
  hash(end, sums);
  const std::lock_guard lock(mutex_);
  std::transform(sums_.begin(), sums_.end(), sums.begin(), sums_.begin(), std::plus<>());
  if (--running_ == 0) ended_.notify_all();
}

// Blocks until `end`, counted through all tensors.
void WeightHasher::hash(std::uint64_t end, std::vector<std::uint64_t>& sums) {
  for (std::uint64_t block = next_++; block < end && !stop_; block = next_++) {
    // The last tensor that begins at it or before: those that begin with it too are empty, but for the last.
    const auto after = std::upper_bound(first_blocks_.begin(), first_blocks_.end(), block);
    const auto t = static_cast<std::size_t>(after - first_blocks_.begin()) - 1;
    const StoredTensor& tensor = tensors_[t];
    const std::uint64_t index = block - first_blocks_[t];
    const std::uint64_t size = std::min(kBlock, tensor.bytes - index * kBlock);
    sums[t] += mix64(index, XXH3_64bits(tensor.data + index * kBlock, size));
    hashed_ += kBlock;
    progress::done(kBlock);
  }
}

const std::vector<std::uint64_t>& WeightHasher::sums(const std::function<void(double)>& progress) {
  {
    std::unique_lock lock(mutex_);
    while (!ended_.wait_for(lock, kProgressEvery, [&] { return running_ == 0; }))
      if (progress) progress(std::min(1.0, static_cast<double>(hashed_) / static_cast<double>(bytes_)));
  }
  return sums_;
}

std::string weight_hash(const Checkpoint& checkpoint, std::span<const std::uint64_t> sums) {
  Sha256 hash;
  const auto tensors = checkpoint.stored();
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const auto line = fmt::format("{}:{}|{}|{}|{:016x}\n", tensors[t].name.size(), tensors[t].name,
                                  tensors[t].dtype, fmt::join(tensors[t].shape, ","), sums[t]);
    hash.update(line);
  }
  return hash.hex();
}

std::string hash_weights(const Checkpoint& checkpoint, int threads,
                         const std::function<void(double)>& progress) {
  if (const auto kept = kept_sums(checkpoint)) return weight_hash(checkpoint, *kept);
  WeightHasher hasher(checkpoint, 0, 1, std::max(threads, 1));
  const auto& sums = hasher.sums(progress);
  checkpoint.require_unchanged();
  keep_sums(checkpoint, sums);
  return weight_hash(checkpoint, sums);
}

}  // namespace shardrift
