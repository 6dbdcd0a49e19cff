// Small values that one rank knows first and the others wait for. Telling does not wait for those who are to
// hear: they may be several messages behind, at work of their own.
#pragma once
#include <mpi.h>

#include <cstdint>
#include <deque>
#include <vector>

#include "parallel/transport/mpi_world.hpp"

namespace shardrift {

class Teller {
 public:
  // Every rank of the communicator, which must outlive it, makes one with the same root.
  Teller(const Communicator& communicator, int root);
  Teller(const Teller&) = delete;
  Teller& operator=(const Teller&) = delete;
  // root's values to all others, message by message in the same order; all pass the same size.
  void tell(std::vector<std::int32_t>& values);
  // On root: all has been heard. Without it, what is on its way when the run ends is nobody's.
  void finish();

 private:
  struct Message {
    std::vector<std::int32_t> values;  // MPI reads them until they are sent
    std::vector<MPI_Request> requests;
  };
  MPI_Comm comm_;
  int root_;
  int rank_;
  int size_;
  std::deque<Message> sent_;
};

}  // namespace shardrift
