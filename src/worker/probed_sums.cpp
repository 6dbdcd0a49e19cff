#include "worker/probed_sums.hpp"

#include <memory>

#include "model/device_order_map.hpp"
#include "parallel/order_models/fold_order.hpp"

namespace shardrift {

ProbedSum live_sum(Transport& transport, Backend& backend, Device device, CollectiveOperation operation,
                   std::int64_t count, DType dtype, Launch launch) {
  const std::size_t bytes = size_of(dtype) * static_cast<std::size_t>(count);
  const auto data = std::make_shared<Buffer>(backend, bytes);
  const auto part = std::make_shared<Buffer>(backend, bytes / static_cast<std::size_t>(transport.size()));
  const auto sum = [=, &transport] {
    if (operation == CollectiveOperation::all_reduce) {
      transport.all_reduce(data->data(), count, dtype);
    } else {
      transport.reduce_scatter(data->data(), part->data(), count / transport.size(), dtype);
      transport.all_gather(part->data(), data->data(), bytes / static_cast<std::size_t>(transport.size()));
    }
  };
  const auto graph = std::make_shared<std::unique_ptr<CapturedWork>>();
  return [=, &transport, &backend](const FillPartial& fill, void* out) {
    if (launch == Launch::captured && *graph == nullptr) {
      sum();  // as in a run: libraries make what they need outside of the capture
      backend.synchronize();
      transport.take_calls();  // of the captured one alone is to be told
      *graph = backend.capture(sum);
    }
    fill(transport.rank(), out);
    backend.upload(data->data(), out, bytes);
    if (device == Device::cuda) backend.synchronize();
    if (*graph != nullptr) {
      (*graph)->launch();
    } else {
      sum();
    }
    backend.download(out, data->data(), bytes);
  };
}

ProbedSum fold_sum(Backend& backend, const Reduction& reduction, int shards, std::int64_t count,
                   DType dtype) {
  // Partials and the sum where a run has them: on the device, each partial aligned.
  const std::size_t stride = aligned(size_of(dtype) * static_cast<std::size_t>(count));
  const auto partials = std::make_shared<Buffer>(backend, stride * static_cast<std::size_t>(shards));
  const auto sum = std::make_shared<Buffer>(backend, stride);
  const auto map = std::make_shared<DeviceOrderMap>(backend, fold_order_map(reduction, shards, count, dtype));
  return [=, &backend, accumulator = reduction.accumulator](const FillPartial& fill, void* out) {
    for (int shard = 0; shard < shards; ++shard) {
      fill(shard, out);
      backend.upload(partials->as<std::byte>() + static_cast<std::size_t>(shard) * stride, out,
                     size_of(dtype) * static_cast<std::size_t>(count));
    }
    const Matrix matrix{sum->data(), 1, count, dtype};
    backend.fold(partials->data(), stride, dtype, *map, accumulator, matrix);
    backend.download(out, sum->data(), matrix.bytes());
  };
}

}  // namespace shardrift
