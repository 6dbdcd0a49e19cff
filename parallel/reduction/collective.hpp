// Whose all-reduce sums the partials of a native reduction: the collective library's, or one of our own over
// memory that the ranks of one host share (docs/reductions.md).
#pragma once
#include "common/named_enum.hpp"

namespace shardrift {

enum class Collective {
  library,   // ncclAllReduce, MPI_Allreduce
  one_shot,  // every rank reads all messages and adds them
  two_shot,  // every rank adds its part of the message, then the parts are gathered
};
constexpr auto names_of(Collective) {
  return std::to_array<Named<Collective>>({{Collective::library, "library"},
                                           {Collective::one_shot, "one-shot"},
                                           {Collective::two_shot, "two-shot"}});
}

}  // namespace shardrift
