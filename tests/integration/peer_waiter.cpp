// Two ranks that sum by one of our own all-reduces, until rank 1 raises a signal in the middle: peer_waiter
// one-shot 19
#include <csignal>
#include <cstdlib>

#include "parallel/transport/peer_transport.hpp"

int main(int argc, char** argv) {
  using namespace shardrift;
  const World world(argc, argv);
  world.end_stalls_after(2);
  const auto collective = named<Collective>("collective", argv[1]);
  const Communicator ranks = world.split(0, world.rank());
  const auto sum = make_shared_memory_sum(ranks, collective, sizeof(float));
  for (int call = 0;; ++call) {
    if (call == 1000 && world.rank() == 1) std::raise(std::atoi(argv[2]));
    float one = 1;
    sum->all_reduce(&one, 1, DType::float32);
    if (one != 2) return EXIT_FAILURE;
  }
}
