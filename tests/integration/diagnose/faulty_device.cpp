#include "tests/integration/diagnose/faulty_device.hpp"

#include <algorithm>
#include <cstring>

namespace shardrift::testing {
namespace {

// The bit of a stored number whose change is one of 2^-4 of its size.
std::uint64_t sixteenth(DType dtype) {
  switch (storage_of(dtype)) {
    case DType::bfloat16:
      return 1ULL << 3U;
    case DType::float16:
      return 1ULL << 6U;
    case DType::float64:
      return 1ULL << 48U;
    default:
      return 1ULL << 19U;
  }
}

void transpose(const Matrix& m, std::byte* to) {
  const auto size = size_of(m.dtype);
  const auto* from = static_cast<const std::byte*>(m.data);
  for (std::int64_t row = 0; row < m.rows; ++row)
    for (std::int64_t col = 0; col < m.cols; ++col)
      std::memcpy(to + static_cast<std::size_t>(col * m.rows + row) * size,
                  from + static_cast<std::size_t>(row * m.cols + col) * size, size);
}

}  // namespace

FaultyDevice::FaultyDevice(const Fault& fault, const ModelConfig& config, const Plan& plan, int& planted)
    : fault_(fault), layers_(config.layers), shards_(plan.shards), planted_(planted) {
  for (std::int64_t layer = 0; layer < layers_; ++layer) {
    const bool whole_rows =
        config.specs[static_cast<std::size_t>(layer)].query_key_norm == QueryKeyNorm::per_row;
    for (const Block block : kBlocks) {
      const bool apart = block == Block::attention && whole_rows;
      for (std::int64_t s = 0; s < shards_; ++s) {
        order_.push_back({layer, block, s, true});
        if (!apart) order_.push_back({layer, block, s, false});
      }
      for (std::int64_t s = 0; apart && s < shards_; ++s) order_.push_back({layer, block, s, false});
    }
  }
}

const FaultyDevice::Product* FaultyDevice::product_of(const Weight& weight) {
  const auto [found, first] = places_.emplace(weight.matrix.data, places_.size());
  return found->second < order_.size() ? &order_[found->second] : nullptr;  // else the head
}

bool FaultyDevice::is_target(const Product& product) const {
  if (product.shard != fault_.shard) return false;
  if (fault_.kind == FaultKind::other_weights) return true;
  if (product.layer != fault_.layer || product.block != fault_.block) return false;
  return product.in ? fault_.kind == FaultKind::transposed_in || fault_.kind == FaultKind::dropped_bias
                    : fault_.kind == FaultKind::transposed_out;
}

std::vector<std::byte>& FaultyDevice::altered(const Weight& weight) {
  auto& words = altered_[weight.matrix.data];
  if (!words.empty()) return words;
  words.resize(weight.matrix.bytes());
  if (fault_.kind != FaultKind::other_weights) {
    transpose(weight.matrix, words.data());
    return words;
  }
  std::memcpy(words.data(), weight.matrix.data, words.size());
  const std::size_t size = size_of(weight.matrix.dtype);
  for (std::size_t at = 0; at < words.size(); at += size) {
    std::uint64_t word = 0;
    std::memcpy(&word, words.data() + at, size);
    word ^= sixteenth(weight.matrix.dtype);
    std::memcpy(words.data() + at, &word, size);
  }
  return words;
}

void FaultyDevice::linear(const Matrix& x, const Weight& weight, const Matrix& out) {
  const Product* product = product_of(weight);
  biased_ = nullptr;
  if (product == nullptr || !is_target(*product)) return CountingBackend::linear(x, weight, out);
  if (fault_.kind == FaultKind::dropped_bias) {
    biased_ = out.data;
    return CountingBackend::linear(x, weight, out);
  }
  ++planted_;
  Matrix other = weight.matrix;
  other.data = altered(weight).data();
  CountingBackend::linear(x, other, out);
}

void FaultyDevice::add(const Matrix& to, const Matrix& delta) {
  if (to.data == biased_ && delta.rows == 1) {
    ++planted_;
    biased_ = nullptr;
    return;
  }
  CountingBackend::add(to, delta);
}

void FaultyDevice::rope_and_cache(const Matrix& qkv, std::int64_t query_heads, const RopeView& rope,
                                  const RowIndex& index, const CacheView& cache) {
  const std::int64_t call = ropes_++ % (layers_ * shards_);
  const bool here = call / shards_ == fault_.layer && call % shards_ == fault_.shard;
  if (here && fault_.kind == FaultKind::wrong_position && index.own_sequences && index.positions[0] > 0) {
    ++planted_;
    RopeView before = rope;
    before.cosines -= rope.pairs;
    before.sines -= rope.pairs;
    return CountingBackend::rope_and_cache(qkv, query_heads, before, index, cache);
  }
  if (!here || fault_.kind != FaultKind::stale_cache)
    return CountingBackend::rope_and_cache(qkv, query_heads, rope, index, cache);
  std::vector<std::pair<std::byte*, std::vector<std::byte>>> kept;
  const std::size_t bytes = static_cast<std::size_t>(cache.head_dim) * size_of(qkv.dtype);
  for (std::int64_t row = 0; row < index.rows; ++row) {
    if (index.positions[row] != fault_.position) continue;
    for (auto* data : {cache.keys, cache.values})
      for (std::int64_t head = 0; head < cache.kv_heads; ++head) {
        const std::int64_t place =
            (index.slots[row] * cache.kv_heads + head) * cache.max_length + fault_.position;
        auto* at = static_cast<std::byte*>(data) + static_cast<std::size_t>(place) * bytes;
        kept.emplace_back(at, std::vector<std::byte>(at, at + bytes));
      }
  }
  planted_ += kept.empty() ? 0 : 1;
  CountingBackend::rope_and_cache(qkv, query_heads, rope, index, cache);
  for (const auto& [at, words] : kept) std::copy(words.begin(), words.end(), at);
}

}  // namespace shardrift::testing
