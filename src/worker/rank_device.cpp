#include "worker/rank_device.hpp"

#include "common/error.hpp"
#include "model/cuda/cuda_device.hpp"
#include "model/cuda/profiler_ranges.hpp"
#include "parallel/transport/peer_transport.hpp"
#include "worker/environment.hpp"
#include "worker/start_times.hpp"
#ifdef SHARDRIFT_HAVE_CUDA
#include "parallel/transport/cuda_peer_sum.hpp"
#include "parallel/transport/nccl_transport.hpp"
#endif

namespace shardrift {
namespace {

#ifdef SHARDRIFT_HAVE_CUDA
RankDevice open_cuda(const DeviceNumerics& numerics, const World& world) {
  const int visible = cuda_device_count();
  started("CUDA driver");
  if (visible == 0)
    throw usage_error("--device cuda: no GPU is visible on {}; use --device cpu", world.host());
  // Under --gpus-per-task=1 each rank sees one GPU of its own; check_devices refuses ranks that share one.
  if (visible > 1 && world.local_size() > visible)
    throw usage_error("{} ranks on {}, but {} GPUs are visible there: start no more ranks than GPUs",
                      world.local_size(), world.host(), visible);
  tell_profiler();
  const CudaDevice device = select_cuda_device(world.local_rank() % visible);
  started("CUDA context");
  RankDevice opened;
  opened.info = {world.rank(), world.host(), device.name, device.uuid, device.compute_capability,
                 device.driver};
  opened.runtime = device.runtime;
  opened.backend = make_cuda_backend(numerics.tf32, numerics.products);
  return opened;
}
#endif

}  // namespace

RankDevice open_rank_device(Device device, const DeviceNumerics& numerics, int threads, const World& world) {
  if (device == Device::cuda) {
#ifdef SHARDRIFT_HAVE_CUDA
    return open_cuda(numerics, world);
#else
    throw usage_error("--device cuda: this shardrift-run was built without CUDA: --device cpu, or build it anew with scripts/build cuda");
#endif
  }
  return {make_cpu_backend(threads, numerics.products), describe_cpu(world), {}};
}

std::unique_ptr<Transport> make_transport(const Communicator& ranks, [[maybe_unused]] Device device,
                                          [[maybe_unused]] const Backend& backend) {
  if (ranks.size() == 1) return make_local_transport();
#ifdef SHARDRIFT_HAVE_CUDA
  if (device == Device::cuda)
    return make_nccl_transport(ranks, static_cast<cudaStream_t>(cuda_stream(backend)));
#endif
  return make_mpi_transport(ranks);
}

std::unique_ptr<Transport> make_summing_transport(const Communicator& ranks, Device device,
                                                  const Backend& backend, Collective collective,
                                                  std::size_t largest) {
  auto library = make_transport(ranks, device, backend);
  if (collective == Collective::library || ranks.size() == 1) return library;
#ifdef SHARDRIFT_HAVE_CUDA
  if (device == Device::cuda)
    return with_peer_sum(
        std::move(library), collective,
        make_cuda_peer_sum(ranks, collective, largest, static_cast<cudaStream_t>(cuda_stream(backend))));
#endif
  return with_peer_sum(std::move(library), collective, make_shared_memory_sum(ranks, collective, largest));
}

}  // namespace shardrift
