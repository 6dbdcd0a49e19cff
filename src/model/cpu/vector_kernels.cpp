#include "model/cpu/vector_kernels.hpp"

#include <cstring>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define SHARDRIFT_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SHARDRIFT_CLONES
#endif

namespace shardrift {
namespace {

constexpr std::int64_t kLanes = 16;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));
constexpr std::int64_t kAhead = 4096;  // from the weights that are multiplied to those that are fetched

}  // namespace

// Four accumulators of 16 lanes, summed lane by lane at the end: written out in each kernel, because a clone
// inlines only what is compiled for the same target.
SHARDRIFT_CLONES
void matrix_vector(const float* weight, const float* x, std::int64_t begin, std::int64_t end,
                   std::int64_t k_size, float* out) {
  const std::int64_t blocked = k_size / (4 * kLanes) * (4 * kLanes);
  for (std::int64_t n = begin; n < end; ++n) {
    const float* row = weight + n * k_size;
    Lanes sum0{};
    Lanes sum1{};
    Lanes sum2{};
    Lanes sum3{};
    for (std::int64_t k = 0; k < blocked; k += 4 * kLanes) {
      for (std::int64_t line = 0; line < 4 * kLanes; line += kLanes)
        __builtin_prefetch(row + k + kAhead + line, 0, 2);
      Lanes w0, w1, w2, w3, x0, x1, x2, x3;
      std::memcpy(&w0, row + k, sizeof w0);
      std::memcpy(&w1, row + k + kLanes, sizeof w1);
      std::memcpy(&w2, row + k + 2 * kLanes, sizeof w2);
      std::memcpy(&w3, row + k + 3 * kLanes, sizeof w3);
      std::memcpy(&x0, x + k, sizeof x0);
      std::memcpy(&x1, x + k + kLanes, sizeof x1);
      std::memcpy(&x2, x + k + 2 * kLanes, sizeof x2);
      std::memcpy(&x3, x + k + 3 * kLanes, sizeof x3);
      sum0 += w0 * x0;
      sum1 += w1 * x1;
      sum2 += w2 * x2;
      sum3 += w3 * x3;
    }
    const Lanes sum = (sum0 + sum1) + (sum2 + sum3);
    float total = 0;
    for (std::int64_t lane = 0; lane < kLanes; ++lane) total += sum[lane];
    for (std::int64_t k = blocked; k < k_size; ++k) total += row[k] * x[k];
    out[n] = total;
  }
}

SHARDRIFT_CLONES
void attention_scores(const float* query, const float* keys, std::int64_t begin, std::int64_t end,
                      std::int64_t dim, float scale, float* scores) {
  const std::int64_t blocked = dim / kLanes * kLanes;
  for (std::int64_t j = begin; j < end; ++j) {
    const float* key = keys + j * dim;
    Lanes sum{};
    for (std::int64_t d = 0; d < blocked; d += kLanes) {
      Lanes q, k;
      std::memcpy(&q, query + d, sizeof q);
      std::memcpy(&k, key + d, sizeof k);
      sum += q * k;
    }
    float total = 0;
    for (std::int64_t lane = 0; lane < kLanes; ++lane) total += sum[lane];
    for (std::int64_t d = blocked; d < dim; ++d) total += query[d] * key[d];
    scores[j] = total * scale;
  }
}

SHARDRIFT_CLONES
void attention_values(const float* weights, const float* values, std::int64_t begin, std::int64_t end,
                      std::int64_t dim, float* out) {
  for (std::int64_t d = 0; d < dim; ++d) out[d] = 0;
  for (std::int64_t j = begin; j < end; ++j) {
    const float weight = weights[j];
    const float* value = values + j * dim;
    for (std::int64_t d = 0; d < dim; ++d) out[d] += weight * value[d];
  }
}

void attention_scores(const double* query, const double* keys, std::int64_t begin, std::int64_t end,
                      std::int64_t dim, double scale, double* scores) {
  for (std::int64_t j = begin; j < end; ++j) {
    double total = 0;
    for (std::int64_t d = 0; d < dim; ++d) total += query[d] * keys[j * dim + d];
    scores[j] = total * scale;
  }
}

void attention_values(const double* weights, const double* values, std::int64_t begin, std::int64_t end,
                      std::int64_t dim, double* out) {
  for (std::int64_t d = 0; d < dim; ++d) out[d] = 0;
  for (std::int64_t j = begin; j < end; ++j)
    for (std::int64_t d = 0; d < dim; ++d) out[d] += weights[j] * values[j * dim + d];
}

}  // namespace shardrift
