// Which tree OpenMPI's tuned all-reduce adds each element by: a model of OpenMPI 4.1, checked against probes
// of the live 4.1.4 library with 2 to 7 ranks of one host (tests/integration/probe_test.cpp). Other versions
// choose otherwise: believe it only where a probe agrees.
//
// Every add rounds to the message's dtype. The choice depends on bytes, so float32 and bfloat16 differ; a
// commutative user-defined operation (our 16-bit sums) is treated as MPI_SUM is.
#pragma once
#include <cstdint>
#include <optional>

#include "common/dtype.hpp"
#include "common/named_enum.hpp"
#include "parallel/reduction/order_map.hpp"

namespace shardrift {

// automatic: the library's own choice by size. The others are coll_tuned_allreduce_algorithm 1, 3, 4 and 6.
enum class OpenMpiAllReduce { automatic, basic_linear, recursive_doubling, ring, rabenseifner };
constexpr auto names_of(OpenMpiAllReduce) {
  return std::to_array<Named<OpenMpiAllReduce>>({{OpenMpiAllReduce::automatic, "auto"},
                                                 {OpenMpiAllReduce::basic_linear, "basic-linear"},
                                                 {OpenMpiAllReduce::recursive_doubling, "recursive-doubling"},
                                                 {OpenMpiAllReduce::ring, "ring"},
                                                 {OpenMpiAllReduce::rabenseifner, "rabenseifner"}});
}

int openmpi_algorithm_number(OpenMpiAllReduce algorithm);  // as the MCA variable spells it; 0: automatic

// What `automatic` resolves to for a message of so many bytes; nullopt above 7 ranks (not measured).
std::optional<OpenMpiAllReduce> openmpi_choice(std::int64_t bytes, int ranks);

// basic-linear: the chain N-1, …, 1, 0 of a reduction to rank 0. recursive-doubling: the first ranks beyond a
// power of two join in pairs, then halves meet: (0+1)+(2+3), (0+1)+2; rabenseifner: the same tree, but the
// chain for fewer elements than the power of two. ring: chunk k is ((k + (k+1)) + …) + (k-1), NCCL's turned
// by one; chunks of count/N elements, the first count mod N one longer; recursive doubling for fewer elements
// than ranks. nullopt where the choice is not known. Throws usage_error for ranks outside 2 to 64.
std::optional<OrderMap> openmpi_all_reduce_map(std::int64_t count, DType dtype, int ranks,
                                               OpenMpiAllReduce algorithm);

}  // namespace shardrift
