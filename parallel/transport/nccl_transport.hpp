// NCCL over device memory; the id is spread over MPI.
#pragma once
#include <cuda_runtime_api.h>

#include <memory>
#include <string>

#include "parallel/transport/mpi_world.hpp"
#include "parallel/transport/transport.hpp"

namespace shardrift {

// Collective over `communicator`, after cudaSetDevice. Every call is enqueued on `stream`, alone (no group:
// calls in one group are tuned together and may take another order).
std::unique_ptr<Transport> make_nccl_transport(const Communicator& communicator, cudaStream_t stream);

// The library that is loaded now, "2.28.9": two may lie on one machine, and the order map is version
// specific.
std::string nccl_version();

}  // namespace shardrift
