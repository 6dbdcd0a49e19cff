// The device one rank drives, and the transport of a group of ranks over it.
#pragma once
#include <memory>

#include "model/backend.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "record/record.hpp"

namespace shardrift {

struct RankDevice {
  std::unique_ptr<Backend> backend;
  record::DeviceInfo info;
  std::string runtime;  // CUDA's version; empty on CPUs
};

// What a plan says of a device's arithmetic.
struct DeviceNumerics {
  bool tf32 = false;
  Products products = Products::library;
};

// threads: of the CPU kernels. Throws usage_error where there is no such device, or fewer than ranks.
RankDevice open_rank_device(Device device, const DeviceNumerics& numerics, int threads, const World& world);

// A group of one: none. Else NCCL on GPUs, MPI on CPUs. `ranks` and `backend` must outlive it. Collective.
std::unique_ptr<Transport> make_transport(const Communicator& ranks, Device device, const Backend& backend);
// The same with this all-reduce; `largest`: bytes of the largest message that it is given.
std::unique_ptr<Transport> make_summing_transport(const Communicator& ranks, Device device,
                                                  const Backend& backend, Collective collective,
                                                  std::size_t largest);

}  // namespace shardrift
