// Limits on this process that MPI would fail by, in words of its own.
#pragma once

namespace shardrift {

// Before MPI starts: lets as many files be open as may be. Throws usage_error naming the limit and what
// raises it where MPI could not even start.
void settle_limits();

}  // namespace shardrift
