// How bytes move between the ranks of one group. Buffers are device memory where the transport is NCCL, host
// memory where it is MPI. Calls are collective over the group, in the same order on every rank.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/dtype.hpp"

namespace shardrift {

// What a library said of one kind of sum that it launched.
struct CollectiveCall {
  std::string operation;   // all-reduce | reduce-scatter
  std::int64_t count = 0;  // elements of the whole message on one rank; of a reduce-scatter: of one part
  DType dtype = DType::float32;
  std::string algorithm;  // "ring", "tree", …
  std::string protocol;   // "ll", "ll128", "simple"
  int channels = 0;       // that carried it; a communicator may have more
  bool operator==(const CollectiveCall&) const = default;
};

class Transport {
 public:
  virtual ~Transport() = default;
  virtual std::string_view name() const = 0;  // "nccl", "mpi", "none"
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // In-place sum of count elements over the group, in whatever order the library takes: not the bits of any
  // local fold unless its order map says so.
  virtual void all_reduce(void* data, std::int64_t count, DType dtype) = 0;
  // send holds size() parts of `count` elements each; receive gets part rank() of their sum over the group.
  // Its order is another than all_reduce's.
  virtual void reduce_scatter(const void* send, void* receive, std::int64_t count, DType dtype) = 0;
  // receive holds size() · bytes; rank i's bytes land at i · bytes. No arithmetic: bits are the sender's.
  virtual void all_gather(const void* send, void* receive, std::size_t bytes) = 0;
  virtual void send(const void* data, std::size_t bytes, int peer) = 0;
  virtual void receive(void* data, std::size_t bytes, int peer) = 0;
  // The distinct sums this process launched since the last take, as the library tells; empty where it does
  // not.
  virtual std::vector<CollectiveCall> take_calls() { return {}; }
};

// A group of one: nothing moves; all_gather copies nothing and is never needed.
std::unique_ptr<Transport> make_local_transport();

}  // namespace shardrift
