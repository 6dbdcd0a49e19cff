// Shares of independent trials, exactly: what n prompts can and cannot show.
#pragma once
#include <cstdint>
#include <optional>

#include "analysis/statistics/bootstrap.hpp"

namespace shardrift::statistics {

// Clopper and Pearson's exact interval (Biometrika 26, 1934) of a share of `count` trials, `events` of which
// happened. With no events the upper end is near 3.7 / count at 95 % (two-sided).
// Events need not be whole numbers.
Interval exact_interval(double events, double count, double confidence);
Estimate proportion(std::int64_t events, std::int64_t count, double confidence);

// The upper end of the exact interval where none of `count` trials shows the event: a share as large as this
// would have shown at least once, but for the probability that an interval's end is passed with, (1 -
// confidence) / 2. 1 - that^(1/count), about 3.7 / count at 95 %. 1 where count is 0.
double detectable_share(std::int64_t count, double confidence);

// The fewest trials, none of which shows the event, whose exact interval lies at or below `limit`. limit in
// (0, 1); 0 where it is not.
std::int64_t trials_to_show(double limit, double confidence);

// The fewest trials whose exact interval lies on one side of the limit, where this share of them shows the
// event; nullopt beyond 10 million, or where the share is the limit.
std::optional<std::int64_t> trials_to_decide(double share, double limit, double confidence);

}  // namespace shardrift::statistics
