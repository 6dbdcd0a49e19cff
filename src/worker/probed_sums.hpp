// The sums that shardrift-run probe looks at, as the probe wants them: from and to host memory.
#pragma once
#include "model/backend.hpp"
#include "parallel/probe/probe.hpp"
#include "parallel/profile/collective_model.hpp"
#include "parallel/transport/transport.hpp"

namespace shardrift {

// The live collective over `transport`, in place on this rank's device, alone on its stream: what a run
// calls, enqueued or, captured, replayed as a graph of its own. reduce-scatter is followed by an all-gather;
// count must then be padded_count. Both must outlive the result. launch: eager or captured.
ProbedSum live_sum(Transport& transport, Backend& backend, Device device, CollectiveOperation operation,
                   std::int64_t count, DType dtype, Launch launch = Launch::eager);

// The backend's own fold kernel under a local order.
ProbedSum fold_sum(Backend& backend, const Reduction& reduction, int shards, std::int64_t count, DType dtype);

}  // namespace shardrift
