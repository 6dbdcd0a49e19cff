// Shares of independent trials, exactly: what n prompts can and cannot show.
#pragma once
#include <cstdint>

#include "analysis/statistics/bootstrap.hpp"

namespace shardrift::statistics {

// Clopper and Pearson's exact interval (Biometrika 26, 1934) of a share of `count` trials, `events` of which
// happened. With no events the upper end is near 3.7 / count at 95 % (two-sided).
Estimate proportion(std::int64_t events, std::int64_t count, double confidence);

// The smallest true share that `count` trials would have shown at least once with this probability:
// 1 - (1 - confidence)^(1/count); the "rule of three" (about 3 / count) at 95 %. 1 where count is 0.
double detectable_share(std::int64_t count, double confidence);

// The fewest trials, none of which shows the event, whose exact interval lies at or below `limit`. limit in
// (0, 1); 0 where it is not.
std::int64_t trials_to_show(double limit, double confidence);

}  // namespace shardrift::statistics
