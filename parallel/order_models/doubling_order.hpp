// Recursive halving and doubling (Rabenseifner's all-reduce). A model, read off published source:
//
//   MPICH    src/mpi/coll/allreduce/allreduce_intra_reduce_scatter_allgather.c, commit 0917e160
//   OpenMPI  ompi/mca/coll/base/coll_base_allreduce.c, …_redscat_allgather, commit 07a69c33; 4.1.4 was probed
//            with 2 to 7 ranks (openmpi_order.hpp)
//
// The ranks beyond a power of two first join in pairs (0+1), (2+3), …; then neighbours exchange halves of the
// message, then neighbouring pairs quarters, …: at every distance two sums of as many ranks meet, whichever
// of the two has the element. So every element has one tree, (0+1)+(2+3), wherever the message is cut. Every
// add rounds to the message's dtype.
#pragma once
#include <cstdint>

#include "parallel/reduction/order_map.hpp"

namespace shardrift {

SumTree doubling_tree(int ranks);

// The largest power of two up to `ranks`; a shorter message cannot be halved so often, and libraries take
// another way with it.
std::int64_t halving_parts(int ranks);

// Throws usage_error for fewer elements than that, or ranks outside 2 to 64.
OrderMap halving_doubling_map(std::int64_t count, int ranks);

}  // namespace shardrift
