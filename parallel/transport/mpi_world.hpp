// The MPI ranks of this run: who they are, how they agree that something failed, how they share small values.
#pragma once
#include <mpi.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "parallel/transport/transport.hpp"

namespace shardrift {

// An error that every rank threw alike: all may end in order, and one of them prints it.
class AgreedError : public Error {
 public:
  using Error::Error;
};

// A communicator of our own, freed with its owner.
class Communicator {
 public:
  Communicator() = default;
  explicit Communicator(MPI_Comm comm) : comm_(comm) {}
  Communicator(Communicator&& other) noexcept : comm_(other.comm_) { other.comm_ = MPI_COMM_NULL; }
  Communicator& operator=(Communicator&& other) noexcept;
  ~Communicator();
  MPI_Comm get() const { return comm_; }
  int rank() const;
  int size() const;
  void broadcast(std::vector<std::int32_t>& values, int root) const;  // every rank passes the same size
  void barrier() const;
  // Sums modulo 2^64, element by element, to root; values elsewhere are kept. Every rank passes the same
  // size.
  void sum_to(std::vector<std::uint64_t>& values, int root) const;
  // Bytes of host memory between two ranks; the receiver knows how many.
  void send(std::span<const std::byte> bytes, int peer) const;
  void receive(std::span<std::byte> bytes, int peer) const;

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
};

class Watchdog;  // watchdog.hpp

class World {
 public:
  World(int& argc, char**& argv);  // MPI_Init
  ~World();                        // MPI_Finalize
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  int local_rank() const { return local_rank_; }  // among the ranks of this host
  int local_size() const { return local_size_; }
  const std::string& host() const { return host_; }
  const std::string& machine() const { return machine_; }  // equal where ranks share memory

  // Runs `step` on every rank. Where it throws anywhere, every rank throws, as AgreedError, the error of the
  // lowest rank that failed. For everything outside the passes, where no rank may go on alone.
  void together(const std::function<void()>& step) const;
  // Ends every rank at once after an error outside together(): a peer may be waiting in a collective.
  [[noreturn]] void abort(int exit_code) const;

  std::string broadcast(const std::string& text, int root = 0) const;
  std::vector<std::string> gather_all(const std::string& text) const;  // by rank, on every rank
  // The largest / summed value over all ranks.
  double maximum(double value) const;
  std::int64_t sum(std::int64_t value) const;
  void barrier() const;
  Communicator split(int color, int key) const;

  // Seconds without progress after which the run is ended (--stall-timeout); 0: never.
  void end_stalls_after(int seconds) const;
  // The ranks [first, first + count), this one among them, take the same steps from now on.
  void steps_with(int first, int count) const;
  // This rank comes to its next step. True: a signal, to whichever rank, asked for a stop, and all ranks that
  // take these steps stop at this one.
  bool stops_here() const;

 private:
  void note_unheard(const std::vector<std::string>& hosts) const;

  int rank_ = 0;
  int size_ = 1;
  int local_rank_ = 0;
  int local_size_ = 1;
  std::string host_;
  std::string machine_;
  std::unique_ptr<Watchdog> watchdog_;
};

std::string mpi_library_version();  // first line of MPI_Get_library_version

// Transport over host memory; `communicator` must outlive it.
std::unique_ptr<Transport> make_mpi_transport(const Communicator& communicator);

}  // namespace shardrift
