// How far two softmax distributions are apart: the kernel behind RowComparer.
#pragma once
#include <span>

namespace shardrift::analysis {

// A row as a distribution: p_i = exps[i] / sum, exps[i] = exp(row[i] - top).
struct Softmax {
  std::span<const double> row;
  std::span<const double> exps;
  double top = 0;
  double sum = 0;
};

struct Divergences {
  double kl = 0;          // KL(p || q), nats
  double kl_reverse = 0;  // KL(q || p)
  double js = 0;          // Jensen-Shannon
  double tv = 0;          // total variation
};

// Rows of one length, without NaN and +infinity.
Divergences divergences(const Softmax& p, const Softmax& q);

}  // namespace shardrift::analysis
