// The inner loops of the CPU path in float32. Lanes and the order of their sum are fixed and nothing is
// contracted to FMA, so the bits are the same on every x86-64, whichever clone runs.
#pragma once
#include <cstdint>

namespace shardrift {

// out[n] = sum_k weight[n, k] · x[k] for n in [begin, end); weight row-major [.., k_size].
void matrix_vector(const float* weight, const float* x, std::int64_t begin, std::int64_t end,
                   std::int64_t k_size, float* out);
// scores[j] = scale · (q · keys[j]) for j in [begin, end); keys [.., dim]
void attention_scores(const float* query, const float* keys, std::int64_t begin, std::int64_t end,
                      std::int64_t dim, float scale, float* scores);
// out[d] = sum_j weights[j] · values[j, d] over j in [begin, end), in the order of j
void attention_values(const float* weights, const float* values, std::int64_t begin, std::int64_t end,
                      std::int64_t dim, float* out);

// The same for float64 models, which are truth, not speed.
void attention_scores(const double* query, const double* keys, std::int64_t begin, std::int64_t end,
                      std::int64_t dim, double scale, double* scores);
void attention_values(const double* weights, const double* values, std::int64_t begin, std::int64_t end,
                      std::int64_t dim, double* out);

}  // namespace shardrift
