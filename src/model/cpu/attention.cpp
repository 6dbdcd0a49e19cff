#include "model/cpu/attention.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/cpu/vector_kernels.hpp"
#include "model/scalar.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kRowBlock = 16;  // rows that share one widened copy of a head's keys; not numerics

// Keys or values [0, length) of one head in the compute type: the cache itself, or a widened copy, which
// grows as long as blocks of one head and sequence follow each other.
template <typename T, typename C>
class Widened {
 public:
  const C* of(const void* cache, std::int64_t at, std::int64_t count) {
    const T* source = static_cast<const T*>(cache) + at;
    if constexpr (std::is_same_v<T, C>) {
      return source;
    } else {
      if (at != at_) values_.clear();
      at_ = at;
      const auto begin = static_cast<std::int64_t>(values_.size());
      if (count > begin) values_.resize(static_cast<std::size_t>(count));
      for (std::int64_t i = begin; i < count; ++i)
        values_[static_cast<std::size_t>(i)] = static_cast<C>(source[i]);
      return values_.data();
    }
  }

 private:
  std::vector<C> values_;
  std::int64_t at_ = -1;
};

// sink: a logit beside the scores that takes part in the sum alone; or null.
template <typename C>
void softmax(C* scores, std::int64_t begin, std::int64_t end, const C* sink) {
  C top = *std::max_element(scores + begin, scores + end);
  if (sink != nullptr) top = std::max(top, *sink);
  C sum = sink != nullptr ? std::exp(*sink - top) : C(0);
  for (std::int64_t j = begin; j < end; ++j) sum += scores[j] = std::exp(scores[j] - top);
  for (std::int64_t j = begin; j < end; ++j) scores[j] /= sum;
}

template <typename T>
class Attention {
  using C = Compute<T>;

 public:
  Attention(const Matrix& qkv, const AttentionShape& shape, const RowIndex& index, const CacheView& cache,
            const Matrix& out)
      : qkv_(qkv), shape_(shape), index_(index), cache_(cache), out_(out) {}

  std::int64_t blocks() const { return (index_.rows + kRowBlock - 1) / kRowBlock; }

  // Item = (query head, block of rows). Rows of one block may belong to several sequences.
  void run(std::int64_t item) {
    const std::int64_t head = item / blocks();
    const std::int64_t first = item % blocks() * kRowBlock;
    const std::int64_t last = std::min(index_.rows, first + kRowBlock);
    for (std::int64_t r = first; r < last;) {
      const std::int32_t slot = index_.slots[r];
      std::int64_t end = r;
      std::int64_t length = 0;
      for (; end < last && index_.slots[end] == slot; ++end)
        length = std::max<std::int64_t>(length, index_.positions[end] + 1);
      const std::int64_t at =
          (slot * cache_.kv_heads + shape_.local_kv[head]) * cache_.max_length * cache_.head_dim;
      const C* keys = keys_.of(cache_.keys, at, length * cache_.head_dim);
      const C* values = values_.of(cache_.values, at, length * cache_.head_dim);
      for (; r < end; ++r) one_row(head, r, keys, values);
    }
  }

 private:
  void one_row(std::int64_t head, std::int64_t row, const C* keys, const C* values) {
    const std::int64_t dim = cache_.head_dim;
    const std::int64_t end = index_.positions[row] + 1;
    const std::int64_t begin = shape_.window > 0 ? std::max<std::int64_t>(0, end - shape_.window) : 0;
    const T* query = static_cast<const T*>(qkv_.data) + row * qkv_.cols + head * dim;
    query_.assign(query, query + dim);
    scores_.resize(static_cast<std::size_t>(end));
    sum_.resize(static_cast<std::size_t>(dim));
    const C scale = shape_.scale != 0 ? static_cast<C>(shape_.scale) : C(1) / std::sqrt(static_cast<C>(dim));
    attention_scores(query_.data(), keys, begin, end, dim, scale, scores_.data());
    if (shape_.softcap != 0) {
      const C cap = static_cast<C>(shape_.softcap);
      for (std::int64_t j = begin; j < end; ++j) {
        C& score = scores_[static_cast<std::size_t>(j)];
        score = cap * std::tanh(score / cap);
      }
    }
    C sink = 0;
    if (shape_.sinks != nullptr) sink = static_cast<C>(static_cast<const T*>(shape_.sinks)[head]);
    softmax(scores_.data(), begin, end, shape_.sinks != nullptr ? &sink : nullptr);
    attention_values(scores_.data(), values, begin, end, dim, sum_.data());
    T* to = static_cast<T*>(out_.data) + row * out_.cols + head * dim;
    for (std::int64_t d = 0; d < dim; ++d) to[d] = static_cast<T>(sum_[static_cast<std::size_t>(d)]);
  }

  const Matrix& qkv_;
  const AttentionShape& shape_;
  const RowIndex& index_;
  const CacheView& cache_;
  const Matrix& out_;
  Widened<T, C> keys_, values_;
  std::vector<C> query_, scores_, sum_;
};

}  // namespace

void cpu_attention(Threads& threads, const Matrix& qkv, const AttentionShape& shape, const RowIndex& index,
                   const CacheView& cache, const Matrix& out) {
  visit_dtype(out.dtype, [&]<typename T>() {
    const Attention<T> sizes(qkv, shape, index, cache, out);
    threads.for_range(shape.query_heads * sizes.blocks(), 1, [&](std::int64_t begin, std::int64_t end) {
      Attention<T> attention(qkv, shape, index, cache, out);
      for (std::int64_t item = begin; item < end; ++item) attention.run(item);
    });
  });
}

}  // namespace shardrift
