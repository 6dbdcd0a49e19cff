// The CPU device: host memory, our own row- and element-local kernels, ATen's matrix products.
#include <ATen/Parallel.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "common/argmax.hpp"
#include "common/error.hpp"
#include "common/mix64.hpp"
#include "model/backend.hpp"
#include "model/cpu/attention.hpp"
#include "model/cpu/expert_products.hpp"
#include "model/cpu/fold.hpp"
#include "model/cpu/linear.hpp"
#include "model/cpu/threads.hpp"
#include "model/cpu/vector_kernels.hpp"
#include "model/device_order_map.hpp"
#include "model/formulas.hpp"
#include "model/routing.hpp"
#include "model/scalar.hpp"

namespace shardrift {
namespace {

template <typename T>
T* row_of(const Matrix& m, std::int64_t row) {
  return static_cast<T*>(m.data) + row * m.cols;
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, Products products) : threads_(threads), products_(products) {
    // Bits of MKL's products depend on its thread count: one per rank, always.
    at::set_num_threads(1);
  }

  void* allocate(std::size_t bytes) override {
    // calloc knows which pages the kernel has just zeroed: large buffers are not written twice. Where the
    // block begins stands before the buffer.
    void* const block = std::calloc(1, aligned(bytes) + kAlignment);
    if (block == nullptr) throw failure("out of memory: {} bytes asked for", bytes);
    const auto begin = reinterpret_cast<std::uintptr_t>(block);
    auto* const data = static_cast<std::byte*>(block) + (kAlignment - begin % kAlignment);
    std::memcpy(data - sizeof(block), &block, sizeof(block));
    return data;
  }
  void release(void* data) noexcept override {
    if (data == nullptr) return;
    void* block = nullptr;
    std::memcpy(&block, static_cast<std::byte*>(data) - sizeof(block), sizeof(block));
    std::free(block);
  }
  void upload(void* device, const void* host, std::size_t bytes) override {
    std::memcpy(device, host, bytes);
  }
  void write(void* device, std::size_t /*bytes*/, const std::function<void(std::byte*)>& fill) override {
    fill(static_cast<std::byte*>(device));
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    std::memcpy(host, device, bytes);
  }
  void synchronize() override {}
  double read_bandwidth() override;

  void embed(const Matrix& table, Range rows, const RowIndex& index, const Matrix& out) override {
    const std::size_t bytes = static_cast<std::size_t>(out.cols) * size_of(out.dtype);
    for (std::int64_t i = 0; i < index.rows; ++i) {
      if (!rows.contains(index.tokens[i])) continue;
      std::memcpy(static_cast<std::byte*>(out.data) + static_cast<std::size_t>(i) * bytes,
                  static_cast<const std::byte*>(table.data) +
                      static_cast<std::size_t>(index.tokens[i] - rows.begin) * bytes,
                  bytes);
    }
  }

  void pick_rows(const void* gathered, std::size_t stride, const std::int32_t* owner, const RowIndex& index,
                 const Matrix& out) override {
    const std::size_t bytes = static_cast<std::size_t>(out.cols) * size_of(out.dtype);
    for (std::int64_t i = 0; i < index.rows; ++i) {
      const std::size_t at = static_cast<std::size_t>(i) * bytes;
      std::memcpy(static_cast<std::byte*>(out.data) + at,
                  static_cast<const std::byte*>(gathered) +
                      static_cast<std::size_t>(owner[index.tokens[i]]) * stride + at,
                  bytes);
    }
  }

  void rms_norm(const Matrix& x, const NormView& norm, const Matrix& out) override {
    visit_dtype(x.dtype, [&]<typename T>() {
      threads_.for_range(x.rows, 8, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r)
          norm_elements(row_of<T>(x, r), norm, x.cols, row_of<T>(out, r));
      });
    });
  }

  void head_norm(const Matrix& m, Range heads, const NormView& norm) override {
    const std::int64_t dim = norm.weight->cols;
    visit_dtype(m.dtype, [&]<typename T>() {
      for (std::int64_t r = 0; r < m.rows; ++r)
        for (auto h = heads.begin; h < heads.end; ++h) {
          T* head = row_of<T>(m, r) + h * dim;
          norm_elements(head, norm, dim, head);
        }
    });
  }

  void linear(const Matrix& x, const Weight& weight, const Matrix& out) override {
    cpu_linear(threads_, products_, x, weight, out);
  }

  void rope_and_cache(const Matrix& qkv, std::int64_t query_heads, const RopeView& rope,
                      const RowIndex& index, const CacheView& cache) override {
    std::vector<float> angles;  // cosines, then sines, of a row whose length has its own
    visit_dtype(qkv.dtype, [&]<typename T>() {
      for (std::int64_t r = 0; r < index.rows; ++r) {
        const std::int64_t half = rope.pairs;
        const float* cosine = rope.cosines + index.positions[r] * half;
        const float* sine = rope.sines + index.positions[r] * half;
        if (const std::int64_t beyond = index.lengths[r] - rope.short_length; beyond > 0) {
          if (rope.frequencies == nullptr) {
            cosine += rope.positions * half;
            sine += rope.positions * half;
          } else {
            angles_at(rope.frequencies + (beyond - 1) * half, index.positions[r], half, angles);
            cosine = angles.data();
            sine = cosine + half;
          }
        }
        T* row = row_of<T>(qkv, r);
        for (std::int64_t h = 0; h < query_heads; ++h)
          rotate(row + h * cache.head_dim, cosine, sine, half, row + h * cache.head_dim);
        for (std::int64_t h = 0; h < cache.kv_heads; ++h) {
          const std::int64_t at =
              ((index.slots[r] * cache.kv_heads + h) * cache.max_length + index.positions[r]) *
              cache.head_dim;
          T* key = row + (query_heads + h) * cache.head_dim;
          rotate(key, cosine, sine, half, key);
          std::memcpy(static_cast<T*>(cache.keys) + at, key,
                      static_cast<std::size_t>(cache.head_dim) * sizeof(T));
          std::memcpy(static_cast<T*>(cache.values) + at, key + cache.kv_heads * cache.head_dim,
                      static_cast<std::size_t>(cache.head_dim) * sizeof(T));
        }
      }
    });
  }

  void attention(const Matrix& qkv, const AttentionShape& shape, const RowIndex& index,
                 const CacheView& cache, const Matrix& out) override {
    cpu_attention(threads_, qkv, shape, index, cache, out);
  }

  void activate(const Matrix& gate_up, Activation activation, double limit, const Matrix& out) override {
    visit_dtype(out.dtype, [&]<typename T>() {
      threads_.for_range(out.rows, 8, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
          const T* gate = row_of<T>(gate_up, r);
          const T* up = gate + out.cols;
          T* to = row_of<T>(out, r);
          for (std::int64_t i = 0; i < out.cols; ++i)
            to[i] = activated_product(gate[i], up[i], activation, limit);
        }
      });
    });
  }

  void route(const Matrix& logits, const ExpertsSpec& spec, bool given, std::int32_t* ids,
             void* weights) override {
    visit_dtype(logits.dtype, [&]<typename T>() {
      for (std::int64_t r = 0; r < logits.rows; ++r)
        route_row(row_of<T>(logits, r), spec, given, ids + r * spec.active,
                  static_cast<Compute<T>*>(weights) + r * spec.active);
    });
  }

  void linear_of_experts(const Matrix& x, const ExpertTable& table, const ExpertPairs& pairs,
                         const Matrix& out) override {
    cpu_linear_of_experts(threads_, x, table, pairs, out);
  }

  void combine_experts(const ExpertOutputs& outputs, const Matrix& out) override {
    visit_dtype(out.dtype, [&]<typename P>() {
      visit_dtype(outputs.bias.dtype, [&]<typename T>() {
        if constexpr (can_be_partial<P, T>) {
          const auto* weights = static_cast<const Compute<P>*>(outputs.weights);
          threads_.for_range(out.rows, 8, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t r = begin; r < end; ++r)
              for (std::int64_t c = 0; c < out.cols; ++c)
                row_of<P>(out, r)[c] = combined_element<P, T>(outputs, weights, r, out.cols, c);
          });
        }
      });
    });
  }

  void scale(const Matrix& m, double factor) override {
    visit_dtype(m.dtype, [&]<typename T>() {
      using C = Compute<T>;
      T* elements = static_cast<T*>(m.data);
      for (std::int64_t i = 0; i < m.count(); ++i)
        elements[i] = static_cast<T>(static_cast<C>(elements[i]) * static_cast<C>(factor));
    });
  }

  void divide_and_cap(const Matrix& m, double divisor, double softcap) override {
    visit_dtype(m.dtype, [&]<typename T>() {
      using C = Compute<T>;
      T* elements = static_cast<T*>(m.data);
      const C cap = static_cast<C>(softcap);
      for (std::int64_t i = 0; i < m.count(); ++i) {
        C value = static_cast<C>(elements[i]) / static_cast<C>(divisor);
        if (cap != 0) value = cap * std::tanh(value / cap);
        elements[i] = static_cast<T>(value);
      }
    });
  }

  void add(const Matrix& to, const Matrix& delta) override {
    visit_dtype(to.dtype, [&]<typename T>() {
      using C = Compute<T>;
      for (std::int64_t r = 0; r < to.rows; ++r) {
        T* sum = row_of<T>(to, r);
        const T* addend = row_of<T>(delta, delta.rows == 1 ? 0 : r);
        for (std::int64_t i = 0; i < to.cols; ++i)
          sum[i] = static_cast<T>(static_cast<C>(sum[i]) + static_cast<C>(addend[i]));
      }
    });
  }

  void fill_negative_zero(const Matrix& out) override {
    visit_dtype(out.dtype, [&]<typename T>() {
      T* to = static_cast<T*>(out.data);
      for (std::int64_t i = 0; i < out.count(); ++i) to[i] = static_cast<T>(-0.0F);
    });
  }

  void fold(const void* partials, std::size_t stride, DType partial_dtype, const DeviceOrderMap& map,
            Accumulator accumulator, const Matrix& out) override {
    check_fold_shape(map, out);
    cpu_fold(threads_, partials, stride, partial_dtype, map.host(), accumulator, out);
  }

  void choose(const Matrix& logits, std::int32_t* chosen) override {
    const std::size_t bytes = static_cast<std::size_t>(logits.cols) * size_of(logits.dtype);
    for (std::int64_t r = 0; r < logits.rows; ++r) {
      const std::span row(static_cast<const std::byte*>(logits.data) + static_cast<std::size_t>(r) * bytes,
                          bytes);
      const Choice choice = shardrift::choose(row, logits.dtype);
      chosen[r] = choice.finite ? choice.token : kNotFinite;
    }
  }

  void take_chosen(const std::int32_t* chosen, std::int64_t rows, std::int32_t* tokens) override {
    for (std::int64_t i = 0; i < rows; ++i)
      if (tokens[i] < 0) tokens[i] = std::max(chosen[-1 - tokens[i]], 0);
  }

  void copy_columns(const Matrix& from, Range columns, const Matrix& to, std::int64_t at) override {
    const std::size_t element = size_of(from.dtype);
    for (std::int64_t r = 0; r < from.rows; ++r)
      std::memcpy(static_cast<std::byte*>(to.data) + static_cast<std::size_t>(r * to.cols + at) * element,
                  static_cast<const std::byte*>(from.data) +
                      static_cast<std::size_t>(r * from.cols + columns.begin) * element,
                  static_cast<std::size_t>(columns.size()) * element);
  }

  void join_columns(const ColumnSlices& slices, const Matrix& out) override {
    const std::size_t element = size_of(out.dtype);
    for (int s = 0; s < slices.count; ++s) {
      const Range columns{slices.offsets[s], slices.offsets[s + 1]};
      if (columns.empty()) continue;
      const std::int64_t width = slices.width == 0 ? columns.size() : slices.width;
      const auto* from =
          static_cast<const std::byte*>(slices.data) + static_cast<std::size_t>(s) * slices.stride;
      for (std::int64_t r = 0; r < out.rows; ++r)
        std::memcpy(static_cast<std::byte*>(out.data) +
                        static_cast<std::size_t>(r * out.cols + columns.begin) * element,
                    from + static_cast<std::size_t>(r * width) * element,
                    static_cast<std::size_t>(columns.size()) * element);
    }
  }

  void checksum(const Matrix& m, Range columns, std::int64_t index, std::uint64_t* sums,
                const std::int32_t* targets) override {
    switch (size_of(m.dtype)) {
      case 8:
        return add_checksums<std::uint64_t>(m, columns, index, sums, targets);
      case 4:
        return add_checksums<std::uint32_t>(m, columns, index, sums, targets);
      default:
        return add_checksums<std::uint16_t>(m, columns, index, sums, targets);
    }
  }

 private:
  template <typename Word>
  void add_checksums(const Matrix& m, Range columns, std::int64_t index, std::uint64_t* sums,
                     const std::int32_t* targets) {
    threads_.for_range(m.rows, 8, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        const std::int64_t target = targets == nullptr ? r : targets[r];
        if (target < 0) continue;
        const Word* words = row_of<Word>(m, r) + columns.begin;
        std::uint64_t sum = 0;
        for (std::int64_t j = 0; j < columns.size(); ++j)
          sum += mix64(static_cast<std::uint64_t>(index + j), words[j]);
        sums[target] += sum;
      }
    });
  }

  template <typename T>
  static void norm_elements(const T* in, const NormView& norm, std::int64_t count, T* out) {
    using C = Compute<T>;
    const auto* w = static_cast<const T*>(norm.weight->data);
    C squares = 0;
    for (std::int64_t i = 0; i < count; ++i) squares += static_cast<C>(in[i]) * static_cast<C>(in[i]);
    const C scale = C(1) / std::sqrt(squares / static_cast<C>(count) + static_cast<C>(norm.eps));
    for (std::int64_t i = 0; i < count; ++i)
      out[i] = normed_value<T>(static_cast<C>(in[i]) * scale, w[i], norm.kind);
  }

  // As rope_tables makes its tables (model/rope.cpp).
  static void angles_at(const float* frequencies, std::int64_t position, std::int64_t pairs,
                        std::vector<float>& angles) {
    angles.resize(static_cast<std::size_t>(2 * pairs));
    for (std::int64_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<float>(position) * frequencies[i];
      angles[static_cast<std::size_t>(i)] = static_cast<float>(std::cos(angle));
      angles[static_cast<std::size_t>(i + pairs)] = static_cast<float>(std::sin(angle));
    }
  }

  // Rotates halves: (a, b) -> (a·cos - b·sin, b·cos + a·sin), the layout of Hugging Face checkpoints.
  template <typename T>
  static void rotate(const T* in, const float* cosine, const float* sine, std::int64_t half, T* out) {
    using C = Compute<T>;
    for (std::int64_t i = 0; i < half; ++i) {
      const C a = static_cast<C>(in[i]);
      const C b = static_cast<C>(in[i + half]);
      out[i] = static_cast<T>(a * static_cast<C>(cosine[i]) - b * static_cast<C>(sine[i]));
      out[i + half] = static_cast<T>(b * static_cast<C>(cosine[i]) + a * static_cast<C>(sine[i]));
    }
  }

  Threads threads_;
  Products products_;
};

double CpuBackend::read_bandwidth() {
  constexpr std::int64_t kCols = 4096;
  constexpr std::int64_t kRows = 16384;  // 256 MiB: more than the caches hold
  OwnedMatrix weight(*this, kRows, kCols, DType::float32);
  std::memset(weight.view.data, 0, weight.view.bytes());  // pages that nobody wrote to may all be one
  OwnedMatrix x(*this, 1, kCols, DType::float32);
  OwnedMatrix out(*this, 1, kRows, DType::float32);
  double best = 1e30;
  for (int repeat = 0; repeat < 8; ++repeat) {
    const auto begin = std::chrono::steady_clock::now();
    linear(x.view, weight.view, out.view);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return static_cast<double>(weight.view.bytes()) / best;
}

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(int threads, Products products) {
  return std::make_unique<CpuBackend>(threads, products);
}

}  // namespace shardrift
