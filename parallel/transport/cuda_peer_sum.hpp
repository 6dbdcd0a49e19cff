// Our own all-reduces between the GPUs of one host.
#pragma once
#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <vector>

#include "parallel/transport/peer_transport.hpp"

namespace shardrift {

// Collective over `ranks`, of one host, after cudaSetDevice; where it fails on one of them it throws on all.
// Calls are enqueued on `stream` and can be captured. capacity: bytes of the largest message.
std::unique_ptr<PeerSum> make_cuda_peer_sum(const Communicator& ranks, Collective collective,
                                            std::size_t capacity, cudaStream_t stream);

// The PCI bus address of this process' device.
std::string cuda_bus_id();
// Throws usage_error where this process' device cannot read the memory of one of these; devices that are not
// visible here are believed until they are opened.
void require_cuda_peer_access(Collective collective, const std::vector<std::string>& bus_ids);

}  // namespace shardrift
