#include "weights/weight_hash.hpp"

#define XXH_INLINE_ALL
#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>

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

WeightHasher::WeightHasher(const Checkpoint& checkpoint, int share, int shares)
    : tensors_(checkpoint.stored()), sums_(tensors_.size(), 0) {
  std::uint64_t blocks = 0;
  for (const auto& tensor : tensors_) blocks += blocks_of(tensor);
  const auto cut = [&](int i) {
    return blocks * static_cast<std::uint64_t>(i) / static_cast<std::uint64_t>(shares);
  };
  const std::uint64_t begin = cut(share);
  const std::uint64_t end = cut(share + 1);
  bytes_ = std::max<std::uint64_t>(1, (end - begin) * kBlock);
  thread_ = std::thread([this, begin, end] { work(begin, end); });
}

WeightHasher::~WeightHasher() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void WeightHasher::work(std::uint64_t begin, std::uint64_t end) {
  hash(begin, end);
  const std::lock_guard lock(mutex_);
  finished_ = true;
  ended_.notify_all();
}

// Blocks [begin, end), counted through all tensors.
void WeightHasher::hash(std::uint64_t begin, std::uint64_t end) {
  std::uint64_t first = 0;  // block of the tensor
  for (std::size_t t = 0; t < tensors_.size() && first < end; ++t) {
    const StoredTensor& tensor = tensors_[t];
    const std::uint64_t last = first + blocks_of(tensor);
    for (std::uint64_t block = std::max(begin, first); block < std::min(end, last); ++block) {
      if (stop_) return;
      const std::uint64_t index = block - first;
      const std::uint64_t size = std::min(kBlock, tensor.bytes - index * kBlock);
      sums_[t] += mix64(index, XXH3_64bits(tensor.data + index * kBlock, size));
      hashed_ += kBlock;
      progress::done(kBlock);
    }
    first = last;
  }
}

const std::vector<std::uint64_t>& WeightHasher::sums(const std::function<void(double)>& progress) {
  {
    std::unique_lock lock(mutex_);
    while (!ended_.wait_for(lock, kProgressEvery, [&] { return finished_; }))
      if (progress) progress(std::min(1.0, static_cast<double>(hashed_) / static_cast<double>(bytes_)));
  }
  if (thread_.joinable()) thread_.join();
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
  std::vector<std::unique_ptr<WeightHasher>> shares;
  for (int i = 0; i < threads; ++i) shares.push_back(std::make_unique<WeightHasher>(checkpoint, i, threads));
  std::vector<std::uint64_t> sums(checkpoint.stored().size(), 0);
  for (const auto& share : shares) {
    const auto& part = share->sums(progress);
    std::transform(sums.begin(), sums.end(), part.begin(), sums.begin(), std::plus<>());
  }
  checkpoint.require_unchanged();
  keep_sums(checkpoint, sums);
  return weight_hash(checkpoint, sums);
}

}  // namespace shardrift
