// Loaded before the worker's libraries: sends rank 1 two signals when it starts MPI, and creates the file
// that SHARDRIFT_TEST_STARTED names once MPI has started there.
#include <mpi.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string_view>

extern "C" int MPI_Init_thread(int* argc, char*** argv, int required, int* provided) {
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  const bool signalled = rank != nullptr && std::string_view(rank) == "1";
  if (signalled) {
    std::raise(SIGINT);
    std::raise(SIGTERM);
  }
  const int result = PMPI_Init_thread(argc, argv, required, provided);
  if (signalled) std::ofstream(std::getenv("SHARDRIFT_TEST_STARTED"));
  return result;
}
