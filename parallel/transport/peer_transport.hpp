// Our own all-reduces over memory that the ranks of one host share: one-shot and two-shot, whose orders are
// those of parallel/order_models/peer_order.hpp. Everything else a transport does stays with the library.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "parallel/plan/plan.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "parallel/transport/transport.hpp"

namespace shardrift {

// Two buffers a rank, used in turns: who comes to a call knows that all ranks are done with the one before
// it, so the buffer of the last call but one is free and no call ends with a barrier.
class PeerSum {
 public:
  virtual ~PeerSum() = default;
  // In place, over all ranks; every rank calls it alike. Throws failure for more bytes than it was made for.
  virtual void all_reduce(void* data, std::int64_t count, DType dtype) = 0;
};

// Host memory. capacity: bytes of the largest message. Collective over `ranks`, of one host; where it fails
// on one of them it throws on all.
std::unique_ptr<PeerSum> make_shared_memory_sum(const Communicator& ranks, Collective collective,
                                                std::size_t capacity);

// `library` with this all-reduce in place of its own; its name is the collective's.
std::unique_ptr<Transport> with_peer_sum(std::unique_ptr<Transport> library, Collective collective,
                                         std::unique_ptr<PeerSum> sum);

// Throws usage_error where a tensor-parallel group of the plan sums over shared memory but is on several
// hosts. machines[rank]: equal where ranks share memory; hosts[rank]: their names.
void require_one_host(const Plan& plan, const std::vector<std::string>& machines,
                      const std::vector<std::string>& hosts);

// Collective over `ranks`: runs the step on all of them. Where it throws on one, all throw.
void together_in(const Communicator& ranks, const char* what, const std::function<void()>& step);

}  // namespace shardrift
